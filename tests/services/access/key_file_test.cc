#include "services/access/key_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "engine/base/error_reason.h"
#include "tests/services/access/key_files.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

const std::string kHashA(64, 'a');
const std::string kHashB(64, 'b');

constexpr char kGood[] = R"({
  "version": 1,
  "tenants": [
    {
      "name": "alice",
      "limits": {"turns_max": 3, "kv_share": 0.25},
      "keys": [
        {
          "id": "k1",
          "label": "laptop",
          "sha256": "HASH_A",
          "scopes": ["generate", "admin"],
          "created": "2026-11-29T08:00:00Z",
          "expires": "2027-02-28T09:00:00.5+01:00"
        },
        {"id": "k2", "sha256": "HASH_B", "scopes": ["metrics"],
         "created": "2026-11-29T08:00:00Z"}
      ]
    },
    {"name": "bob", "keys": []}
  ]
}
)";

std::string Good() {
  return absl::StrReplaceAll(kGood, {{"HASH_A", kHashA}, {"HASH_B", kHashB}});
}

TEST(KeyFileTest, ReadsAllFields) {
  const auto file = ParseKeyFile(Good(), "keys.json");
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tenants.size(), 2u);
  const KeyFileTenant& alice = file->tenants[0];
  EXPECT_EQ(alice.name, "alice");
  EXPECT_EQ(alice.limits, (KeyLimits{.turns_max = 3, .kv_share = 0.25}));
  ASSERT_EQ(alice.keys.size(), 2u);
  EXPECT_EQ(alice.keys[0].id, "k1");
  EXPECT_EQ(alice.keys[0].label, "laptop");
  EXPECT_EQ(alice.keys[0].sha256, kHashA);
  EXPECT_EQ(alice.keys[0].scopes,
            (std::set<Scope>{Scope::kGenerate, Scope::kAdmin}));
  EXPECT_EQ(FormatKeyTime(alice.keys[0].created), "2026-11-29T08:00:00Z");
  EXPECT_EQ(FormatKeyTime(alice.keys[0].expires), "2027-02-28T08:00:00Z");
  EXPECT_EQ(alice.keys[1].label, "");
  EXPECT_EQ(alice.keys[1].expires, absl::InfiniteFuture());
  EXPECT_EQ(file->tenants[1].name, "bob");
  EXPECT_EQ(file->tenants[1].limits, KeyLimits());
}

TEST(KeyFileTest, WhatIsWrittenIsReadAgain) {
  KeyFile file = *ParseKeyFile(Good(), "keys.json");
  file.tenants[1].limits = {.turns_max = 1,
                            .sessions_max = 2,
                            .queued_tokens_max = 3,
                            .tokens_per_minute = 4,
                            .kv_share = 1};
  const std::string text = FormatKeyFile(file);
  const auto again = ParseKeyFile(text, "keys.json");
  ASSERT_TRUE(again.ok()) << again.status() << text;
  EXPECT_EQ(FormatKeyFile(*again), text);
  EXPECT_EQ(again->tenants[1].limits, file.tenants[1].limits);
  EXPECT_EQ(again->tenants[0].keys[0].label, "laptop");
}

TEST(KeyFileTest, WhatIsWrongIsNamedWithItsLine) {
  const struct {
    std::string from;
    std::string to;
    std::string error;
  } cases[] = {
      {"\"version\": 1", "\"version\": 2",
       "keys.json:2: version: must be 1, the format that this program knows"},
      {"\"version\": 1,", "", "keys.json:1: the file: lacks the field"},
      {"\"version\": 1", "\"version\": 1, \"more\": 1",
       "keys.json:2: more: is no known field; known are version, tenants"},
      {"\"label\"", "\"lable\"",
       "keys.json:10: tenants[0].keys[0].lable: is no known field; known are "
       "id, sha256, scopes, created, label, expires"},
      {"\"label\"", "\"a b\"",
       "keys.json:10: tenants[0].keys[0]: is no known field"},
      {"\"laptop\"", "5", "keys.json:10: tenants[0].keys[0].label: must be a"},
      {"\"laptop\"", "\"a\\u0007\"",
       "tenants[0].keys[0].label: must be a text"},
      {"\"alice\"", "\"Alice\"",
       "keys.json:5: tenants[0].name: must be 1 to 64 of a-z, 0-9"},
      {"\"alice\"", absl::StrCat("\"", std::string(65, 'a'), "\""),
       "keys.json:5: tenants[0].name: must be 1 to 64 of a-z, 0-9"},
      {"\"bob\"", "\"alice\"",
       "keys.json:20: tenants[1].name: another tenant has this name"},
      {"\"turns_max\": 3", "\"turns_max\": -1",
       "keys.json:6: tenants[0].limits.turns_max: must be a whole number"},
      {"\"turns_max\": 3", "\"turns_max\": 1.5", "must be a whole number"},
      {"0.25", "1.01", "keys.json:6: tenants[0].limits.kv_share: must be a nu"},
      {"0.25", "\"1\"",
       "keys.json:6: tenants[0].limits.kv_share: must be a nu"},
      {"\"k2\"", "\"k1\"", "keys.json:16: tenants[0].keys[1].id: another key"},
      {"\"k2\"", "\"\"",
       "keys.json:16: tenants[0].keys[1].id: must be 1 to 64"},
      {kHashB, kHashA, "keys.json:16: tenants[0].keys[1].sha256: stands there"},
      {kHashB, "b", "keys.json:16: tenants[0].keys[1].sha256: must be the ke"},
      {kHashB, std::string(64, 'B'), "tenants[0].keys[1].sha256: must be the"},
      {"[\"metrics\"]", "[\"metric\"]",
       "keys.json:16: tenants[0].keys[1].scopes[0]: must be one of generate, "
       "score, admin, metrics"},
      {"[\"metrics\"]", "[]",
       "keys.json:16: tenants[0].keys[1].scopes: must have at least one of"},
      {"[\"metrics\"]", "\"metrics\"",
       "keys.json:16: tenants[0].keys[1].scopes: must be a list"},
      {"[\"metrics\"]", "[\"score\", \"score\"]",
       "keys.json:16: tenants[0].keys[1].scopes[1]: stands there twice"},
      {"\"2027-02-28T09:00:00.5+01:00\"", "\"infinite-future\"",
       "keys.json:14: tenants[0].keys[0].expires: must be a time like"},
      {"\"2027-02-28T09:00:00.5+01:00\"", "\"2027-02-30T09:00:00Z\"",
       "keys.json:14: tenants[0].keys[0].expires: must be a time like"},
      {"\"2027-02-28T09:00:00.5+01:00\"", "null",
       "keys.json:14: tenants[0].keys[0].expires: must be a time like"},
      {"\"keys\": []", "\"keys\": [1]",
       "keys.json:20: tenants[1].keys[0]: must be an object"},
      {"\"keys\": []", "\"keys\": [1, 2, 3]",
       "keys.json:20: tenants[1].keys: has 3 keys, a tenant has at most 2; "
       "take one out with `tandem keys revoke KEY_ID`"},
      {", \"keys\": []", "", "keys.json:20: tenants[1]: lacks the field"},
      {"\"keys\": []}", "\"keys\": []", "keys.json:21: is not JSON near"}};
  for (const auto& [from, to, error] : cases) {
    std::string text = Good();
    const size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const absl::Status status = ParseKeyFile(text, "keys.json").status();
    EXPECT_THAT(std::string(status.message()), HasSubstr(error));
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  }
}

TEST(KeyFileTest, FilesThatAreNone) {
  EXPECT_THAT(std::string(ParseKeyFile(" \n", "f").status().message()),
              HasSubstr("f: is empty; `tandem keys new TENANT` makes the"));
  EXPECT_THAT(std::string(ParseKeyFile("[]", "f").status().message()),
              HasSubstr("f:1: the file: must be an object"));
  EXPECT_THAT(
      std::string(ParseKeyFile(std::string(kKeyFileBytesMax + 1, ' '), "f")
                      .status()
                      .message()),
      HasSubstr("f: has more than 1048576 bytes"));
}

TEST(KeyFileTest, ScopeNames) {
  for (const Scope scope : kScopes) {
    EXPECT_EQ(ParseScope(ScopeName(scope)), scope);
  }
  EXPECT_EQ(ParseScope("all"), std::nullopt);
}

TEST(KeyFileTest, Labels) {
  EXPECT_TRUE(IsKeyLabel(""));
  EXPECT_TRUE(IsKeyLabel("B\xc3\xbcro, 2. Stock"));
  EXPECT_TRUE(IsKeyLabel(std::string(kKeyLabelBytesMax, 'x')));
  EXPECT_FALSE(IsKeyLabel(std::string(kKeyLabelBytesMax + 1, 'x')));
  EXPECT_FALSE(IsKeyLabel("a\nb"));
  EXPECT_FALSE(IsKeyLabel("\xff"));
  EXPECT_FALSE(IsKeyLabel("\xc3"));
}

std::string ReadError(const std::string& path) {
  return std::string(ReadKeyFileText(path).status().message());
}

TEST(KeyFileTextTest, ReadsWhatStandsThere) {
  const TemporaryKeyFile file;
  file.Replace("text\n");
  const auto read = ReadKeyFileText(file.path());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->text, "text\n");
  EXPECT_EQ(StampOfFile(file.path()), read->stamp);
  file.Replace("other");  // another file of the same length
  EXPECT_NE(StampOfFile(file.path()), read->stamp);
  EXPECT_EQ(StampOfFile(file.path() + ".none"), std::nullopt);
}

// As after a change of the owner, which makes a file readable or not.
TEST(KeyFileTextTest, AStampShowsWhatLeavesSizeModeAndTime) {
  const TemporaryKeyFile file;
  file.Replace("text");
  const std::optional<FileStamp> before = StampOfFile(file.path());
  struct stat info;
  ASSERT_EQ(stat(file.path().c_str(), &info), 0);
  // The kernel's clock of files ticks within 10 ms.
  absl::SleepFor(absl::Milliseconds(50));
  const timespec times[2] = {info.st_atim, info.st_mtim};
  ASSERT_EQ(utimensat(AT_FDCWD, file.path().c_str(), times, 0), 0);
  EXPECT_EQ(StampOfFile(file.path())->modified_ns, before->modified_ns);
  EXPECT_NE(StampOfFile(file.path()), before);
}

TEST(KeyFileTextTest, RefusesWhatOthersCouldHaveWritten) {
  const TemporaryKeyFile file;
  for (const mode_t mode : {0620, 0602, 0666}) {
    ASSERT_EQ(chmod(file.path().c_str(), mode), 0);
    EXPECT_THAT(ReadError(file.path()),
                HasSubstr("others than its owner may write it"));
  }
  for (const mode_t mode : {0600, 0644, 0440}) {
    ASSERT_EQ(chmod(file.path().c_str(), mode), 0);
    EXPECT_TRUE(ReadKeyFileText(file.path()).ok());
  }
}

TEST(KeyFileTextTest, RefusesWhatIsNoFileOfKeys) {
  const TemporaryKeyFile file;
  EXPECT_THAT(ReadError(file.path() + ".none"),
              HasSubstr(".none: cannot be read: No such file"));
  EXPECT_THAT(ReadError(file.folder()), HasSubstr(": is a directory, not a"));
  const std::string fifo = file.folder() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(ReadError(fifo), HasSubstr(": is a FIFO, not a file of keys"));
  file.Replace(std::string(kKeyFileBytesMax + 10, ' '));
  const auto read = ReadKeyFileText(file.path());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->text.size(), kKeyFileBytesMax + 1);  // ParseKeyFile refuses
}

}  // namespace
}  // namespace tandem
