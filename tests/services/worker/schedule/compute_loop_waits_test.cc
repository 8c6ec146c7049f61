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
  // A share of a pass of the fake engine is nothing, so the gate is held as
  // long as it takes, for streams or for drafts alone.
  static constexpr PassGateOptions kForStreams = {.gather_max = kLong,
                                                  .gather_share = 1e9};
  static constexpr PassGateOptions kForDrafts = {
      .gather_max = absl::ZeroDuration(), .draft_passes = 1e9};

  ~ComputeLoopWaitsTest() override {
    if (!lock_path_.empty()) std::remove(lock_path_.c_str());
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

  // The loop shares its cores with the drafter that is returned.
  std::unique_ptr<ProcessorLock> StartBesideADrafter() {
    lock_path_ = absl::StrCat(::testing::TempDir(), "loop-waits-", getpid());
    ComputeLoopOptions options;
    options.gate = kForDrafts;
    options.processor =
        *ProcessorLock::Open(lock_path_, ProcessorLock::Role::kTarget);
    Start({}, std::move(options));
    return *ProcessorLock::Open(lock_path_, ProcessorLock::Role::kDrafter);
  }

  // Since `from` there was one pass, of `streams`.
  void ExpectOnePass(size_t from, size_t streams) {
    const std::vector<std::vector<SeenItem>> batches = engine_->batches();
    ASSERT_EQ(batches.size(), from + 1);
    EXPECT_THAT(batches[from], SizeIs(streams));
  }

  std::string lock_path_;
};

TEST_F(ComputeLoopWaitsTest, ForTheStreamsThatWereJustAnswered) {
  ComputeLoopOptions options;
  options.gate = kForStreams;
  Start({}, std::move(options));
  std::vector<Client> clients(3);
  const std::vector<StreamId> ids = OpenTogether(&clients);
  // Each round is one pass of all, however far apart the requests come; a
  // stream that closes is not waited for.
  for (size_t round = 0; round < 3; ++round) {
    const size_t from = engine_->batches().size();
    const size_t count = round < 2 ? 3 : 2;
    for (size_t i = 0; i < count; ++i) {
      const size_t stream = (round + i) % count;
      ASSERT_TRUE(loop_->Submit(ids[stream], Verify(0, {4}, {6})).ok());
      absl::SleepFor(kMoment / 4);
    }
    if (count == 2) CloseAndWait(ids[2], &clients[2]);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(clients[i].WaitResult().ok());
    }
    ExpectOnePass(from, count);
  }
  End(&clients);
}

TEST_F(ComputeLoopWaitsTest, ForNoStreamThatWaitsForKv) {
  ComputeLoopOptions options;
  options.gate = kForStreams;
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
      // It comes with the others, and is not answered before it has KV.
      ASSERT_TRUE(loop_->Submit(queued_id, Propose(0, {4}, 1)).ok());
    }
    ASSERT_TRUE(loop_->Submit(ids[1], Propose(0, {4}, 1)).ok());
    for (Client& client : clients) ASSERT_TRUE(client.WaitResult().ok());
    absl::SleepFor(kMoment);  // asleep again
  }
  EXPECT_FALSE(queued.HasResult());
  End(&clients);
}

TEST_F(ComputeLoopWaitsTest, WhatComesWhileAnotherComputesIsInThePass) {
  const auto drafter = StartBesideADrafter();
  std::vector<Client> clients(2);
  std::vector<StreamId> ids;
  for (Client& client : clients) {
    ids.push_back(MustOpen(&client, OpenOptions({1, 3, 4})));
    ASSERT_TRUE(loop_->Submit(ids.back(), Verify(2, {4}, {})).ok());
    ASSERT_TRUE(client.WaitResult().ok());
  }
  const size_t from = engine_->batches().size();
  drafter->Acquire();
  ASSERT_TRUE(loop_->Submit(ids[0], Verify(2, {4}, {7})).ok());
  // It waits for the processor, most likely, or takes both at once: one pass
  // either way.
  absl::SleepFor(kMoment);
  ASSERT_TRUE(loop_->Submit(ids[1], Verify(2, {4}, {8})).ok());
  drafter->Release();
  for (Client& client : clients) ASSERT_TRUE(client.WaitResult().ok());
  ExpectOnePass(from, 2);
  End(&clients);
}

TEST_F(ComputeLoopWaitsTest, ForAllThatDraft) {
  const auto drafter = StartBesideADrafter();
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
  // What was under way is over: the first does not wait for the others.
  ASSERT_TRUE(loop_->Submit(ids[0], Verify(0, {4}, {6})).ok());
  absl::SleepFor(kMoment);
  EXPECT_FALSE(clients[0].HasResult());
  drafter->SetDrafting(false);
  EXPECT_TRUE(clients[0].WaitResult().ok());
  End(&clients);
}

// The streams of a loop that ends come no more.
TEST_F(ComputeLoopWaitsTest, NotForTheEnd) {
  ComputeLoopOptions options;
  options.gate = kForStreams;
  Start({}, std::move(options));
  std::vector<Client> clients(2);
  const std::vector<StreamId> ids = OpenTogether(&clients);
  ASSERT_TRUE(loop_->Submit(ids[0], Verify(0, {4}, {6})).ok());
  absl::SleepFor(kMoment);
  EXPECT_FALSE(clients[0].HasResult());
  End(&clients);
}

}  // namespace
}  // namespace tandem
