#include "services/common/credentials.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <fstream>
#include <optional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "services/common/address.h"

namespace tandem {
namespace {

// Key files and chains are a few KiB; CA bundles a few hundred.
constexpr size_t kPemBytesMax = 4 << 20;

struct OpenSslDelete {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using BioPtr = std::unique_ptr<BIO, OpenSslDelete>;
using CertificatePtr = std::unique_ptr<X509, OpenSslDelete>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslDelete>;

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  if (!file || !(content << file.rdbuf())) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": can not be read; name a readable PEM file"));
  }
  std::string pem = content.str();
  if (pem.size() > kPemBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is larger than 4 MiB; name a PEM file"));
  }
  return pem;
}

BioPtr MakeBio(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

absl::StatusOr<CertificatePtr> ParseCertificate(const std::string& path,
                                                const std::string& pem) {
  const BioPtr bio = MakeBio(pem);
  CertificatePtr certificate(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": holds no PEM certificate"));
  }
  return certificate;
}

// Fails instead of asking the terminal for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

// Reads a certificate chain and its key and checks that they fit.
absl::StatusOr<grpc::SslServerCredentialsOptions::PemKeyCertPair> ReadIdentity(
    const std::string& cert_path, const std::string& key_path) {
  TANDEM_ASSIGN_OR_RETURN(const std::string cert, ReadPem(cert_path));
  TANDEM_ASSIGN_OR_RETURN(const std::string key_pem, ReadPem(key_path));
  TANDEM_ASSIGN_OR_RETURN(const CertificatePtr certificate,
                          ParseCertificate(cert_path, cert));
  const BioPtr bio = MakeBio(key_pem);
  const KeyPtr key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        key_path, ": holds no PEM private key without passphrase"));
  }
  const bool fits = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat(
        key_path, ": is not the private key of the certificate ", cert_path));
  }
  return grpc::SslServerCredentialsOptions::PemKeyCertPair{key_pem, cert};
}

absl::StatusOr<std::string> ReadRoots(const std::string& path) {
  TANDEM_ASSIGN_OR_RETURN(std::string pem, ReadPem(path));
  TANDEM_RETURN_IF_ERROR(ParseCertificate(path, pem).status());
  return pem;
}

bool IsLoopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6);
  }
  return false;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const ServerTlsFiles& files) {
  if (files.cert.empty() && files.key.empty()) {
    if (!files.client_ca.empty()) {
      return absl::InvalidArgumentError(
          "--tls-client-ca needs --tls-cert and --tls-key");
    }
    return grpc::InsecureServerCredentials();
  }
  if (files.cert.empty() || files.key.empty()) {
    return absl::InvalidArgumentError(
        "--tls-cert and --tls-key must be given together");
  }
  TANDEM_ASSIGN_OR_RETURN(
      const grpc::SslServerCredentialsOptions::PemKeyCertPair identity,
      ReadIdentity(files.cert, files.key));
  grpc::SslServerCredentialsOptions options(
      files.client_ca.empty()
          ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_key_cert_pairs.push_back(identity);
  if (!files.client_ca.empty()) {
    TANDEM_ASSIGN_OR_RETURN(options.pem_root_certs, ReadRoots(files.client_ca));
  }
  return grpc::SslServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>>
MakeChannelCredentials(const ChannelTlsFiles& files) {
  if (files.cert.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(
        "a client certificate and its key must be given together");
  }
  if (files.ca.empty()) {
    if (!files.cert.empty()) {
      return absl::InvalidArgumentError(
          "a client certificate needs the CA of the server too");
    }
    return grpc::InsecureChannelCredentials();
  }
  grpc::SslCredentialsOptions options;
  TANDEM_ASSIGN_OR_RETURN(options.pem_root_certs, ReadRoots(files.ca));
  if (!files.cert.empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        const grpc::SslServerCredentialsOptions::PemKeyCertPair identity,
        ReadIdentity(files.cert, files.key));
    options.pem_private_key = identity.private_key;
    options.pem_cert_chain = identity.cert_chain;
  }
  return grpc::SslCredentials(options);
}

absl::Status CheckListenAddress(absl::string_view address,
                                const ServerTlsFiles& files,
                                bool allow_insecure) {
  const std::optional<std::string> path = ParseUnixPath(address);
  const std::optional<HostPort> at = ParseHostPort(address);
  if (path.has_value() ? path->empty() : !at.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--listen ", address,
        ": is not host:port, [ipv6]:port or unix:PATH; e.g. 127.0.0.1:0"));
  }
  if (path.has_value() || !files.cert.empty() || allow_insecure ||
      IsLoopback(at->host)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--listen ", address,
      ": others can reach this address; give --tls-cert and --tls-key, or "
      "--insecure-listen where the network is trusted"));
}

}  // namespace tandem
