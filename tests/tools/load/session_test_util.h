// What the tests of both kinds of tandem sessions share.

#ifndef TANDEM_TESTS_TOOLS_LOAD_SESSION_TEST_UTIL_H_
#define TANDEM_TESTS_TOOLS_LOAD_SESSION_TEST_UTIL_H_

#include <memory>

#include "gtest/gtest.h"
#include "tests/tools/load/fake_generation.h"
#include "tests/tools/load/recording_observer.h"
#include "tools/load/stream_count.h"

namespace tandem::load {

inline LoadTurn SmallTurn() {
  LoadTurn turn;
  turn.prompt = {7, 8, 9};
  turn.output_tokens = 5;
  turn.seed = 42;
  turn.draft_length = 3;
  return turn;
}

// A server, a stub and the count of streams; the count waits first.
template <typename Session>
class SessionTest : public ::testing::Test {
 protected:
  std::unique_ptr<Session> NewSession() {
    return std::make_unique<Session>(stub_.get(), common_, &streams_);
  }
  TurnOutcome RunOneTurn(LoadSession* session) {
    RecordingObserver observer;
    const TurnOutcome outcome = RunTurn(session, SmallTurn(), &observer);
    tokens_ += observer.tokens;
    events_ += observer.events;
    return outcome;
  }

  FakeGeneration server_;
  std::unique_ptr<v1::GenerationService::Stub> stub_ =
      v1::GenerationService::NewStub(server_.NewChannel());
  v1::TurnRequest common_;
  int64_t tokens_ = 0;
  int events_ = 0;
  StreamCount streams_;
};

}  // namespace tandem::load

#endif  // TANDEM_TESTS_TOOLS_LOAD_SESSION_TEST_UTIL_H_
