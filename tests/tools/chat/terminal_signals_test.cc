#include "tools/tandem/chat/terminal_signals.h"

#include <poll.h>
#include <pthread.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(TerminalSignalsTest, SignalsAreEvents) {
  TerminalSignals signals;
  EXPECT_THAT(signals.Take(), IsEmpty());
  pthread_kill(pthread_self(), SIGINT);
  pthread_kill(pthread_self(), SIGINT);
  pthread_kill(pthread_self(), SIGTERM);
  pthread_kill(pthread_self(), SIGWINCH);
  pollfd wait = {.fd = signals.descriptor(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&wait, 1, 0), 1);
  EXPECT_THAT(signals.Take(), UnorderedElementsAre(SIGINT, SIGTERM, SIGWINCH));
  EXPECT_EQ(poll(&wait, 1, 0), 0);
}

TEST(TerminalSignalsTest, TheMaskOfBeforeComesBack) {
  sigset_t before;
  sigset_t after;
  pthread_sigmask(SIG_BLOCK, nullptr, &before);
  { const TerminalSignals signals; }
  pthread_sigmask(SIG_BLOCK, nullptr, &after);
  for (const int signal : {SIGINT, SIGTERM, SIGWINCH, SIGCONT}) {
    EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal));
  }
}

}  // namespace
}  // namespace tandem::cli
