// Certificates for TLS tests, made with the openssl command in a directory of
// its own that goes with the object.

#ifndef TANDEM_TESTS_SERVICES_COMMON_TEST_CERTIFICATES_H_
#define TANDEM_TESTS_SERVICES_COMMON_TEST_CERTIFICATES_H_

#include <string>

#include "absl/strings/string_view.h"

namespace tandem {

class TestCertificates {
 public:
  TestCertificates();
  ~TestCertificates();

  TestCertificates(const TestCertificates&) = delete;
  TestCertificates& operator=(const TestCertificates&) = delete;

  // A self-signed CA; files NAME.pem and NAME.key.
  void MakeCa(const std::string& name);
  // A certificate for localhost and 127.0.0.1, signed by `ca`, valid for
  // `days` from now (negative: expired).
  void MakeSigned(const std::string& name, const std::string& ca, int days = 1);

  std::string CertPath(absl::string_view name) const;
  std::string KeyPath(absl::string_view name) const;
  std::string Path(absl::string_view file) const;
  // Writes `content` to `file` and returns its path.
  std::string Write(absl::string_view file, absl::string_view content) const;

 private:
  std::string directory_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COMMON_TEST_CERTIFICATES_H_
