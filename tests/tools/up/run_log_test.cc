#include "tools/tandem/up/run_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class RunLogTest : public ::testing::Test {
 protected:
  ~RunLogTest() override { std::filesystem::remove_all(folder_); }

  const std::string folder_ =
      absl::StrCat(::testing::TempDir(), "run_log_test_", getpid());
  const std::string path_ = folder_ + "/state/up.log";
};

TEST_F(RunLogTest, LinesHaveTheNameOfTheirProcess) {
  const auto log = RunLog::Open(path_);
  ASSERT_TRUE(log.ok()) << log.status();
  (*log)->Write("target", "a {} b");
  (*log)->Write("draft", "");
  EXPECT_EQ(Read(path_), "target: a {} b\ndraft: \n");
  EXPECT_THAT((*log)->Newest("target"), ElementsAre("target: a {} b"));
  EXPECT_THAT((*log)->Newest("gateway"), SizeIs(0));
}

TEST_F(RunLogTest, IsForTheUserAlone) {
  const auto log = RunLog::Open(path_);
  ASSERT_TRUE(log.ok()) << log.status();
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((folder_ + "/state").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(RunLogTest, KeepsTheNewestLinesInMemory) {
  const auto log = RunLog::Open(path_);
  ASSERT_TRUE(log.ok()) << log.status();
  for (int i = 0; i < 100; ++i) (*log)->Write("a", absl::StrCat(i));
  EXPECT_THAT((*log)->Newest("a"), SizeIs(kRunLogNewestLines));
  EXPECT_EQ((*log)->Newest("a").front(), "a: 90");
  EXPECT_EQ((*log)->Newest("a").back(), "a: 99");
}

TEST_F(RunLogTest, TheRunBeforeIsKept) {
  for (const char* line : {"first", "second", "third"}) {
    const auto log = RunLog::Open(path_);
    ASSERT_TRUE(log.ok()) << log.status();
    (*log)->Write("a", line);
  }
  EXPECT_EQ(Read(path_), "a: third\n");
  EXPECT_EQ(Read(folder_ + "/state/up.1.log"), "a: second\n");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/state/up.2.log"));
}

TEST_F(RunLogTest, ItsSizeHasABound) {
  const auto log = RunLog::Open(path_);
  ASSERT_TRUE(log.ok()) << log.status();
  const std::string line(1 << 20, 'x');
  for (size_t i = 0; i < 2 * kRunLogBytesMax / line.size() + 2; ++i) {
    (*log)->Write("a", line);
  }
  EXPECT_LE(std::filesystem::file_size(path_), kRunLogBytesMax);
  EXPECT_LE(std::filesystem::file_size(folder_ + "/state/up.1.log"),
            kRunLogBytesMax);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/state/up.2.log"));
}

TEST_F(RunLogTest, RefusesWhatIsNoRegularFile) {
  std::filesystem::create_directories(folder_);
  const auto folder = RunLog::Open(folder_);
  EXPECT_EQ(folder.status().message(),
            folder_ +
                ": can not be written: it is a directory; name a regular "
                "file");
  ASSERT_EQ(mkfifo((folder_ + "/fifo").c_str(), 0600), 0);
  const auto fifo = RunLog::Open(folder_ + "/fifo");
  EXPECT_THAT(std::string(fifo.status().message()), HasSubstr("it is a FIFO"));
  std::ofstream(folder_ + "/file") << "x";
  const auto below = RunLog::Open(folder_ + "/file/up.log");
  EXPECT_THAT(std::string(below.status().message()),
              HasSubstr("up.log: can not be written: "));
}

}  // namespace
}  // namespace tandem::cli
