#include "services/worker/schedule/pass_gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

namespace tandem {
namespace {

constexpr double kPassUs = 10000;
constexpr absl::Duration kPass = absl::Milliseconds(10);
const absl::Duration kGather = kPass * kGatherShare;  // below kGatherMax
constexpr absl::Duration kSoon = absl::Microseconds(500);
constexpr absl::Duration kLong = absl::Milliseconds(25);

class PassGateTest : public ::testing::Test {
 protected:
  void Ask(uint64_t stream, bool drafts = true) {
    gate_.OnRequest(stream, drafts, now_);
  }
  absl::Time Hold(bool drafts_under_way = false) {
    return gate_.HoldUntil(now_, drafts_under_way);
  }
  // A pass that answers `streams`.
  void Run(const std::vector<uint64_t>& streams, double pass_us = kPassUs) {
    gate_.OnPassBegin();
    now_ += absl::Microseconds(pass_us);
    gate_.OnPassEnd(pass_us);
    for (const uint64_t stream : streams) gate_.OnAnswer(stream, now_);
  }
  // All ask at the same time, `after` the last answer, and are answered.
  void RunTogether(const std::vector<uint64_t>& streams, absl::Duration after,
                   bool drafts = true) {
    now_ += after;
    for (const uint64_t stream : streams) Ask(stream, drafts);
    Run(streams);
  }

  PassGate gate_{PassGateOptions()};
  absl::Time now_ = absl::FromUnixSeconds(1000);
};

TEST_F(PassGateTest, AStreamAloneIsNotHeld) {
  for (int round = 0; round < 3; ++round) {
    now_ += kSoon;
    Ask(1);
    EXPECT_EQ(Hold(), now_);
    Run({1});
  }
}

TEST_F(PassGateTest, StreamsThatComeAgainSoonAreWaitedFor) {
  RunTogether({1, 2, 3}, kSoon);
  RunTogether({1, 2, 3}, kSoon);
  Ask(2);
  const absl::Time until = now_ + kGather;
  EXPECT_EQ(Hold(), until);
  now_ += kSoon;
  Ask(1);
  EXPECT_TRUE(gate_.is_waiting());
  EXPECT_EQ(Hold(), until) << "the first one does not wait longer for it";
  Ask(3);
  EXPECT_FALSE(gate_.is_waiting());
  EXPECT_EQ(Hold(), now_);
}

TEST_F(PassGateTest, TheWaitIsBoundedByThePassAndByTwoMilliseconds) {
  for (const double pass_us : {1000.0, 4000.0, 13000.0, 93000.0}) {
    RunTogether({1, 2}, kSoon);
    Ask(1);
    Ask(2);
    Run({1, 2}, pass_us);
    // Prompts to compute are held too.
    EXPECT_EQ(Hold(),
              now_ + std::min(kGatherMax,
                              kGatherShare * absl::Microseconds(pass_us)));
  }
}

// Streams in two passes that take turns come into one: the one that came while
// the other computed has its request here, and the other comes soon.
TEST_F(PassGateTest, StreamsThatAreApartComeTogether) {
  RunTogether({1}, kSoon);
  Ask(1);
  gate_.OnPassBegin();
  Ask(2);
  now_ += kPass;
  gate_.OnPassEnd(kPassUs);
  gate_.OnAnswer(1, now_);
  EXPECT_EQ(Hold(), now_ + kGather);
  Ask(1);
  EXPECT_EQ(Hold(), now_);
  Run({1, 2});
  now_ += kSoon;
  Ask(2);
  EXPECT_GT(Hold(), now_);
}

TEST_F(PassGateTest, StreamsThatComeLateAreNotWaitedFor) {
  RunTogether({1}, kSoon);
  RunTogether({1}, kLong);
  Ask(2);
  EXPECT_EQ(Hold(), now_) << "it comes in 25 ms";
}

// A drafter sleeps until the target has verified. Woken by any of the streams
// that came together, it waits for the others, however long they take and
// however much earlier or later than the last time it is.
TEST_F(PassGateTest, StreamsThatCameTogetherAreWaitedFor) {
  RunTogether({1, 2, 3, 4}, kSoon);
  Ask(9);  // comes alone
  Run({9});
  for (uint64_t first = 1; first <= 4; ++first) {
    now_ += kLong + first * absl::Milliseconds(first % 2 == 0 ? 5 : -5);
    Ask(first);
    EXPECT_EQ(Hold(), now_ + kGather);
    for (uint64_t stream = 1; stream <= 4; ++stream) {
      EXPECT_TRUE(gate_.is_waiting() || stream > 3 || first == 4);
      if (stream != first) Ask(stream);
    }
    EXPECT_EQ(Hold(), now_);
    Run({1, 2, 3, 4});
  }
  now_ += 4 * kLong;
  Ask(9);
  EXPECT_EQ(Hold(), now_);
}

TEST_F(PassGateTest, AStreamThatDoesNotComeIsWaitedForOnce) {
  RunTogether({1, 2}, kSoon);
  now_ += kLong;
  Ask(1);
  EXPECT_EQ(Hold(), now_ + kGather);
  now_ += kGather;
  EXPECT_EQ(Hold(), now_);
  Run({1});
  now_ += kLong;
  Ask(1);
  EXPECT_EQ(Hold(), now_);
  // It is waited for again once it has come with the other.
  Ask(2);
  Run({1, 2});
  now_ += 2 * kLong;
  Ask(2);
  EXPECT_EQ(Hold(), now_ + kGather);
}

TEST_F(PassGateTest, ClosedStreamsAreNotWaitedFor) {
  RunTogether({1, 2, 3}, kSoon);
  Ask(1);
  gate_.OnClosed(3);
  EXPECT_GT(Hold(), now_);
  gate_.OnClosed(2);
  gate_.OnClosed(2);
  EXPECT_FALSE(gate_.is_waiting());
  EXPECT_EQ(Hold(), now_);
  gate_.OnAnswer(2, now_);  // its answer was under way
  EXPECT_EQ(Hold(), now_);
}

// A stream that waits for KV has asked; so has one that asks ahead.
TEST_F(PassGateTest, StreamsWithAnUnansweredRequestAreNotWaitedFor) {
  RunTogether({1, 2}, kSoon);
  Ask(1);
  Ask(2);
  Ask(2);
  Ask(3);  // waits for KV
  Run({1, 2});
  Ask(1);
  EXPECT_EQ(Hold(), now_);
  // Answered, the one that asked ahead comes again.
  Run({1, 2});
  EXPECT_EQ(Hold(), now_ + kGather);
}

TEST_F(PassGateTest, StreamsThatDraftAreWaitedForWhileDraftsAreUnderWay) {
  RunTogether({1, 2, 3, 4}, kSoon);
  RunTogether({1, 2, 3, 4}, kLong);
  now_ += kLong;
  const absl::Time latest = now_ + kDraftPasses * kPass;
  Ask(1);
  EXPECT_EQ(Hold(/*drafts_under_way=*/true), latest);
  now_ += kPass;
  EXPECT_EQ(Hold(/*drafts_under_way=*/true), latest);
  Ask(2);
  Ask(3);
  // The last draft was just made: its stream is on its way.
  EXPECT_EQ(Hold(), now_ + kGather);
  now_ += kSoon;
  EXPECT_EQ(Hold(), now_ + kGather - kSoon);
  Ask(4);
  EXPECT_EQ(Hold(/*drafts_under_way=*/true), now_) << "all are here";
}

TEST_F(PassGateTest, DraftsAreNotWaitedForForEver) {
  RunTogether({1, 2}, kSoon);
  now_ += kLong;
  Ask(1);
  EXPECT_GT(Hold(/*drafts_under_way=*/true), now_);
  now_ += kDraftPasses * kPass;
  EXPECT_EQ(Hold(/*drafts_under_way=*/true), now_);
  Run({1});
  now_ += kLong;
  Ask(1);
  EXPECT_EQ(Hold(/*drafts_under_way=*/true), now_) << "the other is lost";
}

// Few streams that draft do not keep waiting those that do not.
TEST_F(PassGateTest, DraftsAreWaitedForWhereMoreThanAQuarterOfTheStreamsDraft) {
  for (const bool two_draft : {false, true}) {
    RunTogether({1}, kSoon);
    RunTogether({2}, kSoon, two_draft);
    RunTogether({3, 4}, kSoon, /*drafts=*/false);
    now_ += kLong;
    Ask(3, /*drafts=*/false);
    Ask(4, /*drafts=*/false);
    EXPECT_EQ(Hold(/*drafts_under_way=*/true),
              two_draft ? now_ + kDraftPasses * kPass : now_);
    Ask(1);
    Ask(2, two_draft);
    Run({1, 2, 3, 4});
    now_ += 4 * kLong;
  }
}

TEST_F(PassGateTest, PlainStreamsAreNotWaitedForWithTheDrafts) {
  RunTogether({1, 2}, kSoon);
  RunTogether({3}, kSoon, /*drafts=*/false);
  now_ += kLong;
  Ask(1);
  Ask(2);
  EXPECT_EQ(Hold(/*drafts_under_way=*/true), now_);
}

// One of two workers on the same cores.
struct SimulatedWorker {
  PassGate gate{PassGateOptions()};
  absl::Duration pass;
  int passes_of_a_request = 1;
  std::map<uint64_t, int> work = {};  // passes left, by stream
  std::vector<uint64_t> batch = {};   // of the pass that runs
  bool is_ready = false;              // through the gate
  absl::Time done = absl::InfiniteFuture();
  int passes = 0;
  int answers = 0;
};

// Sessions that draft three tokens a round with a drafter and a target on the
// same cores, and their requests, which take 0.2 to 0.9 ms. Time goes in steps
// of 50 us.
class SharedCores {
 public:
  explicit SharedCores(uint64_t sessions) {
    drafter_.pass = absl::Milliseconds(5);
    drafter_.passes_of_a_request = 3;
    target_.pass = absl::Milliseconds(15);
    for (uint64_t id = 0; id < sessions; ++id) {
      // They begin at different times.
      Send(&drafter_, id, absl::Milliseconds(7) * static_cast<int64_t>(id));
    }
  }

  // Rounds of each session on average.
  void Run(int rounds, int sessions) {
    const int answers = target_.answers + rounds * sessions;
    while (target_.answers < answers) {
      now_ += absl::Microseconds(50);
      Deliver();
      for (SimulatedWorker* worker : {&drafter_, &target_}) Finish(worker);
      for (SimulatedWorker* worker : {&target_, &drafter_}) Start(worker);
    }
  }
  int target_passes() const { return target_.passes; }
  int draft_passes() const { return drafter_.passes; }

 private:
  struct Message {
    absl::Time due;
    SimulatedWorker* to;
    uint64_t stream;
  };

  void Send(SimulatedWorker* to, uint64_t stream, absl::Duration delay) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    messages_.push_back(
        {now_ + delay + absl::Microseconds(200 + (state_ >> 33) % 700), to,
         stream});
  }
  void Deliver() {
    for (size_t i = 0; i < messages_.size();) {
      const Message message = messages_[i];
      if (message.due > now_) {
        ++i;
        continue;
      }
      message.to->gate.OnRequest(message.stream, /*drafts=*/true, now_);
      message.to->work[message.stream] = message.to->passes_of_a_request;
      messages_.erase(messages_.begin() + static_cast<ptrdiff_t>(i));
    }
  }
  void Finish(SimulatedWorker* worker) {
    if (worker->done > now_) return;
    worker->done = absl::InfiniteFuture();
    runs_ = nullptr;
    worker->gate.OnPassEnd(absl::ToDoubleMicroseconds(worker->pass));
    for (const uint64_t stream : worker->batch) {
      if (--worker->work[stream] > 0) continue;
      worker->work.erase(stream);
      worker->gate.OnAnswer(stream, now_);
      ++worker->answers;
      Send(worker == &drafter_ ? &target_ : &drafter_, stream, {});
    }
  }
  void Start(SimulatedWorker* worker) {
    if (worker == runs_ || worker->work.empty()) return;
    const bool drafts = worker == &target_ && !drafter_.work.empty();
    if (!worker->is_ready && worker->gate.HoldUntil(now_, drafts) <= now_) {
      worker->is_ready = true;
    }
    if (!worker->is_ready || runs_ != nullptr) return;
    worker->is_ready = false;
    worker->gate.OnPassBegin();
    worker->batch.clear();
    for (const auto& [stream, left] : worker->work) {
      worker->batch.push_back(stream);
    }
    worker->done = now_ + worker->pass;
    runs_ = worker;
    ++worker->passes;
  }

  uint64_t state_ = 1;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  SimulatedWorker drafter_;
  SimulatedWorker target_;
  SimulatedWorker* runs_ = nullptr;
  std::deque<Message> messages_;
};

// A round of all is one pass of the target and three of the drafter, whatever
// the times at which the sessions began. Without the wait for streams it is 2
// and 4; without the one for drafts 2 to 4 and 5; without both 2 to 4 and 4 to
// 5.
TEST(SharedCoresTest, SessionsThatDraftSharePasses) {
  for (const int sessions : {2, 4, 8}) {
    SharedCores cores(static_cast<uint64_t>(sessions));
    cores.Run(/*rounds=*/30, sessions);
    const int target_before = cores.target_passes();
    const int draft_before = cores.draft_passes();
    constexpr int kRounds = 200;
    cores.Run(kRounds, sessions);
    EXPECT_LE(cores.target_passes() - target_before, 1.05 * kRounds)
        << sessions;
    EXPECT_LE(cores.draft_passes() - draft_before, 3.2 * kRounds) << sessions;
  }
}

}  // namespace
}  // namespace tandem
