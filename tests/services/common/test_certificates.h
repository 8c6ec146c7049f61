// Certificates for TLS tests, made with the openssl command in a directory of
// its own that goes with the object.

#ifndef TANDEM_TESTS_SERVICES_COMMON_TEST_CERTIFICATES_H_
#define TANDEM_TESTS_SERVICES_COMMON_TEST_CERTIFICATES_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "services/common/credentials.h"

namespace tandem {

struct TestCertificateOptions {
  int days = 1;              // valid from now on; negative: expired
  std::string subject = {};  // "/O=x/CN=y"; empty: "/CN=NAME"
  // Of subjectAltName; empty: none.
  std::string names = "DNS:localhost,IP:127.0.0.1";
  bool is_ca = false;  // may sign others
};

class TestCertificates {
 public:
  TestCertificates();
  ~TestCertificates();

  TestCertificates(const TestCertificates&) = delete;
  TestCertificates& operator=(const TestCertificates&) = delete;

  // A self-signed CA; files NAME.pem and NAME.key.
  void MakeCa(const std::string& name);
  // A certificate signed by `ca`, in the same files.
  void MakeSigned(const std::string& name, const std::string& ca,
                  const TestCertificateOptions& options = {});

  std::string CertPath(absl::string_view name) const;
  std::string KeyPath(absl::string_view name) const;
  std::string Path(absl::string_view file) const;
  // Writes `content` to `file` and returns its path.
  std::string Write(absl::string_view file, absl::string_view content) const;
  std::string Read(absl::string_view file) const;
  // Makes certificate and key of `to` those of `from`, each in one step.
  void Replace(absl::string_view to, absl::string_view from) const;

 private:
  std::string directory_;
};

// Credentials of files that nothing has checked: those of a peer that is wrong.
std::shared_ptr<grpc::ServerCredentials> UncheckedServerCredentials(
    const ServerTlsFiles& files);
std::shared_ptr<grpc::ChannelCredentials> UncheckedChannelCredentials(
    const ChannelTlsFiles& files);

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COMMON_TEST_CERTIFICATES_H_
