#include "services/common/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "services/common/server_flags.h"

namespace tandem {
namespace {

// Each in a process of its own: a signal goes to any thread that has it
// unblocked, and the test program has others.
class SignalsTest : public ::testing::Test {
 protected:
  SignalsTest() { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(SignalsTest, FirstSignalWakesWait) {
  for (const int number : {SIGTERM, SIGINT}) {
    EXPECT_EXIT(
        {
          SignalWatcher signal;
          kill(getpid(), number);
          signal.Wait();
          _exit(42);
        },
        ::testing::ExitedWithCode(42), "");
  }
}

TEST_F(SignalsTest, SecondSignalEndsTheProcess) {
  EXPECT_EXIT(
      {
        SignalWatcher signal;
        kill(getpid(), SIGTERM);
        signal.Wait();
        kill(getpid(), SIGINT);
        while (true) pause();
      },
      ::testing::ExitedWithCode(kExitFailed), "");
}

TEST_F(SignalsTest, SignalAfterRequestEndsTheProcess) {
  EXPECT_EXIT(
      {
        SignalWatcher signal;
        signal.Request();
        signal.Wait();
        kill(getpid(), SIGTERM);
        while (true) pause();
      },
      ::testing::ExitedWithCode(kExitFailed), "");
}

TEST_F(SignalsTest, TheFirstSignalCallsBackAndTheSecondHasItsExitCode) {
  EXPECT_EXIT(
      {
        absl::Notification called;
        const SignalWatcher watcher({.on_first = [&called] { called.Notify(); },
                                     .second_exit_code = 130});
        if (watcher.came()) _exit(1);
        kill(getpid(), SIGINT);
        called.WaitForNotification();
        if (!watcher.came()) _exit(2);
        kill(getpid(), SIGTERM);
        while (true) pause();
      },
      ::testing::ExitedWithCode(130), "");
}

TEST_F(SignalsTest, HangupsAreReloadsUntilTheEnd) {
  EXPECT_EXIT(
      {
        SignalWatcher watcher({.takes_reload = true});
        for (int i = 0; i < 2; ++i) {
          kill(getpid(), SIGHUP);
          if (watcher.Next() != SignalEvent::kReload) _exit(1);
        }
        if (watcher.came()) _exit(2);
        kill(getpid(), SIGTERM);
        if (watcher.Next() != SignalEvent::kStop) _exit(3);
        // A reload is no second signal that stops.
        kill(getpid(), SIGHUP);
        if (watcher.Next() != SignalEvent::kStop) _exit(4);
        absl::SleepFor(absl::Milliseconds(50));
        _exit(42);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST_F(SignalsTest, AHangupThatNobodyTakesEndsTheProcess) {
  EXPECT_EXIT(
      {
        const SignalWatcher watcher;
        kill(getpid(), SIGHUP);
        while (true) pause();
      },
      ::testing::KilledBySignal(SIGHUP), "");
}

TEST_F(SignalsTest, ARequestBesideAHangupStops) {
  EXPECT_EXIT(
      {
        SignalWatcher watcher({.takes_reload = true});
        watcher.Request();
        kill(getpid(), SIGHUP);
        watcher.Wait();
        if (watcher.Next() != SignalEvent::kStop) _exit(1);
        _exit(42);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST_F(SignalsTest, AfterItsEndSignalsKillAgain) {
  EXPECT_EXIT(
      {
        { const SignalWatcher watcher; }
        kill(getpid(), SIGINT);
        while (true) pause();
      },
      ::testing::KilledBySignal(SIGINT), "");
}

TEST_F(SignalsTest, RequestWakesWait) {
  EXPECT_EXIT(
      {
        SignalWatcher signal;
        if (signal.came()) _exit(1);
        signal.Request();
        signal.Request();
        signal.Wait();
        if (!signal.came()) _exit(1);
        _exit(42);
      },
      ::testing::ExitedWithCode(42), "");
}

TEST_F(SignalsTest, DestructionWithoutSignal) {
  EXPECT_EXIT(
      {
        { SignalWatcher signal; }
        _exit(42);
      },
      ::testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace tandem
