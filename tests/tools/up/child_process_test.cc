#include "tools/tandem/up/child_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Far above what any step needs: nothing here measures time.
constexpr int kLimitMs = 60'000;

absl::StatusOr<std::unique_ptr<ChildProcess>> Shell(const std::string& script) {
  return ChildProcess::Start({"/bin/sh", "-c", script});
}

// Until the output ends.
std::vector<std::string> AllLines(ChildProcess* child) {
  std::vector<std::string> lines;
  while (child->output() >= 0) {
    pollfd wait = {.fd = child->output(), .events = POLLIN, .revents = 0};
    if (poll(&wait, 1, kLimitMs) != 1) break;
    child->ReadLines(
        [&lines](absl::string_view line) { lines.emplace_back(line); });
  }
  return lines;
}

ChildEnd EndOf(ChildProcess* child) {
  for (int i = 0; i < kLimitMs / 10; ++i) {
    if (const std::optional<ChildEnd> end = child->end()) return *end;
    absl::SleepFor(absl::Milliseconds(10));
  }
  ADD_FAILURE() << "the child does not end";
  return {};
}

TEST(ChildProcessTest, GivesLinesOfBothOutputsAndTheExitCode) {
  const auto child = Shell("echo one; echo two >&2; printf three; exit 3");
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_THAT(AllLines(child->get()), ElementsAre("one", "two", "three"));
  const ChildEnd end = EndOf(child->get());
  EXPECT_EQ(end.exit_code, 3);
  EXPECT_EQ(end.signal, 0);
  EXPECT_EQ(DescribeEnd(end), "exit code 3");
}

TEST(ChildProcessTest, CutsLinesThatDoNotEnd) {
  const auto child = Shell("head -c 20000 /dev/zero | tr '\\0' x");
  ASSERT_TRUE(child.ok()) << child.status();
  const std::vector<std::string> lines = AllLines(child->get());
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], SizeIs(kOutputLineBytesMax));
  EXPECT_THAT(lines[2], SizeIs(20000 - 2 * kOutputLineBytesMax));
}

TEST(ChildProcessTest, StandardInputIsEmptyAndFlagsOfTheEnvironmentAreGone) {
  setenv("TANDEM_LISTEN", "127.0.0.1:1", /*overwrite=*/1);
  setenv("UP_TEST", "kept", /*overwrite=*/1);
  const auto child = Shell("read line; echo \"$line,$TANDEM_LISTEN,$UP_TEST\"");
  unsetenv("TANDEM_LISTEN");
  unsetenv("UP_TEST");
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_THAT(AllLines(child->get()), ElementsAre(",,kept"));
}

TEST(ChildProcessTest, IsAloneInItsGroupAndBlocksNoSignal) {
  sigset_t set;
  sigset_t before;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &set, &before), 0);
  const auto child = Shell(
      "ps -o pgid= -p $$ 2>/dev/null || "
      "cut -d' ' -f5 /proc/$$/stat; "
      "while true; do sleep 1; done");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(child.ok()) << child.status();
  std::string group;
  while (group.empty()) {
    pollfd wait = {.fd = (*child)->output(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&wait, 1, kLimitMs), 1);
    (*child)->ReadLines(
        [&group](absl::string_view line) { group = std::string(line); });
  }
  EXPECT_THAT(group, HasSubstr(std::to_string((*child)->pid())));
  EXPECT_EQ((*child)->end(), std::nullopt);
  (*child)->Signal(SIGTERM);
  const ChildEnd end = EndOf(child->get());
  EXPECT_EQ(end.signal, SIGTERM);
  EXPECT_EQ(DescribeEnd(end), "signal 15 (Terminated)");
  (*child)->Signal(SIGTERM);  // reaches nobody
}

TEST(ChildProcessTest, TheDestructorKills) {
  pid_t pid = 0;
  {
    const auto child = Shell("trap '' TERM; while true; do sleep 1; done");
    ASSERT_TRUE(child.ok()) << child.status();
    pid = (*child)->pid();
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_NE(kill(pid, 0), 0);
}

TEST(ChildProcessTest, AProgramThatIsNotThere) {
  const auto child = ChildProcess::Start({"/nonexistent/program"});
  EXPECT_EQ(child.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(child.status().message(),
            "/nonexistent/program: can not be started: No such file or "
            "directory");
}

// The parent of the child is a process of its own, which is killed.
TEST(ChildProcessTest, DiesWithItsParent) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    const auto child = Shell("while true; do sleep 1; done");
    const pid_t pid = child.ok() ? (*child)->pid() : -1;
    (void)!write(ends[1], &pid, sizeof(pid));
    raise(SIGKILL);
  }
  close(ends[1]);
  pid_t child = -1;
  ASSERT_EQ(read(ends[0], &child, sizeof(child)),
            static_cast<ssize_t>(sizeof(child)));
  close(ends[0]);
  ASSERT_GT(child, 0);
  waitpid(parent, nullptr, 0);
  // A zombie of whoever adopts orphans here counts as dead.
  const auto is_alive = [child] {
    std::ifstream file("/proc/" + std::to_string(child) + "/stat");
    std::string stat;
    std::getline(file, stat);
    return !stat.empty() && stat.find(") Z") == std::string::npos;
  };
  for (int i = 0; i < kLimitMs / 10 && is_alive(); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_FALSE(is_alive());
}

}  // namespace
}  // namespace tandem::cli
