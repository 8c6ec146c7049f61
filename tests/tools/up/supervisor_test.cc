#include "tools/tandem/up/supervisor.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/monotonic_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// Far above what any step needs.
constexpr absl::Duration kLimit = absl::Minutes(1);

// Says "ready" and goes on until SIGTERM.
constexpr char kServes[] =
    "trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.05; done";

class SupervisorTest : public ::testing::Test {
 protected:
  // Short times between starts.
  void Make(SupervisorOptions options = {}) {
    options.backoff_min = absl::Milliseconds(10);
    options.backoff_max = absl::Milliseconds(40);
    options.on_line = [this](const std::string& name, absl::string_view line) {
      lines_.push_back(absl::StrCat(name, ": ", line));
    };
    options.on_news = [this](const std::string& name, absl::string_view news) {
      news_.push_back(absl::StrCat(name, " ", news));
    };
    supervisor_ = std::make_unique<Supervisor>(std::move(options));
  }

  absl::Status Add(const std::string& name, const std::string& script) {
    return supervisor_->Add(name, {"/bin/sh", "-c", script});
  }

  // Attends until `is_over`, or the first error.
  absl::Status AttendUntil(const std::function<bool()>& is_over) {
    const absl::Time end = MonotonicNow() + kLimit;
    while (!is_over()) {
      if (MonotonicNow() > end) return absl::DeadlineExceededError("no end");
      const absl::Status status = supervisor_->Attend(absl::Seconds(1));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  int Count(const std::string& line) const {
    return static_cast<int>(std::count(lines_.begin(), lines_.end(), line));
  }

  std::vector<std::string> lines_;
  std::vector<std::string> news_;
  std::unique_ptr<Supervisor> supervisor_;
};

TEST_F(SupervisorTest, HandsOnLinesAndStates) {
  Make();
  ASSERT_TRUE(Add("a", kServes).ok());
  ASSERT_TRUE(Add("b", kServes).ok());
  supervisor_->MarkReady("a");
  ASSERT_TRUE(AttendUntil([this] {
                return Count("a: ready") == 1 && Count("b: ready") == 1;
              }).ok());
  EXPECT_THAT(supervisor_->States(),
              ElementsAre(Pair("a", ProgramState::kRunning),
                          Pair("b", ProgramState::kStarting)));
  EXPECT_THAT(news_, ElementsAre());
}

TEST_F(SupervisorTest, AnEndBeforeItIsReadyIsAnError) {
  Make();
  ASSERT_TRUE(Add("a", "echo why; exit 2").ok());
  const absl::Status status = AttendUntil([] { return false; });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "the a ended at its start: exit code 2");
  EXPECT_EQ(supervisor_->failed(), "a");
  EXPECT_THAT(lines_, ElementsAre("a: why"));
}

TEST_F(SupervisorTest, OneThatIsKilledIsStartedAgain) {
  Make();
  ASSERT_TRUE(Add("a", absl::StrCat("echo $$; ", kServes)).ok());
  supervisor_->MarkReady("a");
  ASSERT_TRUE(AttendUntil([this] { return Count("a: ready") == 1; }).ok());
  pid_t pid = 0;
  ASSERT_EQ(sscanf(lines_[0].c_str(), "a: %d", &pid), 1);
  ASSERT_EQ(kill(pid, SIGKILL), 0);
  ASSERT_TRUE(AttendUntil([this] { return Count("a: ready") == 2; }).ok());
  EXPECT_THAT(news_, ElementsAre("a ended with signal 9 (Killed); starts again "
                                 "in 10ms",
                                 "a started again"));
}

TEST_F(SupervisorTest, OneThatDoesNotStayIsGivenUp) {
  Make({.ends_max = 4});
  ASSERT_TRUE(Add("good", kServes).ok());
  ASSERT_TRUE(Add("bad", "sleep 0.05; echo broken; exit 7").ok());
  supervisor_->MarkReady("good");
  supervisor_->MarkReady("bad");
  const absl::Status status = AttendUntil([] { return false; });
  EXPECT_EQ(status.message(),
            "the bad ended 4 times in a row, last with exit code 7");
  EXPECT_EQ(supervisor_->failed(), "bad");
  EXPECT_EQ(Count("bad: broken"), 4);
  // Ever later.
  EXPECT_THAT(news_, Contains("bad ended with exit code 7; starts again in "
                              "10ms"));
  EXPECT_THAT(news_, Contains("bad ended with exit code 7; starts again in "
                              "20ms"));
  EXPECT_THAT(news_, Contains("bad ended with exit code 7; starts again in "
                              "40ms"));
}

TEST_F(SupervisorTest, EndsAfterALongRunAreNotInARow) {
  Make({.stays_after = absl::ZeroDuration(), .ends_max = 2});
  ASSERT_TRUE(Add("a", "echo x").ok());
  supervisor_->MarkReady("a");
  ASSERT_TRUE(AttendUntil([this] { return Count("a: x") == 5; }).ok());
}

TEST_F(SupervisorTest, AProgramThatCanNotBeStartedAgainIsGivenUp) {
  Make();
  const std::string path =
      absl::StrCat(::testing::TempDir(), "supervisor_test_", getpid());
  std::ofstream(path) << "#!/bin/sh\nsleep 0.1\n";
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  ASSERT_TRUE(supervisor_->Add("a", {path}).ok());
  supervisor_->MarkReady("a");
  std::filesystem::remove(path);
  const absl::Status status = AttendUntil([] { return false; });
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("can not be started: No such file or directory"));
}

TEST_F(SupervisorTest, StopsTheLastFirst) {
  Make();
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(Add(name, kServes).ok());
  }
  ASSERT_TRUE(AttendUntil([this] { return lines_.size() == 3; }).ok());
  supervisor_->StopAll();
  EXPECT_EQ(std::vector<std::string>(lines_.begin() + 3, lines_.end()),
            std::vector<std::string>({"c: bye", "b: bye", "a: bye"}));
  EXPECT_THAT(supervisor_->States(), ElementsAre());
  EXPECT_THAT(news_, ElementsAre());
}

TEST_F(SupervisorTest, KillsWhatDoesNotStop) {
  Make({.stop_timeout = absl::Milliseconds(100)});
  ASSERT_TRUE(
      Add("a", "trap '' TERM; echo ready; while true; do sleep 0.05; done")
          .ok());
  ASSERT_TRUE(AttendUntil([this] { return Count("a: ready") == 1; }).ok());
  supervisor_->StopAll();
  EXPECT_THAT(news_, ElementsAre("a did not stop in time and is killed"));
}

TEST_F(SupervisorTest, StoppingAllHasALimit) {
  Make({.stop_timeout = kLimit, .stop_all_timeout = absl::Milliseconds(100)});
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_TRUE(
        Add(name, "trap '' TERM; echo ready; while true; do sleep 0.05; done")
            .ok());
  }
  ASSERT_TRUE(AttendUntil([this] { return lines_.size() == 3; }).ok());
  supervisor_->StopAll();
  EXPECT_EQ(news_.size(), 3u);
}

TEST_F(SupervisorTest, RemovesOne) {
  Make();
  ASSERT_TRUE(Add("a", kServes).ok());
  ASSERT_TRUE(Add("b", kServes).ok());
  ASSERT_TRUE(AttendUntil([this] { return lines_.size() == 2; }).ok());
  supervisor_->Remove("a");
  EXPECT_EQ(Count("a: bye"), 1);
  EXPECT_THAT(supervisor_->States(),
              ElementsAre(Pair("b", ProgramState::kStarting)));
  ASSERT_TRUE(Add("a", kServes).ok());  // the name is free
}

// A full pipe would stop it.
TEST_F(SupervisorTest, OneThatWritesMuchGoesOn) {
  Make();
  ASSERT_TRUE(Add("a",
                  "head -c 1000000 /dev/zero | tr '\\0' '\\n'; echo done; exec "
                  "sleep 60")
                  .ok());
  supervisor_->MarkReady("a");
  ASSERT_TRUE(AttendUntil([this] { return Count("a: done") == 1; }).ok());
  EXPECT_EQ(lines_.size(), 1000001u);
}

}  // namespace
}  // namespace tandem::cli
