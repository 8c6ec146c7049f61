// Client streams over a transport and workers that the test drives: what one
// client's manners cost the others.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/coordinator/client/default_limits.h"
#include "tests/services/coordinator/fake_client.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

class ClientBoundsTest : public ::testing::Test {
 protected:
  ClientBoundsTest() : loop_(&clock_) {
    WorkerInfo worker;
    worker.address = "t";
    worker.usable = true;
    worker.model_id = "fake";
    worker.fingerprint = "fp";
    worker.vocabulary_fingerprint = "vocabulary";
    worker.context_max = 10000;
    worker.vocab_size = FakeTokenizer()->vocab_size();
    worker.tokenizer = FakeTokenizer();
    worker.link = link_;
    table_ = std::make_shared<WorkerTable>(std::vector<WorkerInfo>{worker});
  }
  // Before the first client.
  void Make(const SessionLimits& sessions, int64_t turns_max,
            const TenantLimits& limits = {}) {
    limits_.emplace(limits);
    quotas_.emplace(&loop_, turns_max, &*limits_, 1);
    sessions_.emplace(&loop_, sessions, &*limits_, &memory_);
    services_.loop = &loop_;
    services_.sessions = &*sessions_;
    services_.router = &router_;
    services_.memory = &memory_;
    services_.quotas = &*quotas_;
  }
  bool Step() {
    if (loop_.RunReady()) return true;
    const std::optional<MonotonicTime> next = loop_.NextTimer();
    if (!next.has_value()) return false;
    clock_.AdvanceTo(*next);
    return true;
  }
  void RunUntil(const std::function<bool()>& done) {
    for (int i = 0; i < 1000000; ++i) {
      if (done()) return;
      ASSERT_TRUE(Step());
    }
    FAIL() << "never";
  }
  // One Generate of one token from begin to end.
  absl::Status Generate(const std::string& tenant) {
    FakeClient client(&services_, tenant, SessionUse::kOneShot);
    client.half_closes = true;
    client.Start("w1 w2", 1);
    RunUntil([&client] { return client.finished.has_value(); });
    while (loop_.RunReady()) {
    }
    return client.finished.value_or(absl::UnknownError("never"));
  }
  PlainResult Plain(const std::string& prompt, int max_tokens) const {
    TurnSpec spec;
    spec.prompt = FakeTokenizer()->Encode(prompt, /*add_bos=*/true);
    spec.options.max_tokens = max_tokens;
    spec.options.seed = 7;
    spec.options.ignore_eos = true;
    spec.context_max = 10000;
    return PlainRun(spec);
  }
  void ExpectPlain(const FakeClient& client, int max_tokens) {
    const PlainResult plain = Plain("w1 w2", max_tokens);
    EXPECT_TRUE(client.has_ended);
    EXPECT_EQ(client.tokens, plain.tokens);
    EXPECT_EQ(client.text, plain.text);
  }

  FakeClock clock_;
  EventLoop loop_;
  std::optional<DefaultLimits> limits_;
  MemoryBudget memory_{int64_t{1} << 30, &clock_};
  std::shared_ptr<FakeLink> link_ = std::make_shared<FakeLink>(1, "fp");
  std::shared_ptr<const WorkerTable> table_;
  Router router_{[this] { return table_; }, 1};
  std::optional<TurnQuotas> quotas_;
  std::optional<SessionStore> sessions_;
  ClientServices services_;
};

TEST_F(ClientBoundsTest, OneShotsOfATenantCostNobodyElse) {
  constexpr int kKept = 100;
  Make({.sessions_max = 1000}, /*turns_max=*/100);
  std::vector<std::string> kept;
  for (int i = 0; i < kKept; ++i) {
    FakeClient client(&services_, "other", SessionUse::kConversation);
    client.Start("w1", 1);
    RunUntil([&client] { return client.has_ended; });
    client.Leave();
    while (loop_.RunReady()) {
    }
    kept.push_back(client.session_id);
  }
  for (int i = 0; i < 50000; ++i) {
    const absl::Status status = Generate("many");
    ASSERT_TRUE(status.ok()) << i << ": " << status;
  }
  EXPECT_LE(sessions_->size(), 1000);
  for (const std::string& id : kept) {
    EXPECT_TRUE(sessions_->Find(id, "other").ok());
  }
  EXPECT_LT(memory_.UsedBy("many"), 8 << 20);
  // What the one-shots left goes soon.
  const MonotonicTime later = clock_.Now() + std::chrono::minutes(7);
  RunUntil([this, later] { return clock_.Now() >= later; });
  EXPECT_EQ(sessions_->size(), kKept);
}

TEST_F(ClientBoundsTest, ATurnWhoseClientDoesNotReadGivesWay) {
  Make({}, /*turns_max=*/100);
  FakeClient client(&services_, "a", SessionUse::kConversation);
  client.Start("w1 w2", 500);
  RunUntil([&client] { return client.tokens.size() > 20; });
  client.reads = false;
  RunUntil([&client] { return client.is_write_pending; });
  EXPECT_EQ(link_->streams, 1);
  const MonotonicTime stalled_at = clock_.Now();
  link_->queued = 1;  // another turn waits for KV
  RunUntil([this] { return link_->streams == 0; });
  EXPECT_GE(clock_.Now() - stalled_at, kClientStall);
  EXPECT_LE(clock_.Now() - stalled_at, 2 * kClientStall);
  EXPECT_EQ(quotas_->turns(), 0);
  EXPECT_FALSE(client.finished.has_value());
  // It goes on by itself when the client reads, with the same text.
  client.ReadAgain();
  RunUntil([&client] { return client.has_ended; });
  EXPECT_EQ(link_->opened, 2);
  ExpectPlain(client, 500);
  client.Leave();
  while (loop_.RunReady()) {
  }
}

TEST_F(ClientBoundsTest, WhereNobodyWaitsItTakesLonger) {
  Make({}, /*turns_max=*/100);
  FakeClient client(&services_, "a", SessionUse::kConversation);
  client.Start("w1 w2", 500);
  client.reads = false;
  RunUntil([&client] { return client.is_write_pending; });
  const MonotonicTime stalled_at = clock_.Now();
  RunUntil([this] { return link_->opened == 1 && link_->streams == 0; });
  EXPECT_GE(clock_.Now() - stalled_at, kStallsMax * kClientStall);
  client.ReadAgain();
  RunUntil([&client] { return client.has_ended; });
  ExpectPlain(client, 500);
  client.Leave();
  while (loop_.RunReady()) {
  }
}

// Set aside, it has no place; if that is taken meanwhile, it can be resumed.
TEST_F(ClientBoundsTest, ATurnThatIsSetAsideMayHaveToWait) {
  Make({}, /*turns_max=*/1);
  FakeClient client(&services_, "a", SessionUse::kConversation);
  client.Start("w1 w2", 500);
  client.reads = false;
  RunUntil([&client] { return client.is_write_pending; });
  link_->queued = 1;
  RunUntil([this] { return link_->opened == 1 && link_->streams == 0; });
  FakeClient other(&services_, "a", SessionUse::kConversation);
  other.Start("w1", 500);
  RunUntil([&other] { return !other.tokens.empty(); });
  client.ReadAgain();
  RunUntil([&client] { return client.finished.has_value(); });
  EXPECT_EQ(client.finished->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(GetErrorDetail(*client.finished)->retry_delay_ms.has_value());
  EXPECT_TRUE(sessions_->Find(client.session_id, "a").ok());
  other.Leave();
  while (loop_.RunReady()) {
  }
}

TEST_F(ClientBoundsTest, AClientMayLeaveATurnThatIsSetAside) {
  Make({}, /*turns_max=*/1);
  FakeClient client(&services_, "a", SessionUse::kConversation);
  client.Start("w1 w2", 500);
  client.reads = false;
  RunUntil([&client] { return client.is_write_pending; });
  link_->queued = 1;
  RunUntil([this] { return link_->opened == 1 && link_->streams == 0; });
  client.Leave();
  while (loop_.RunReady()) {
  }
  client.ReadAgain();  // the transport's last report
  RunUntil([&client] { return client.finished.has_value(); });
  EXPECT_EQ(link_->opened, 1);
  EXPECT_EQ(quotas_->turns(), 0);
}

// Their turns have ended and hold no worker and no place: nothing else would
// bound them.
TEST_F(ClientBoundsTest, ClientsThatDoNotReadKeepNobodyOut) {
  constexpr int kSessions = 10;
  Make({.sessions_max = kSessions}, /*turns_max=*/100);
  std::vector<std::unique_ptr<FakeClient>> clients;
  for (int i = 0; i < kSessions; ++i) {
    clients.push_back(
        std::make_unique<FakeClient>(&services_, "many", SessionUse::kOneShot));
    clients.back()->reads = false;
    clients.back()->Start("w1", 1);
    RunUntil([&clients] { return clients.back()->is_write_pending; });
  }
  EXPECT_EQ(Generate("other").code(), absl::StatusCode::kResourceExhausted);
  // One that reads again keeps its session.
  const MonotonicTime later = clock_.Now() + 2 * kClientStall;
  RunUntil([this, later] { return clock_.Now() >= later; });
  clients[0]->ReadAgain();
  RunUntil([&clients] { return clients[0]->has_ended; });
  EXPECT_TRUE(Generate("other").ok());
  EXPECT_EQ(sessions_->size(), kSessions);
  int forgotten = 0;
  for (const auto& client : clients) {
    client->ReadAgain();
    client->Leave();
    RunUntil([&client] { return client->finished.has_value(); });
    if (absl::IsNotFound(*client->finished)) ++forgotten;
  }
  EXPECT_EQ(forgotten, 1);
  EXPECT_TRUE(sessions_->Find(clients[0]->session_id, "many").ok());
  while (loop_.RunReady()) {
  }
}

TEST_F(ClientBoundsTest, ATurnThatNoWorkerTookCostsNoTokens) {
  Make({}, /*turns_max=*/100, {.tokens_per_minute = 10});
  link_->faults.open_close = 1000;
  link_->faults.close_status = Exhausted("no room");
  for (int i = 0; i < 10; ++i) {
    const absl::Status status = Generate("a");
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(GetErrorDetail(status)->violations.empty()) << status;
  }
  link_->faults.open_close = 0;
  EXPECT_TRUE(Generate("a").ok());
}

TEST_F(ClientBoundsTest, ATextThatCanNotFitIsRefusedUnseen) {
  Make({}, /*turns_max=*/1);
  FakeClient client(&services_, "a", SessionUse::kConversation);
  // services_.background is null: nothing may be made tokens there.
  client.Start(std::string(4 << 20, 'a'), 5);
  RunUntil([&client] { return client.finished.has_value(); });
  EXPECT_EQ(GetErrorDetail(*client.finished)->reason, kReasonContextExceeded);
  EXPECT_EQ(sessions_->size(), 0);
}

}  // namespace
}  // namespace tandem
