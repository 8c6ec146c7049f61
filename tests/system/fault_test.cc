// Death of processes and loss of clients, with real processes.

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/system/cluster.h"

namespace tandem::testing {
namespace {

v1::TurnRequest LongTurn(int max_tokens) {
  v1::TurnRequest turn;
  turn.set_text("In a far country, beyond the sea,");
  turn.mutable_options()->set_seed(11);
  turn.mutable_options()->set_max_tokens(max_tokens);
  turn.mutable_options()->set_draft_length(4);
  return turn;
}

// Runs `turn`, calling `act` once when so many tokens have come.
TurnResult GenerateWith(Cluster* cluster, const v1::TurnRequest& turn,
                        size_t tokens, const std::function<void()>& act) {
  TurnResult result;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::minutes(2));
  v1::GenerateRequest request;
  *request.mutable_turn() = turn;
  const auto reader = cluster->stub().Generate(&context, request);
  v1::GenerateResponse response;
  bool acted = false;
  while (reader->Read(&response)) {
    AddEvent(response, &result);
    if (!acted && result.token_ids.size() >= tokens) {
      acted = true;
      act();
    }
  }
  result.status = reader->Finish();
  EXPECT_TRUE(acted);
  return result;
}

// Pages in use, from a worker's first report.
int64_t PagesInUse(v1::WorkerService::Stub* stub) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(20));
  const auto reader = stub->Watch(&context, {});
  v1::WatchResponse report;
  EXPECT_TRUE(reader->Read(&report));
  context.TryCancel();
  v1::WatchResponse rest;
  while (reader->Read(&rest)) {
  }
  reader->Finish();
  int64_t pages = 0;
  for (const v1::ModelLoad& model : report.models()) {
    pages += model.kv_pages_total() - model.kv_pages_free();
  }
  return pages;
}

// True when `stub`'s pages in use come to `pages` within a second.
bool ReturnsWithinASecond(v1::WorkerService::Stub* stub, int64_t pages) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  do {
    if (PagesInUse(stub) == pages) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

TEST(FaultTest, KilledDraftWorkerChangesNothing) {
  Cluster cluster({});
  const v1::TurnRequest turn = LongTurn(300);
  const TurnResult plain = cluster.Generate(turn);
  ASSERT_TRUE(plain.ended);
  ASSERT_GT(plain.end.speculation().accepted_tokens(), 0);

  const TurnResult result = GenerateWith(
      &cluster, turn, 40, [&] { cluster.draft(0).Signal(SIGKILL); });
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  ASSERT_TRUE(result.ended);
  EXPECT_TRUE(result.contiguous);
  EXPECT_EQ(result.token_ids, plain.token_ids);
  EXPECT_EQ(result.text, plain.text);
  // It stopped speculating on the way.
  EXPECT_LT(result.end.speculation().drafted_tokens() -
                result.end.speculation().lookup_drafted_tokens(),
            plain.end.speculation().drafted_tokens());

  // Without any draft worker: the same. With one again: speculation is back.
  ASSERT_TRUE(cluster.WaitForWorkers(1, 0));
  const TurnResult alone = cluster.Generate(turn);
  EXPECT_EQ(alone.token_ids, plain.token_ids);
  EXPECT_EQ(alone.end.speculation().drafted_tokens(),
            alone.end.speculation().lookup_drafted_tokens());
  cluster.RestartDraft(0);
  ASSERT_TRUE(cluster.WaitForWorkers(1, 1));
  const TurnResult again = cluster.Generate(turn);
  EXPECT_EQ(again.token_ids, plain.token_ids);
  EXPECT_GT(again.end.speculation().accepted_tokens(), 0);
}

TEST(FaultTest, StoppedDraftWorkerCostsTimeOnly) {
  Cluster cluster({});
  const v1::TurnRequest turn = LongTurn(60);
  const TurnResult plain = cluster.Generate(turn);
  const TurnResult result = GenerateWith(
      &cluster, turn, 20, [&] { cluster.draft(0).Signal(SIGSTOP); });
  cluster.draft(0).Signal(SIGCONT);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, plain.token_ids);
  EXPECT_EQ(result.text, plain.text);
}

TEST(FaultTest, KilledTargetWorkerIsReplacedByAnEqualOne) {
  Cluster cluster({.targets = 2, .drafts = 1});
  const v1::TurnRequest turn = LongTurn(200);
  const TurnResult plain = cluster.Generate(turn);
  ASSERT_TRUE(plain.ended);
  // Either worker may serve: kill one, bring it back, kill the other.
  for (const int victim : {0, 1}) {
    const TurnResult result = GenerateWith(
        &cluster, turn, 30, [&] { cluster.target(victim).Signal(SIGKILL); });
    ASSERT_TRUE(result.status.ok()) << result.status.error_message();
    EXPECT_TRUE(result.contiguous);
    EXPECT_EQ(result.token_ids, plain.token_ids);
    EXPECT_EQ(result.text, plain.text);
    cluster.RestartTarget(victim);
    ASSERT_TRUE(cluster.WaitForWorkers(2, 1));
  }
}

TEST(FaultTest, TheOnlyTargetWorkerComesBack) {
  Cluster cluster({});
  const v1::TurnRequest turn = LongTurn(200);
  const TurnResult plain = cluster.Generate(turn);
  const TurnResult result = GenerateWith(&cluster, turn, 30, [&] {
    cluster.target(0).Signal(SIGKILL);
    cluster.RestartTarget(0);
  });
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_TRUE(result.contiguous);
  EXPECT_EQ(result.token_ids, plain.token_ids);
  EXPECT_EQ(result.text, plain.text);
}

TEST(FaultTest, AClientThatLeavesFreesItsPagesInBothWorkers) {
  Cluster cluster({});
  const auto target = cluster.TargetStub(0);
  const auto draft = cluster.DraftStub(0);
  const int64_t target_before = PagesInUse(target.get());
  const int64_t draft_before = PagesInUse(draft.get());
  grpc::ClientContext context;
  v1::GenerateRequest request;
  *request.mutable_turn() = LongTurn(900);
  const auto reader = cluster.stub().Generate(&context, request);
  TurnResult result;
  v1::GenerateResponse response;
  while (result.token_ids.size() < 10 && reader->Read(&response)) {
    AddEvent(response, &result);
  }
  ASSERT_GE(result.token_ids.size(), 10u);
  ASSERT_FALSE(result.ended);
  EXPECT_GT(PagesInUse(target.get()), target_before);
  EXPECT_GT(PagesInUse(draft.get()), draft_before);
  context.TryCancel();
  EXPECT_TRUE(ReturnsWithinASecond(target.get(), target_before));
  EXPECT_TRUE(ReturnsWithinASecond(draft.get(), draft_before));
  while (reader->Read(&response)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(FaultTest, EveryProcessEndsWellOnTerm) {
  Cluster cluster({});
  ASSERT_TRUE(cluster.Generate(LongTurn(20)).ended);
  for (Process* process :
       {&cluster.coordinator(), &cluster.draft(0), &cluster.target(0)}) {
    process->Signal(SIGTERM);
    EXPECT_EQ(process->Wait(std::chrono::seconds(30)), 0);
  }
}

TEST(FaultTest, ARunningTurnIsFinishedBeforeTheCoordinatorEnds) {
  Cluster cluster({});
  const v1::TurnRequest turn = LongTurn(150);
  const TurnResult plain = cluster.Generate(turn);
  const TurnResult result = GenerateWith(
      &cluster, turn, 10, [&] { cluster.coordinator().Signal(SIGTERM); });
  EXPECT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids, plain.token_ids);
  EXPECT_EQ(cluster.coordinator().Wait(std::chrono::seconds(30)), 0);
}

}  // namespace
}  // namespace tandem::testing
