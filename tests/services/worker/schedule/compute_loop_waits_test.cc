// What a pass is kept waiting for, so that streams stay together.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/services/worker/compute_loop_fixture.h"

namespace tandem {
namespace {

using ::testing::SizeIs;

using Client = LoopClient;
constexpr absl::Duration kLong = absl::Hours(1);
// Longer than a loop takes to be asleep again or to begin a pass, most of the
// time: where it is not, a test shows less, but none fails.
constexpr absl::Duration kMoment = absl::Milliseconds(20);

class ComputeLoopWaitsTest : public ComputeLoopFixture {
 protected:
  // As long as it takes: a share of a Step of the fake engine is nothing.
  static constexpr CohortWait kAlways = {.most = kLong, .step_share = 1e9};
  static constexpr CohortWait kNever = {.most = absl::ZeroDuration(),
                                        .step_share = 0};

  ~ComputeLoopWaitsTest() override {
    if (!turn_path_.empty()) std::remove(turn_path_.c_str());
  }

  // Opens a stream for each of `clients`; all get their first answer from the
  // same pass.
  std::vector<StreamId> OpenTogether(std::vector<Client>* clients) {
    // Prompts of one token have no Step of their own.
    std::vector<StreamId> ids;
    for (Client& client : *clients) {
      ids.push_back(MustOpen(&client, OpenOptions({4})));
      EXPECT_TRUE(client.WaitOpened().ok());
    }
    Client holder;
    const StreamId holder_id = MustOpen(&holder, OpenOptions({4}));
    engine_->ShutGate();
    EXPECT_TRUE(loop_->Submit(holder_id, Verify(0, {4}, {})).ok());
    engine_->WaitForStep();
    for (const StreamId id : ids) {
      EXPECT_TRUE(loop_->Submit(id, Verify(0, {4}, {5})).ok());
    }
    loop_->Close(holder_id);
    engine_->OpenGate();
    holder.WaitClosed();
    for (Client& client : *clients) EXPECT_TRUE(client.WaitResult().ok());
    return ids;
  }

  // Ends the loop, which closes all streams.
  void End(std::vector<Client>* clients) {
    engine_ = nullptr;
    loop_.reset();
    for (Client& client : *clients) client.WaitClosed();
  }

  // The loop takes turns with the drafter that is given, and waits for its
  // drafts as long as it takes.
  std::unique_ptr<ComputeTurn> StartInTurns(ComputeLoopOptions options) {
    turn_path_ = absl::StrCat(::testing::TempDir(), "loop-waits-", getpid());
    options.turn =
        std::move(ComputeTurn::Open(turn_path_, ComputeTurn::Role::kTarget))
            .value();
    options.draft_patience = 1e12;
    Start({}, std::move(options));
    return std::move(ComputeTurn::Open(turn_path_, ComputeTurn::Role::kDrafter))
        .value();
  }

  // Since `from` there was one pass, of so many streams.
  void ExpectOnePass(size_t from, size_t streams) {
    const std::vector<std::vector<SeenItem>> batches = engine_->batches();
    ASSERT_EQ(batches.size(), from + 1);
    EXPECT_THAT(batches[from], SizeIs(streams));
  }

  std::string turn_path_;
};

TEST_F(ComputeLoopWaitsTest, ForTheCohortThatWasJustAnswered) {
  ComputeLoopOptions options;
  options.cohort_wait = kAlways;
  options.wave_wait = kNever;
  Start({}, std::move(options));
  std::vector<Client> clients(3);
  const std::vector<StreamId> ids = OpenTogether(&clients);
  // Each round is one Step of all, however far apart the requests come; one
  // that closes is not waited for.
  for (int round = 0; round < 3; ++round) {
    const size_t from = engine_->batches().size();
    const size_t last = round < 2 ? 3 : 2;
    for (size_t i = 0; i < last; ++i) {
      ASSERT_TRUE(loop_->Submit(ids[i], Verify(0, {4}, {6})).ok());
      std::this_thread::yield();
    }
    if (last == 2) CloseAndWait(ids[2], &clients[2]);
    for (size_t i = 0; i < last; ++i) {
      ASSERT_TRUE(clients[i].WaitResult().ok());
    }
    ExpectOnePass(from, last);
  }
  End(&clients);
}

TEST_F(ComputeLoopWaitsTest, ForTheRestOfAWave) {
  ComputeLoopOptions options;
  options.cohort_wait = kNever;
  options.wave_wait = kAlways;
  Start({}, std::move(options));
  std::vector<Client> clients(4);
  const std::vector<StreamId> ids = OpenTogether(&clients);
  // One that came by itself is of no wave until it comes with others.
  Client alone;
  const StreamId alone_id = MustOpen(&alone, OpenOptions({4}));
  ASSERT_TRUE(alone.WaitOpened().ok());
  // Woken by any of them, in any order; one that closes is not waited for.
  for (size_t round = 0; round < 4; ++round) {
    const size_t from = engine_->batches().size();
    const size_t count = round < 3 ? 4 : 3;
    absl::SleepFor(kMoment);
    for (size_t i = 0; i < count; ++i) {
      const size_t stream = (round + i) % count;
      ASSERT_TRUE(loop_->Submit(ids[stream], Propose(0, {4}, 1)).ok());
      absl::SleepFor(kMoment / 4);
    }
    if (count == 3) CloseAndWait(ids[3], &clients[3]);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(clients[i].WaitResult().ok());
    }
    ExpectOnePass(from, count);
  }
  const size_t from = engine_->batches().size();
  ASSERT_TRUE(loop_->Submit(alone_id, Propose(0, {4}, 1)).ok());
  ASSERT_TRUE(alone.WaitResult().ok());
  ExpectOnePass(from, 1);
  End(&clients);
}

TEST_F(ComputeLoopWaitsTest, ForNobodyOfAWaveWhoWaitsForRoom) {
  ComputeLoopOptions options;
  options.cohort_wait = kNever;
  options.wave_wait = kAlways;
  Start({.sequences_max = 3}, std::move(options));
  std::vector<Client> clients(2);
  const std::vector<StreamId> ids = OpenTogether(&clients);
  Client third;
  Client queued;
  MustOpen(&third, OpenOptions({4}));
  ASSERT_TRUE(third.WaitOpened().ok());
  const StreamId queued_id = MustOpen(&queued, OpenOptions({4}), "", kLong);
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(loop_->Submit(ids[0], Propose(0, {4}, 1)).ok());
    if (round == 0) {
      // Of the wave too, and not answered before it has room.
      ASSERT_TRUE(loop_->Submit(queued_id, Propose(0, {4}, 1)).ok());
    }
    ASSERT_TRUE(loop_->Submit(ids[1], Propose(0, {4}, 1)).ok());
    for (Client& client : clients) ASSERT_TRUE(client.WaitResult().ok());
    absl::SleepFor(kMoment);  // asleep again
  }
  EXPECT_FALSE(queued.HasResult());
  End(&clients);
}

// Who does not come is waited for once, and then only from where it comes with
// the others again.
TEST_F(ComputeLoopWaitsTest, ForNobodyOfAWaveWhoCameTooLate) {
  ComputeLoopOptions options;
  options.cohort_wait = kNever;
  options.wave_wait = {.most = absl::Milliseconds(1), .step_share = 1e9};
  Start({}, std::move(options));
  std::vector<Client> clients(2);
  const std::vector<StreamId> ids = OpenTogether(&clients);
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < 2; ++i) {
      absl::SleepFor(kMoment);
      const size_t from = engine_->batches().size();
      ASSERT_TRUE(loop_->Submit(ids[i], Propose(0, {4}, 1)).ok());
      ASSERT_TRUE(clients[i].WaitResult().ok());
      ExpectOnePass(from, 1);
    }
  }
  End(&clients);
}

TEST_F(ComputeLoopWaitsTest, WhoComesBeforeItsTurnIsInThePass) {
  ComputeLoopOptions options;
  options.wave_wait = kNever;
  const auto drafter = StartInTurns(std::move(options));
  std::vector<Client> clients(2);
  std::vector<StreamId> ids;
  for (Client& client : clients) {
    ids.push_back(MustOpen(&client, OpenOptions({1, 3, 4})));
    ASSERT_TRUE(loop_->Submit(ids.back(), Verify(2, {4}, {})).ok());
    ASSERT_TRUE(client.WaitResult().ok());
  }
  const size_t from = engine_->batches().size();
  ASSERT_TRUE(
      drafter->Acquire(absl::ZeroDuration(), [] { return false; }).ok());
  ASSERT_TRUE(loop_->Submit(ids[0], Verify(2, {4}, {7})).ok());
  // It is at the gate, most likely, or takes both at once: one pass either way.
  absl::SleepFor(kMoment);
  ASSERT_TRUE(loop_->Submit(ids[1], Verify(2, {4}, {8})).ok());
  drafter->Release();
  for (Client& client : clients) ASSERT_TRUE(client.WaitResult().ok());
  ExpectOnePass(from, 2);
  End(&clients);
}

TEST_F(ComputeLoopWaitsTest, ForAllThatDraft) {
  ComputeLoopOptions options;
  options.wave_wait = kNever;
  const auto drafter = StartInTurns(std::move(options));
  std::vector<Client> clients(4);
  const std::vector<StreamId> ids = OpenTogether(&clients);
  drafter->SetDrafting(true);
  const size_t from = engine_->batches().size();
  for (const StreamId id : ids) {
    ASSERT_TRUE(loop_->Submit(id, Verify(0, {4}, {6})).ok());
    absl::SleepFor(kMoment / 4);
  }
  for (Client& client : clients) ASSERT_TRUE(client.WaitResult().ok());
  ExpectOnePass(from, 4);
  End(&clients);
}

TEST_F(ComputeLoopWaitsTest, ForNoDraftWhereMostDoNotDraft) {
  ComputeLoopOptions options;
  options.cohort_wait = kNever;
  options.wave_wait = kAlways;  // the three come together
  const auto drafter = StartInTurns(std::move(options));
  std::vector<Client> clients(3);
  const std::vector<StreamId> ids = OpenTogether(&clients);
  Client drafting;
  MustOpen(&drafting, OpenOptions({4}));
  ASSERT_TRUE(drafting.WaitOpened().ok());
  drafter->SetDrafting(true);
  const size_t from = engine_->batches().size();
  for (const StreamId id : ids) {
    ASSERT_TRUE(loop_->Submit(id, Verify(0, {4}, {})).ok());
  }
  for (Client& client : clients) ASSERT_TRUE(client.WaitResult().ok());
  ExpectOnePass(from, 3);
  End(&clients);
}

}  // namespace
}  // namespace tandem
