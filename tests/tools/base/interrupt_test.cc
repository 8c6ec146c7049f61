#include "tools/tandem/base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/synchronization/notification.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {
namespace {

// Each in a process of its own: signals are the process's.
class InterruptTest : public ::testing::Test {
 protected:
  InterruptTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(InterruptTest, CtrlCEndsWhatIsUnderWay) {
  EXPECT_EXIT(
      {
        Interrupt interrupt;
        absl::Notification ended;
        interrupt.SetUnderWay([&ended] { ended.Notify(); });
        if (interrupt.came()) _exit(1);
        kill(getpid(), SIGINT);
        ended.WaitForNotification();
        _exit(interrupt.came() ? 42 : 2);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST_F(InterruptTest, CtrlCOfBeforeEndsWhatBeginsThen) {
  EXPECT_EXIT(
      {
        Interrupt interrupt;
        absl::Notification ended;
        interrupt.SetUnderWay([&ended] { ended.Notify(); });
        interrupt.SetUnderWay(nullptr);
        kill(getpid(), SIGINT);
        while (!interrupt.came()) usleep(1000);
        if (ended.HasBeenNotified()) _exit(1);
        bool ended_here = false;
        interrupt.SetUnderWay([&ended_here] { ended_here = true; });
        _exit(ended_here ? 42 : 2);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST_F(InterruptTest, TheSecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        Interrupt interrupt;
        kill(getpid(), SIGTERM);
        while (!interrupt.came()) usleep(1000);
        kill(getpid(), SIGTERM);
        while (true) pause();
      },
      ::testing::ExitedWithCode(kExitInterrupted), "");
}

}  // namespace
}  // namespace tandem::cli
