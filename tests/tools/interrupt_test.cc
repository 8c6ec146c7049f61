#include "tools/tandem/interrupt.h"

#include <sys/wait.h>
#include <unistd.h>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

// Each case runs in a process of its own: signals are the process's.
int ExitCodeOf(void (*body)()) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(99);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(InterruptWatcherTest, TheFirstSignalCallsBack) {
  EXPECT_EQ(ExitCodeOf([] {
              absl::Notification called;
              InterruptWatcher watcher([&called] { called.Notify(); });
              if (watcher.interrupted()) _exit(1);
              kill(getpid(), SIGINT);
              called.WaitForNotification();
              _exit(watcher.interrupted() ? 0 : 2);
            }),
            0);
}

TEST(InterruptWatcherTest, TheSecondSignalEndsTheProcess) {
  EXPECT_EQ(ExitCodeOf([] {
              absl::Notification called;
              InterruptWatcher watcher([&called] { called.Notify(); });
              kill(getpid(), SIGTERM);
              called.WaitForNotification();
              kill(getpid(), SIGTERM);
              sleep(60);
            }),
            130);
}

TEST(InterruptWatcherTest, AfterItsEndSignalsKillAgain) {
  EXPECT_EQ(ExitCodeOf([] {
              {
                InterruptWatcher watcher([] {});
              }
              kill(getpid(), SIGINT);
              sleep(60);
            }),
            -SIGINT);
}

}  // namespace
}  // namespace tandem::cli
