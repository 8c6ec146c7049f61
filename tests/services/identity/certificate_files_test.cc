#include "services/identity/certificate_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/services/common/test_certificates.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class CertificateFilesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    files_ = new TestCertificates();
    files_->MakeCa("ca");
    files_->MakeSigned("server", "ca");
    files_->MakeSigned("other", "ca");
    files_->MakeSigned("middle", "ca", {.is_ca = true});
    files_->MakeSigned("leaf", "middle");
  }
  static void TearDownTestSuite() { delete files_; }

  static CertificatePaths PathsOf(absl::string_view name) {
    return {.cert = files_->CertPath(name),
            .key = files_->KeyPath(name),
            .roots = files_->CertPath("ca")};
  }
  static absl::StatusOr<absl::Time> Check(const CertificatePaths& paths,
                                          absl::Time now = absl::Now()) {
    TANDEM_ASSIGN_OR_RETURN(const CertificateTexts texts,
                            ReadCertificates(paths));
    return CheckCertificates(paths, texts, now);
  }
  static std::string Error(const CertificatePaths& paths,
                           absl::Time now = absl::Now()) {
    const absl::Status status = Check(paths, now).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
    return std::string(status.message());
  }

  static TestCertificates* files_;
};

TestCertificates* CertificateFilesTest::files_ = nullptr;

TEST_F(CertificateFilesTest, GoodOnesHaveAnEnd) {
  const absl::StatusOr<absl::Time> expiry = Check(PathsOf("server"));
  ASSERT_TRUE(expiry.ok()) << expiry.status();
  // Made just now, for a day.
  EXPECT_GT(*expiry, absl::Now() + absl::Hours(23));
  EXPECT_LT(*expiry, absl::Now() + absl::Hours(25));
  EXPECT_EQ(*Check({.cert = "", .key = "", .roots = files_->CertPath("ca")}),
            absl::InfiniteFuture());
  EXPECT_EQ(*Check({}), absl::InfiniteFuture());
}

TEST_F(CertificateFilesTest, FilesThatCanNotBeReadAreNamed) {
  const std::string fifo = files_->Path("fifo");
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const std::pair<std::string, const char*> cases[] = {
      {files_->Path("missing"), "No such file"},
      {files_->Path(""), "a directory"},
      {"/dev/zero", "a device"},
      {fifo, "a FIFO"}};
  for (const auto& [path, why] : cases) {
    for (std::string CertificatePaths::*const member :
         {&CertificatePaths::cert, &CertificatePaths::key,
          &CertificatePaths::roots}) {
      CertificatePaths paths = PathsOf("server");
      paths.*member = path;
      EXPECT_THAT(Error(paths),
                  AllOf(HasSubstr(path + ": can not be read"), HasSubstr(why)));
    }
  }
  CertificatePaths paths = PathsOf("server");
  paths.roots = files_->Write("large", std::string((4 << 20) + 1, 'a'));
  EXPECT_THAT(Error(paths), HasSubstr("is larger than 4 MiB"));
}

TEST_F(CertificateFilesTest, OtherContentIsNamed) {
  const std::string garbage = files_->Write("garbage", "not a PEM file");
  CertificatePaths paths = PathsOf("server");
  paths.cert = garbage;
  EXPECT_THAT(Error(paths), HasSubstr(garbage + ": holds no PEM certificate"));
  paths = PathsOf("server");
  paths.key = garbage;
  EXPECT_THAT(Error(paths), HasSubstr(garbage + ": holds no PEM private key"));
  paths = PathsOf("server");
  paths.roots = garbage;
  EXPECT_THAT(Error(paths), HasSubstr(garbage + ": holds no PEM certificate"));
  paths = PathsOf("server");
  paths.cert =
      files_->Write("half", absl::StrCat(files_->Read("server.pem"),
                                         "-----BEGIN CERTIFICATE-----\nMII\n"
                                         "-----END CERTIFICATE-----\n"));
  EXPECT_THAT(Error(paths), HasSubstr("what follows its certificate number 1"));
}

TEST_F(CertificateFilesTest, TheKeyMustFit) {
  CertificatePaths paths = PathsOf("server");
  paths.key = files_->KeyPath("other");
  EXPECT_EQ(Error(paths), absl::StrCat(paths.key,
                                       ": is not the private key of the "
                                       "certificate ",
                                       paths.cert));
}

TEST_F(CertificateFilesTest, AChainGoesUpwards) {
  CertificatePaths paths = PathsOf("leaf");
  const std::string leaf = files_->Read("leaf.pem");
  const std::string middle = files_->Read("middle.pem");
  const std::string ca = files_->Read("ca.pem");
  for (const std::string& chain : {leaf, leaf + middle, leaf + middle + ca}) {
    paths.cert = files_->Write("chain", chain);
    EXPECT_TRUE(Check(paths).ok()) << Check(paths).status();
  }
  for (const std::string& chain :
       {leaf + ca, leaf + files_->Read("other.pem"), leaf + leaf}) {
    paths.cert = files_->Write("chain", chain);
    EXPECT_THAT(Error(paths),
                HasSubstr("its certificate number 2 did not sign"));
  }
  paths.cert = files_->Write("chain", leaf + middle + middle);
  EXPECT_THAT(Error(paths), HasSubstr("its certificate number 3 did not sign"));
}

TEST_F(CertificateFilesTest, DatesCount) {
  const absl::Time now = absl::Now();
  const CertificatePaths identity = {.cert = files_->CertPath("server"),
                                     .key = files_->KeyPath("server"),
                                     .roots = ""};
  const CertificatePaths roots = {
      .cert = "", .key = "", .roots = files_->CertPath("ca")};
  for (const CertificatePaths& paths : {identity, roots}) {
    EXPECT_THAT(
        Error(paths, now + absl::Hours(48)),
        AllOf(HasSubstr(": has expired at 20"), HasSubstr(" UTC; renew it")));
    EXPECT_THAT(
        Error(paths, now - absl::Hours(48)),
        AllOf(HasSubstr(": is not valid before 20"), HasSubstr("clock")));
  }
}

// Of the chain too, and its end is that of the first to end.
TEST_F(CertificateFilesTest, AnExpiredSignerCounts) {
  files_->MakeSigned("old-middle", "ca", {.days = -1, .is_ca = true});
  files_->MakeSigned("young", "old-middle");
  CertificatePaths paths = PathsOf("young");
  paths.cert = files_->Write("young-chain", files_->Read("young.pem") +
                                                files_->Read("old-middle.pem"));
  EXPECT_THAT(Error(paths), HasSubstr("has expired"));
  files_->MakeSigned("long", "middle", {.days = 9});
  paths = PathsOf("long");
  paths.cert = files_->Write(
      "long-chain", files_->Read("long.pem") + files_->Read("middle.pem"));
  const absl::StatusOr<absl::Time> expiry = Check(paths);
  ASSERT_TRUE(expiry.ok()) << expiry.status();
  EXPECT_LT(*expiry, absl::Now() + absl::Hours(25));
}

// Bundles keep authorities that are over.
TEST_F(CertificateFilesTest, OneRootThatIsValidIsEnough) {
  files_->MakeSigned("old-root", "ca", {.days = -1, .is_ca = true});
  CertificatePaths paths = PathsOf("server");
  paths.roots = files_->Write(
      "bundle", files_->Read("old-root.pem") + files_->Read("ca.pem"));
  EXPECT_TRUE(Check(paths).ok()) << Check(paths).status();
  paths.roots = files_->CertPath("old-root");
  EXPECT_THAT(Error(paths), HasSubstr("has expired"));
}

int Count(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// Both flags may name one file with key and chain in any order.
TEST_F(CertificateFilesTest, TheIdentityHasOneKeyAndTheChain) {
  const std::string both = files_->Write(
      "both", absl::StrCat(files_->Read("leaf.pem"), files_->Read("leaf.key"),
                           files_->Read("middle.pem")));
  const CertificatePaths paths = {.cert = both, .key = both, .roots = ""};
  ASSERT_TRUE(Check(paths).ok()) << Check(paths).status();
  const std::string text = IdentityText(*ReadCertificates(paths));
  // Those of the chain's file, which has its key too.
  EXPECT_EQ(Count(text, "BEGIN CERTIFICATE"), 2);
  const std::string identity = files_->Write("identity", text);
  EXPECT_TRUE(Check({.cert = identity, .key = identity, .roots = ""}).ok());
  const std::string alone = IdentityText(*ReadCertificates(PathsOf("leaf")));
  EXPECT_EQ(Count(alone, "PRIVATE KEY-----"), 2) << "its begin and its end";
  EXPECT_EQ(Count(alone, "BEGIN CERTIFICATE"), 1);
}

TEST(TimeTextTest, IsUtc) {
  EXPECT_EQ(TimeText(absl::FromUnixSeconds(1800000000)),
            "2027-01-15 08:00:00 UTC");
}

}  // namespace
}  // namespace tandem
