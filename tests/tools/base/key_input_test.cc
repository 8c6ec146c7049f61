#include "tools/tandem/base/key_input.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/access/api_key.h"
#include "tests/services/access/key_files.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

class KeyInputTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text, mode_t mode = 0600) const {
    std::string path = folder_.folder() + "/key";
    std::ofstream(path) << text;
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  static std::string ErrorOf(const std::string& path) {
    const auto key = ReadKey({.key_file = path});
    EXPECT_TRUE(absl::IsInvalidArgument(key.status()));
    return std::string(key.status().message());
  }

  const std::string key_ = DrawApiKey();
  const TemporaryKeyFile folder_;
};

TEST_F(KeyInputTest, ReadsTheKeyOfAFile) {
  for (const std::string& text :
       {key_, key_ + "\n", absl::StrCat(" ", key_, "\r\n")}) {
    EXPECT_EQ(ReadKey({.key_file = Write(text)}).value(), key_);
  }
  EXPECT_EQ(ReadKey({.key_file = Write(key_, 0440)}).value(), key_);
}

TEST_F(KeyInputTest, RefusesAFileThatEverybodyMayRead) {
  for (const mode_t mode : {0604, 0644, 0602}) {
    const std::string path = Write(key_, mode);
    EXPECT_EQ(ErrorOf(path),
              absl::StrCat("--key-file ", path,
                           ": everybody on this machine may read the key; "
                           "chmod 600"));
  }
}

TEST_F(KeyInputTest, RefusesWhatIsNoKeyWithoutShowingIt) {
  for (const std::string& text :
       {std::string(), std::string("password"), key_ + "\n" + key_,
        key_ + std::string(5000, ' ') + "x"}) {
    const std::string error = ErrorOf(Write(text));
    EXPECT_THAT(error, HasSubstr("holds no API key: one is tandem_ and 43"));
    EXPECT_THAT(error, ::testing::Not(HasSubstr("password")));
    EXPECT_THAT(error, ::testing::Not(HasSubstr(key_)));
  }
  EXPECT_THAT(ErrorOf(folder_.folder()), HasSubstr("is a directory"));
  EXPECT_THAT(ErrorOf("/nonexistent"), HasSubstr("cannot read it: No such"));
}

// What follows is the command's: a prompt, say.
TEST_F(KeyInputTest, TakesOneLineOfStandardInput) {
  std::istringstream input(key_ + "\nOnce upon a time");
  EXPECT_EQ(ReadKey({.key_file = "-", .input = &input}).value(), key_);
  std::string rest;
  EXPECT_TRUE(std::getline(input, rest));
  EXPECT_EQ(rest, "Once upon a time");
  EXPECT_EQ(ReadKey({.key_file = "-", .key = key_}).value(), key_);
  EXPECT_EQ(ReadKey({}).value(), "");
  std::istringstream empty;
  EXPECT_FALSE(ReadKey({.key_file = "-", .input = &empty}).ok());
}

TEST(CheckKeyMayGoToTest, ByTlsOrLocally) {
  const auto goes = [](const char* address, const ConnectionFlags& connection) {
    return CheckKeyMayGoTo("--coordinator", address, connection).ok();
  };
  for (const char* local : {"127.0.0.1:1", "localhost:1", "unix:s"}) {
    EXPECT_TRUE(goes(local, {}));
    EXPECT_FALSE(goes(local, {.http_proxy = true}));
  }
  for (const char* remote : {"10.0.0.1:1", "example.org:1", "dns:///a:1"}) {
    EXPECT_FALSE(goes(remote, {}));
    EXPECT_TRUE(goes(remote, {.tls = {.ca = "ca.pem", .cert = "", .key = ""}}));
  }
}

}  // namespace
}  // namespace tandem::cli
