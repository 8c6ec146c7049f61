#include "tests/services/common/test_certificates.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

void RunCommand(const std::string& command) {
  ASSERT_EQ(std::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()), 0)
      << command;
}

std::string Content(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

constexpr char kKeyOptions[] =
    "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes ";

}  // namespace

TestCertificates::TestCertificates() {
  std::string pattern = absl::StrCat(::testing::TempDir(), "tandem-XXXXXX");
  directory_ = mkdtemp(pattern.data());
}

TestCertificates::~TestCertificates() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void TestCertificates::MakeCa(const std::string& name) {
  RunCommand(absl::StrCat("openssl req -x509 ", kKeyOptions, "-keyout ",
                          KeyPath(name), " -out ", CertPath(name),
                          " -days 1 -subj '/CN=", name, "'"));
}

void TestCertificates::MakeSigned(const std::string& name,
                                  const std::string& ca,
                                  const TestCertificateOptions& options) {
  const std::string extensions = Write(
      absl::StrCat(name, ".ext"),
      absl::StrCat("basicConstraints=CA:", options.is_ca ? "TRUE" : "FALSE",
                   options.names.empty() ? "" : "\nsubjectAltName=",
                   options.names, "\n"));
  RunCommand(absl::StrCat(
      "openssl req ", kKeyOptions, "-keyout ", KeyPath(name), " -out ",
      Path(name), ".csr -subj '",
      options.subject.empty() ? absl::StrCat("/CN=", name) : options.subject,
      "'"));
  RunCommand(absl::StrCat("openssl x509 -req -in ", Path(name), ".csr -CA ",
                          CertPath(ca), " -CAkey ", KeyPath(ca),
                          " -CAcreateserial -days ", options.days, " -extfile ",
                          extensions, " -out ", CertPath(name)));
}

std::string TestCertificates::CertPath(absl::string_view name) const {
  return Path(absl::StrCat(name, ".pem"));
}

std::string TestCertificates::KeyPath(absl::string_view name) const {
  return Path(absl::StrCat(name, ".key"));
}

std::string TestCertificates::Path(absl::string_view file) const {
  return absl::StrCat(directory_, "/", file);
}

std::string TestCertificates::Write(absl::string_view file,
                                    absl::string_view content) const {
  const std::string path = Path(file);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string TestCertificates::Read(absl::string_view file) const {
  return Content(Path(file));
}

void TestCertificates::Replace(absl::string_view to,
                               absl::string_view from) const {
  for (const char* end : {".key", ".pem"}) {
    std::filesystem::rename(
        Write(absl::StrCat(to, end, ".new"), Read(absl::StrCat(from, end))),
        Path(absl::StrCat(to, end)));
  }
}

std::shared_ptr<grpc::ServerCredentials> UncheckedServerCredentials(
    const ServerTlsFiles& files) {
  if (files.cert.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      files.client_ca.empty()
          ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_key_cert_pairs.push_back(
      {.private_key = Content(files.key), .cert_chain = Content(files.cert)});
  options.pem_root_certs = Content(files.client_ca);
  return grpc::SslServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> UncheckedChannelCredentials(
    const ChannelTlsFiles& files) {
  if (files.ca.empty()) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = Content(files.ca),
                               .pem_private_key = Content(files.key),
                               .pem_cert_chain = Content(files.cert)});
}

}  // namespace tandem
