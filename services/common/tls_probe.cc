#include "services/common/tls_probe.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/monotonic_clock.h"

namespace tandem {
namespace {

constexpr size_t kReadBytes = 16 << 10;
// Names of a certificate in a message.
constexpr size_t kNamesMax = 8;

struct OpenSslDelete {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

bool IsIpAddress(const std::string& name) {
  in6_addr ignored;
  return inet_pton(AF_INET, name.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &ignored) == 1;
}

std::string TextOf(const GENERAL_NAME& name) {
  if (name.type == GEN_DNS) {
    return std::string(
        reinterpret_cast<const char*>(ASN1_STRING_get0_data(name.d.dNSName)),
        static_cast<size_t>(ASN1_STRING_length(name.d.dNSName)));
  }
  if (name.type != GEN_IPADD) return "";
  const ASN1_OCTET_STRING* bytes = name.d.iPAddress;
  char text[INET6_ADDRSTRLEN] = "";
  (void)inet_ntop(ASN1_STRING_length(bytes) == 4 ? AF_INET : AF_INET6,
                  ASN1_STRING_get0_data(bytes), text, sizeof(text));
  return text;
}

std::string NamesOf(X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, OpenSslDelete> all(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(
          certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> names;
  for (int i = 0; i < sk_GENERAL_NAME_num(all.get()); ++i) {
    std::string text = TextOf(*sk_GENERAL_NAME_value(all.get(), i));
    if (!text.empty()) names.push_back(std::move(text));
    if (names.size() == kNamesMax) break;
  }
  return absl::StrJoin(names, ", ");
}

TlsOutcome OutcomeOfVerify(int64_t error) {
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return TlsOutcome::kExpired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return TlsOutcome::kNotYetValid;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return TlsOutcome::kWrongName;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
      return TlsOutcome::kUntrusted;
    default:
      return TlsOutcome::kOtherCertificateError;
  }
}

// One probe. TLS runs over buffers in memory, and this class moves the bytes:
// OpenSSL's own sockets raise SIGPIPE.
class Probe {
 public:
  Probe(int socket, const TlsProbeOptions& options)
      : socket_(socket), options_(options) {}

  TlsFindings Run();

 private:
  // False where OpenSSL can not use the options.
  bool SetUp();
  bool SetName();
  // Until the handshake is over and the server has sent something more, since
  // it refuses a client's certificate only after the client is content.
  void Shake();
  // Sends what OpenSSL has to send and takes what came. False at the end of
  // the connection and of the time.
  bool Exchange();
  bool WaitFor(int16_t events);
  void Judge();

  static int OnCertificateAsked(SSL* ssl, void* probe);
  // Where the names of a certificate are read that is refused: it is not kept.
  static int OnVerified(int is_good, X509_STORE_CTX* store);

  const int socket_;
  const TlsProbeOptions& options_;
  TlsFindings findings_;
  std::unique_ptr<SSL_CTX, OpenSslDelete> context_;
  std::unique_ptr<SSL, OpenSslDelete> ssl_;
  BIO* from_server_ = nullptr;  // ssl_'s
  BIO* to_server_ = nullptr;    // ssl_'s
  bool any_answer_ = false;
  bool timed_out_ = false;
  bool good_ = false;
};

bool Probe::SetUp() {
  context_.reset(SSL_CTX_new(TLS_client_method()));
  if (context_ == nullptr) return false;
  const ChannelTlsFiles& files = options_.files;
  if (!files.ca.empty()) {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, OnVerified);
    if (SSL_CTX_load_verify_locations(context_.get(), files.ca.c_str(),
                                      nullptr) != 1) {
      return false;
    }
  }
  if (!files.cert.empty() &&
      (SSL_CTX_use_certificate_chain_file(context_.get(), files.cert.c_str()) !=
           1 ||
       SSL_CTX_use_PrivateKey_file(context_.get(), files.key.c_str(),
                                   SSL_FILETYPE_PEM) != 1)) {
    return false;
  }
  SSL_CTX_set_cert_cb(context_.get(), OnCertificateAsked, this);
  ssl_.reset(SSL_new(context_.get()));
  if (ssl_ == nullptr) return false;
  SSL_set_app_data(ssl_.get(), this);
  from_server_ = BIO_new(BIO_s_mem());
  to_server_ = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl_.get(), from_server_, to_server_);
  SSL_set_connect_state(ssl_.get());
  constexpr uint8_t kHttp2[] = {2, 'h', '2'};
  (void)SSL_set_alpn_protos(ssl_.get(), kHttp2, sizeof(kHttp2));
  return SetName();
}

bool Probe::SetName() {
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl_.get());
  const std::string& name = options_.server_name;
  if (IsIpAddress(name)) {
    return X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str()) == 1;
  }
  return X509_VERIFY_PARAM_set1_host(wanted, name.data(), name.size()) == 1 &&
         SSL_set_tlsext_host_name(ssl_.get(), name.c_str()) == 1;
}

int Probe::OnCertificateAsked(SSL*, void* probe) {
  static_cast<Probe*>(probe)->findings_.asked_for_certificate = true;
  return 1;
}

int Probe::OnVerified(int is_good, X509_STORE_CTX* store) {
  auto* const ssl = static_cast<SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const probe = static_cast<Probe*>(SSL_get_app_data(ssl));
  if (X509* const leaf = X509_STORE_CTX_get0_cert(store); leaf != nullptr) {
    probe->findings_.names = NamesOf(leaf);
  }
  return is_good;
}

bool Probe::WaitFor(int16_t events) {
  while (true) {
    const int64_t left_ms = absl::ToInt64Milliseconds(
        absl::Ceil(options_.deadline - MonotonicNow(), absl::Milliseconds(1)));
    pollfd waiting = {.fd = socket_, .events = events, .revents = 0};
    const int ready =
        left_ms <= 0 ? 0 : poll(&waiting, 1, static_cast<int>(left_ms));
    if (ready > 0) return true;
    if (ready < 0 && errno == EINTR) continue;
    timed_out_ = true;
    return false;
  }
}

bool Probe::Exchange() {
  char bytes[kReadBytes];
  int pending = 0;
  while ((pending = BIO_read(to_server_, bytes, sizeof(bytes))) > 0) {
    for (int sent = 0; sent < pending;) {
      if (!WaitFor(POLLOUT)) return false;
      const ssize_t count =
          send(socket_, bytes + sent, static_cast<size_t>(pending - sent),
               MSG_NOSIGNAL);
      if (count < 0 && errno != EAGAIN && errno != EINTR) return false;
      sent += static_cast<int>(std::max<ssize_t>(count, 0));
    }
  }
  if (!WaitFor(POLLIN)) return false;
  const ssize_t count = recv(socket_, bytes, sizeof(bytes), 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (count <= 0) return false;
  any_answer_ = true;
  return BIO_write(from_server_, bytes, static_cast<int>(count)) == count;
}

void Probe::Shake() {
  bool shaken = false;
  while (true) {
    char byte = 0;
    const int result =
        shaken ? SSL_read(ssl_.get(), &byte, 1) : SSL_do_handshake(ssl_.get());
    if (result == 1 && shaken) {
      good_ = true;
      return;
    }
    if (result == 1) {
      shaken = true;
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return;
    if (!Exchange()) return;
  }
}

void Probe::Judge() {
  const int64_t verified = SSL_get_verify_result(ssl_.get());
  if (good_) {
    findings_.outcome = TlsOutcome::kGood;
  } else if (!options_.files.ca.empty() && verified != X509_V_OK) {
    findings_.outcome = OutcomeOfVerify(verified);
    findings_.detail = X509_verify_cert_error_string(verified);
  } else if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_WRONG_VERSION_NUMBER) {
    findings_.outcome = TlsOutcome::kNoTls;
  } else if (timed_out_) {
    findings_.outcome =
        any_answer_ ? TlsOutcome::kUnfinished : TlsOutcome::kNoAnswer;
  } else {
    // A server without TLS hangs up at a greeting that it does not know.
    findings_.outcome = any_answer_ ? TlsOutcome::kRefused : TlsOutcome::kNoTls;
    const char* const reason = ERR_reason_error_string(ERR_peek_error());
    if (reason != nullptr) findings_.detail = reason;
  }
}

TlsFindings Probe::Run() {
  ERR_clear_error();
  if (SetUp()) {
    Shake();
    Judge();
  }
  ERR_clear_error();
  return std::move(findings_);
}

}  // namespace

TlsFindings ProbeTls(int socket, const TlsProbeOptions& options) {
  return Probe(socket, options).Run();
}

}  // namespace tandem
