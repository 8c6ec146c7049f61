#include "services/coordinator/store/postgres_address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CheckPostgresAddressTest, TakesWhatLibpqTakes) {
  for (const char* const address :
       {"postgres://tandem@db.example.com/sessions?sslmode=verify-full",
        "postgresql://u@h1:5433,h2/d", "postgres:///d?host=/run/postgresql",
        "postgres://"}) {
    EXPECT_TRUE(IsPostgresAddress(address));
    EXPECT_EQ(CheckPostgresAddress(address), absl::OkStatus()) << address;
  }
}

TEST(CheckPostgresAddressTest, ThereIsNoPasswordInIt) {
  for (const char* const address :
       {"postgres://u:hunter2@h/d", "postgres://u@h/d?password=hunter2",
        "postgres://u@h/d?sslpassword=hunter2"}) {
    const absl::Status status = CheckPostgresAddress(address);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("others can see"), Not(HasSubstr("hunter2"))));
  }
}

TEST(CheckPostgresAddressTest, WhatIsNoAddressIsNotRepeated) {
  for (const char* const address :
       {"mysql://u:hunter2@h/d", "postgres://u:hunter2@h/d?nothing=1",
        "postgres://u:hunter2@[::1/d", "host=h password=hunter2", ""}) {
    const absl::Status status = CheckPostgresAddress(address);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("write it as"), Not(HasSubstr("hunter2"))));
  }
}

class ReadPasswordFileTest : public ::testing::Test {
 protected:
  ReadPasswordFileTest() {
    std::string path = absl::StrCat(::testing::TempDir(), "/password_XXXXXX");
    const int file = mkstemp(path.data());  // mode 600
    EXPECT_GE(file, 0);
    close(file);
    path_ = path;
  }
  ~ReadPasswordFileTest() override { unlink(path_.c_str()); }

  void Write(const std::string& text) const {
    std::ofstream(path_, std::ios::binary) << text;
  }
  std::string Refusal() const {
    const absl::Status status = ReadPasswordFile(path_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }

  std::string path_;
};

TEST_F(ReadPasswordFileTest, IsOneLine) {
  for (const char* const text : {"hunter 2\n", "hunter 2"}) {
    Write(text);
    const absl::StatusOr<std::string> password = ReadPasswordFile(path_);
    ASSERT_TRUE(password.ok()) << password.status();
    EXPECT_EQ(*password, "hunter 2");
  }
  EXPECT_EQ(*ReadPasswordFile(""), "");
}

TEST_F(ReadPasswordFileTest, OtherTextIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("\n"), std::string("a\nb\n"),
        std::string("a\0b", 3), std::string(1024, 'a')}) {
    Write(text);
    EXPECT_EQ(Refusal(), path_ +
                             ": does not hold a password, alone and in one "
                             "line");
  }
}

TEST_F(ReadPasswordFileTest, EverybodyMayNotReadIt) {
  Write("a");
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  EXPECT_EQ(
      Refusal(),
      absl::StrCat(path_, ": everybody may read it; run: chmod o-r ", path_));
  ASSERT_EQ(chmod(path_.c_str(), 0440), 0);
  EXPECT_TRUE(ReadPasswordFile(path_).ok());
}

TEST_F(ReadPasswordFileTest, IsAFile) {
  unlink(path_.c_str());
  EXPECT_THAT(Refusal(), HasSubstr("No such file or directory"));
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_THAT(Refusal(), HasSubstr("is a FIFO"));
}

}  // namespace
}  // namespace tandem
