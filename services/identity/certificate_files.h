// PEM files of certificates, their keys and their authorities: read, and
// checked before anything is made of them. Pure functions; any thread.
//
// Errors are INVALID_ARGUMENT with one line that names the file and the remedy.

#ifndef TANDEM_SERVICES_IDENTITY_CERTIFICATE_FILES_H_
#define TANDEM_SERVICES_IDENTITY_CERTIFICATE_FILES_H_

#include <string>

#include "absl/time/time.h"
#include "engine/base/status.h"

namespace tandem {

// Paths; empty: no such file. `cert` and `key` are given together.
struct CertificatePaths {
  std::string cert;   // certificate chain, leaf first
  std::string key;    // the leaf's private key
  std::string roots;  // authorities that the other side's certificate needs

  friend bool operator==(const CertificatePaths&,
                         const CertificatePaths&) = default;
};

// What the files hold; empty: no such file.
struct CertificateTexts {
  std::string cert;
  std::string key;
  std::string roots;

  friend bool operator==(const CertificateTexts&,
                         const CertificateTexts&) = default;
};

// The texts, unchecked. Only regular files of at most 4 MiB are read, so that
// it neither blocks nor fills the memory.
absl::StatusOr<CertificateTexts> ReadCertificates(
    const CertificatePaths& paths);

// Until when what `texts` show is valid, absl::InfiniteFuture() where they have
// no certificate. OK where all texts are PEM, the key is the leaf's, each
// certificate of the chain is signed by the next and valid at `now`, and so is
// at least one of the roots. `paths` is for messages.
absl::StatusOr<absl::Time> CheckCertificates(const CertificatePaths& paths,
                                             const CertificateTexts& texts,
                                             absl::Time now);

// Key and chain in one PEM text, for a reader that takes both out of one file:
// the key's file may hold certificates, which are left out. `texts` have passed
// CheckCertificates and have a certificate.
std::string IdentityText(const CertificateTexts& texts);

// "2026-01-31 12:00:00 UTC", for messages.
std::string TimeText(absl::Time time);

}  // namespace tandem

#endif  // TANDEM_SERVICES_IDENTITY_CERTIFICATE_FILES_H_
