#include "tests/services/common/test_certificates.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

void RunCommand(const std::string& command) {
  ASSERT_EQ(std::system(absl::StrCat(command, " >/dev/null 2>&1").c_str()), 0)
      << command;
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
                                  const std::string& ca, int days) {
  const std::string extensions = Write(
      absl::StrCat(name, ".ext"),
      "basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n");
  RunCommand(absl::StrCat("openssl req ", kKeyOptions, "-keyout ",
                          KeyPath(name), " -out ", Path(name), ".csr",
                          " -subj '/CN=", name, "'"));
  RunCommand(absl::StrCat("openssl x509 -req -in ", Path(name), ".csr -CA ",
                          CertPath(ca), " -CAkey ", KeyPath(ca),
                          " -CAcreateserial -days ", days, " -extfile ",
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

}  // namespace tandem
