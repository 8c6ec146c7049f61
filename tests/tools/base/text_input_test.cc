#include "tools/tandem/base/text_input.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

const TextNames kNames = {.what = "prompt", .file_flag = "--prompt-file"};

std::string MessageOf(const absl::Status& status) {
  return std::string(status.message());
}

TEST(TextInputTest, ArgumentIsTakenAsItIs) {
  std::istringstream in("unread");
  const Io io = {.in = &in};
  EXPECT_EQ(*ReadText({.argument = "text"}, kNames, io), "text");
  EXPECT_EQ(*ReadText({.argument = ""}, kNames, io), "");
}

TEST(TextInputTest, StandardInputByteForByte) {
  const std::string bytes("a\0\r\n\xff\n", 6);
  for (const TextSource& source :
       {TextSource{}, TextSource{.argument = "-"}, TextSource{.file = "-"}}) {
    std::istringstream in(bytes);
    EXPECT_EQ(*ReadText(source, kNames, {.in = &in}), bytes);
  }
}

TEST(TextInputTest, File) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "text-input-", getpid(), ".txt");
  std::ofstream(path) << "in a file\n";
  EXPECT_EQ(*ReadText({.file = path}, kNames, {}), "in a file\n");
  unlink(path.c_str());
  EXPECT_THAT(MessageOf(ReadText({.file = path}, kNames, {}).status()),
              HasSubstr("--prompt-file " + path));
}

TEST(TextInputTest, ADirectoryIsNoFile) {
  const auto text = ReadText({.file = ::testing::TempDir()}, kNames, {});
  EXPECT_FALSE(text.ok());
}

TEST(TextInputTest, ArgumentAndFileAreTooMuch) {
  const auto text = ReadText({.argument = "a", .file = "b"}, kNames, {});
  EXPECT_THAT(MessageOf(text.status()), HasSubstr("not both"));
}

TEST(TextInputTest, TooLongIsRefused) {
  std::istringstream in(std::string(kInputBytesMax + 1, 'x'));
  EXPECT_THAT(MessageOf(ReadText({}, kNames, {.in = &in}).status()),
              HasSubstr("shorter text"));
}

TEST(TextInputTest, Utf8) {
  EXPECT_TRUE(CheckUtf8("", "text").ok());
  EXPECT_TRUE(CheckUtf8("\xc3\xa4\xf0\x9f\x98\x80", "text").ok());
  EXPECT_TRUE(CheckUtf8(absl::string_view("a\0b", 3), "text").ok());
  EXPECT_THAT(MessageOf(CheckUtf8("ab\xc3", "text")), HasSubstr("at byte 2"));
  EXPECT_FALSE(CheckUtf8("\xed\xa0\x80", "text").ok());  // a surrogate
  EXPECT_FALSE(CheckUtf8("\xc0\x80", "text").ok());      // overlong
}

}  // namespace
}  // namespace tandem::cli
