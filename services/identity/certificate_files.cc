#include "services/identity/certificate_files.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/descriptor.h"
#include "engine/base/file_kind.h"

namespace tandem {
namespace {

// Key files and chains are a few KiB; CA bundles a few hundred.
constexpr size_t kPemBytesMax = 4 << 20;
constexpr size_t kReadBytes = 16 << 10;

struct OpenSslDelete {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using BioPtr = std::unique_ptr<BIO, OpenSslDelete>;
using CertificatePtr = std::unique_ptr<X509, OpenSslDelete>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslDelete>;

absl::Status Wrong(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

absl::Status Unreadable(const std::string& path, absl::string_view why) {
  return Wrong(path, absl::StrCat("can not be read (", why,
                                  "); name a readable PEM file"));
}

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  if (path.empty()) return std::string();
  // A FIFO without a writer does not block.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (!file.is_open() || fstat(file.number(), &info) != 0) {
    return Unreadable(path, strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) {
    return Unreadable(path, FileKindName(info.st_mode));
  }
  std::string pem;
  char bytes[kReadBytes];
  while (pem.size() <= kPemBytesMax) {
    const ssize_t count = read(file.number(), bytes, sizeof(bytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Unreadable(path, strerror(errno));
    if (count == 0) return pem;
    pem.append(bytes, static_cast<size_t>(count));
  }
  return Wrong(path, "is larger than 4 MiB; name a PEM file");
}

BioPtr MakeBio(const std::string& pem) {
  return BioPtr(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// All certificates of `pem`, at least one.
absl::StatusOr<std::vector<CertificatePtr>> ParseCertificates(
    const std::string& path, const std::string& pem) {
  std::vector<CertificatePtr> found;
  const BioPtr bio = MakeBio(pem);
  ERR_clear_error();
  while (true) {
    CertificatePtr certificate(
        PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    found.push_back(std::move(certificate));
  }
  const uint64_t error = ERR_peek_last_error();
  const bool is_end = ERR_GET_LIB(error) == ERR_LIB_PEM &&
                      ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (found.empty()) return Wrong(path, "holds no PEM certificate");
  if (!is_end) {
    return Wrong(path, absl::StrCat("what follows its certificate number ",
                                    found.size(), " is malformed"));
  }
  return found;
}

// Fails instead of asking the terminal for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

// Null where there is none.
KeyPtr ParseKey(const std::string& pem) {
  const BioPtr bio = MakeBio(pem);
  KeyPtr key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return key;
}

absl::Status CheckKey(const CertificatePaths& paths, const std::string& pem,
                      X509* leaf) {
  const KeyPtr key = ParseKey(pem);
  const bool fits =
      key != nullptr && X509_check_private_key(leaf, key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) {
    return Wrong(paths.key, "holds no PEM private key without passphrase");
  }
  if (fits) return absl::OkStatus();
  return Wrong(paths.key, absl::StrCat("is not the private key of the "
                                       "certificate ",
                                       paths.cert));
}

absl::Status CheckChain(const std::string& path,
                        const std::vector<CertificatePtr>& chain) {
  for (size_t i = 1; i < chain.size(); ++i) {
    X509* const lower = chain[i - 1].get();
    X509* const upper = chain[i].get();
    const bool is_signed = X509_check_issued(upper, lower) == X509_V_OK &&
                           X509_verify(lower, X509_get0_pubkey(upper)) == 1;
    ERR_clear_error();
    if (is_signed) continue;
    return Wrong(path, absl::StrCat("its certificate number ", i + 1,
                                    " did not sign the one before it; order "
                                    "the chain from the leaf upwards"));
  }
  return absl::OkStatus();
}

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTimeT(timegm(&parts));
}

absl::Status CheckDates(const std::string& path, const X509* certificate,
                        absl::Time now) {
  const absl::Time begin = ToTime(X509_get0_notBefore(certificate));
  const absl::Time end = ToTime(X509_get0_notAfter(certificate));
  if (now < begin) {
    return Wrong(path, absl::StrCat("is not valid before ", TimeText(begin),
                                    "; check this machine's clock"));
  }
  if (now < end) return absl::OkStatus();
  return Wrong(path,
               absl::StrCat("has expired at ", TimeText(end), "; renew it"));
}

absl::Status CheckRoots(const std::string& path, const std::string& pem,
                        absl::Time now) {
  TANDEM_ASSIGN_OR_RETURN(const std::vector<CertificatePtr> roots,
                          ParseCertificates(path, pem));
  // Bundles keep authorities that are over.
  absl::Status first = absl::OkStatus();
  for (const CertificatePtr& root : roots) {
    const absl::Status status = CheckDates(path, root.get(), now);
    if (status.ok()) return status;
    if (first.ok()) first = status;
  }
  return first;
}

}  // namespace

absl::StatusOr<CertificateTexts> ReadCertificates(
    const CertificatePaths& paths) {
  CertificateTexts texts;
  TANDEM_ASSIGN_OR_RETURN(texts.cert, ReadPem(paths.cert));
  TANDEM_ASSIGN_OR_RETURN(texts.key, ReadPem(paths.key));
  TANDEM_ASSIGN_OR_RETURN(texts.roots, ReadPem(paths.roots));
  return texts;
}

absl::StatusOr<absl::Time> CheckCertificates(const CertificatePaths& paths,
                                             const CertificateTexts& texts,
                                             absl::Time now) {
  if (!paths.roots.empty()) {
    TANDEM_RETURN_IF_ERROR(CheckRoots(paths.roots, texts.roots, now));
  }
  absl::Time expiry = absl::InfiniteFuture();
  if (paths.cert.empty()) return expiry;
  TANDEM_ASSIGN_OR_RETURN(const std::vector<CertificatePtr> chain,
                          ParseCertificates(paths.cert, texts.cert));
  TANDEM_RETURN_IF_ERROR(CheckKey(paths, texts.key, chain.front().get()));
  TANDEM_RETURN_IF_ERROR(CheckChain(paths.cert, chain));
  for (const CertificatePtr& certificate : chain) {
    TANDEM_RETURN_IF_ERROR(CheckDates(paths.cert, certificate.get(), now));
    expiry = std::min(expiry, ToTime(X509_get0_notAfter(certificate.get())));
  }
  return expiry;
}

std::string IdentityText(const CertificateTexts& texts) {
  const KeyPtr key = ParseKey(texts.key);
  const BioPtr bio(BIO_new(BIO_s_mem()));
  TANDEM_CHECK(key != nullptr && bio != nullptr);
  TANDEM_CHECK(PEM_write_bio_PrivateKey(bio.get(), key.get(), nullptr, nullptr,
                                        0, nullptr, nullptr) == 1);
  char* pem = nullptr;
  const auto bytes = BIO_get_mem_data(bio.get(), &pem);
  return absl::StrCat(absl::string_view(pem, static_cast<size_t>(bytes)),
                      texts.cert);
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

}  // namespace tandem
