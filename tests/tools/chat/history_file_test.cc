#include "tools/tandem/chat/history_file.h"

#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// From the oldest.
std::vector<std::string> LinesOf(const HistoryFile& file) {
  std::vector<std::string> lines;
  HistEvent event;
  for (int found = history(file.entries(), &event, H_LAST); found != -1;
       found = history(file.entries(), &event, H_PREV)) {
    lines.push_back(event.str);
  }
  return lines;
}

class HistoryFileTest : public ::testing::Test {
 protected:
  HistoryFileTest()
      : path_(absl::StrCat(::testing::TempDir(), "history-", getpid(),
                           "/state/tandem/history")) {}
  ~HistoryFileTest() override {
    std::filesystem::remove_all(
        absl::StrCat(::testing::TempDir(), "history-", getpid()));
  }

  const std::string path_;
};

TEST_F(HistoryFileTest, LinesAreThereAgain) {
  {
    HistoryFile file(path_);
    EXPECT_THAT(LinesOf(file), IsEmpty());
    ASSERT_TRUE(file.Add("one").ok());
    ASSERT_TRUE(file.Add("two\nlines, and a \\").ok());
    ASSERT_TRUE(file.Add("n\u00e4\u732b").ok());
    ASSERT_TRUE(file.Add("n\u00e4\u732b").ok());  // kept once
  }
  EXPECT_THAT(LinesOf(HistoryFile(path_)),
              ElementsAre("one", "two\nlines, and a \\", "n\u00e4\u732b"));
}

TEST_F(HistoryFileTest, IsForItsOwnerAlone) {
  HistoryFile file(path_);
  const mode_t before = umask(0);
  EXPECT_TRUE(file.Add("secret").ok());
  umask(before);
  struct stat found;
  ASSERT_EQ(stat(path_.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777, 0600u);
}

TEST_F(HistoryFileTest, TwoChatsShareIt) {
  HistoryFile one(path_);
  HistoryFile two(path_);
  ASSERT_TRUE(one.Add("of one").ok());
  ASSERT_TRUE(two.Add("of two").ok());
  ASSERT_TRUE(one.Add("of one again").ok());
  EXPECT_THAT(LinesOf(HistoryFile(path_)),
              ElementsAre("of one", "of two", "of one again"));
  EXPECT_THAT(LinesOf(one), ElementsAre("of one", "of one again"));
}

TEST_F(HistoryFileTest, IsBounded) {
  std::filesystem::create_directories(
      std::filesystem::path(path_).parent_path());
  std::ofstream out(path_);
  out << "_HiStOrY_V2_\n";
  for (int i = 0; i < kHistoryEntriesMax + 5; ++i) out << "line" << i << "\n";
  out.close();
  HistoryFile file(path_);
  EXPECT_EQ(LinesOf(file).size(), size_t{kHistoryEntriesMax});
  EXPECT_EQ(LinesOf(file).front(), "line5");
  ASSERT_TRUE(file.Add(std::string(kHistoryEntryBytesMax + 1, 'a')).ok());
  EXPECT_EQ(LinesOf(file).back(), absl::StrCat("line", kHistoryEntriesMax + 4));
  ASSERT_TRUE(file.Add("new").ok());
  EXPECT_EQ(LinesOf(HistoryFile(path_)).size(), size_t{kHistoryEntriesMax});
}

TEST_F(HistoryFileTest, InMemoryAlone) {
  HistoryFile file("");
  EXPECT_TRUE(file.Add("one").ok());
  EXPECT_THAT(LinesOf(file), ElementsAre("one"));
}

TEST_F(HistoryFileTest, WhatCanNotBeUsedIsAnError) {
  // A folder stands where the file should.
  std::filesystem::create_directories(path_ + "/x");
  HistoryFile file(path_);
  const absl::Status status = file.Add("one");
  EXPECT_THAT(status.message(), HasSubstr(path_));
  EXPECT_THAT(LinesOf(file), ElementsAre("one"));
}

TEST(DefaultHistoryPathTest, FollowsTheEnvironment) {
  const char* const home = getenv("HOME");
  const std::string before = home == nullptr ? "" : home;
  setenv("HOME", "/home/a", 1);
  unsetenv("XDG_STATE_HOME");
  EXPECT_EQ(DefaultHistoryPath(), "/home/a/.local/state/tandem/history");
  setenv("XDG_STATE_HOME", "relative", 1);
  EXPECT_EQ(DefaultHistoryPath(), "/home/a/.local/state/tandem/history");
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(DefaultHistoryPath(), "/state/tandem/history");
  unsetenv("XDG_STATE_HOME");
  unsetenv("HOME");
  EXPECT_EQ(DefaultHistoryPath(), "");
  setenv("HOME", before.c_str(), 1);
}

}  // namespace
}  // namespace tandem::cli
