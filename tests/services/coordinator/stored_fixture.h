// Coordinators that share a store, each with its own loop and workers over one
// clock, and their clients. One thread.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_STORED_FIXTURE_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_STORED_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "services/common/turn_conversion.h"
#include "services/coordinator/client/default_limits.h"
#include "services/coordinator/client/driver_watch.h"
#include "tests/services/coordinator/fake_client.h"
#include "tests/services/coordinator/fake_links.h"
#include "tests/services/coordinator/faulty_store.h"

namespace tandem {

struct FakeCoordinator {
  FakeCoordinator(FakeClock* the_clock, StateStore* store, uint32_t seed)
      : clock(the_clock),
        loop(clock),
        link(std::make_shared<FakeLink>(seed, "fp")),
        loader({.store = store,
                .is_shared = true,
                .sessions = &sessions,
                .router = &router,
                .quotas = &quotas,
                .loop = &loop,
                .background = &background}),
        watch(store, &sessions, &loop) {
    info.address = "t";
    info.usable = true;
    info.model_id = "fake";
    info.fingerprint = "fp";
    info.vocabulary_fingerprint = "vocabulary";
    info.context_max = 10000;
    info.vocab_size = FakeTokenizer()->vocab_size();
    info.tokenizer = FakeTokenizer();
    info.link = link;
    SetWorkers(1);
    services.loop = &loop;
    services.sessions = &sessions;
    services.router = &router;
    services.memory = &memory;
    services.quotas = &quotas;
    services.background = &background;
    services.left_turns = &left_turns;
    services.loader = &loader;
  }
  void SetWorkers(size_t count) {
    table = std::make_shared<WorkerTable>(std::vector<WorkerInfo>(count, info));
  }

  FakeClock* const clock;
  EventLoop loop;
  std::shared_ptr<FakeLink> link;
  WorkerInfo info;
  std::shared_ptr<const WorkerTable> table;
  Router router{[this] { return table; }, 1};
  DefaultLimits limits{TenantLimits()};
  MemoryBudget memory{int64_t{1} << 30, clock};
  TurnQuotas quotas{&loop, 100, &limits, 1};
  SessionStore sessions{&loop, SessionLimits(), &limits, &memory};
  LeftTurns left_turns{&loop, &sessions, &memory};
  // Its tasks post to the loop and know no more of this.
  BackgroundQueue background{100, &memory};
  SessionLoader loader;
  DriverWatch watch;
  ClientServices services;
  bool is_dead = false;  // its loop stands still, as after kill -9
};

class StoredFixture : public ::testing::Test {
 protected:
  StoredFixture() {
    a_ = AddCoordinator();
    b_ = AddCoordinator();
  }
  ~StoredFixture() override {
    store_.Mend();
    store_.Release();
    // What the dead had under way goes too.
    for (const auto& coordinator : coordinators_) coordinator->is_dead = false;
    for (const auto& client : clients_) {
      client->ReadAgain();
      client->Leave();
    }
    while (RunReady()) {
    }
    for (const auto& coordinator : coordinators_) {
      EXPECT_EQ(coordinator->quotas.turns(), 0);
      EXPECT_EQ(coordinator->link->streams, 0);
    }
  }

  FakeCoordinator* AddCoordinator() {
    coordinators_.push_back(std::make_unique<FakeCoordinator>(
        &clock_, &store_, static_cast<uint32_t>(coordinators_.size() + 1)));
    return coordinators_.back().get();
  }
  FakeClient* Connect(FakeCoordinator* to) {
    clients_.push_back(std::make_unique<FakeClient>(&to->services, "tenant",
                                                    SessionUse::kConversation));
    return clients_.back().get();
  }
  // A client at `to` that goes on with what `before` has of its turn.
  FakeClient* Resume(FakeCoordinator* to, const FakeClient& before) {
    FakeClient* const client = Connect(to);
    client->session_id = before.session_id;
    client->turn = before.turn;
    client->tokens = before.tokens;
    client->text = before.text;
    v1::ConverseRequest message;
    v1::ResumeRequest& resume = *message.mutable_resume();
    resume.set_session_id(before.session_id);
    resume.set_turn(before.turn);
    resume.set_tokens_received(static_cast<int64_t>(before.tokens.size()));
    resume.set_text_bytes_received(static_cast<int64_t>(before.text.size()));
    client->Send(message);
    return client;
  }
  // kill -9.
  static void Kill(FakeCoordinator* coordinator) {
    coordinator->is_dead = true;
  }

  bool RunReady() {
    bool moved = false;
    for (const auto& coordinator : coordinators_) {
      if (!coordinator->is_dead) moved |= coordinator->loop.RunReady();
    }
    return moved;
  }
  void RunUntil(const std::function<bool()>& done) {
    for (int i = 0; i < 1000000; ++i) {
      if (done()) return;
      if (RunReady()) continue;
      std::optional<MonotonicTime> next;
      for (const auto& coordinator : coordinators_) {
        const auto timer = coordinator->loop.NextTimer();
        if (coordinator->is_dead || !timer.has_value()) continue;
        next = next.has_value() ? std::min(*next, *timer) : *timer;
      }
      ASSERT_TRUE(next.has_value()) << "nothing will ever happen again";
      clock_.AdvanceTo(*next);
    }
    FAIL() << "never";
  }
  // Until a helper thread has done its part: what is ready runs, and no time
  // passes.
  void AwaitHelper(const std::function<bool()>& done) {
    while (!done()) {
      if (RunReady()) continue;
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
  void RunFor(MonotonicDuration time) {
    const MonotonicTime until = clock_.Now() + time;
    const EventLoop::TimerId timer = b_->loop.SetTimer(until, [] {});
    RunUntil([this, until] { return clock_.Now() >= until; });
    EXPECT_GT(timer.sequence, 0u);
  }
  void RunToEnd(FakeClient* client) {
    RunUntil([client] { return client->has_ended || client->finished; });
    EXPECT_TRUE(client->has_ended) << *client->finished;
  }

  static TurnSpec SpecOf(std::vector<TokenId> prompt, int max_tokens) {
    TurnSpec spec;
    spec.prompt = std::move(prompt);
    spec.options.max_tokens = max_tokens;
    spec.options.seed = 7;
    spec.options.ignore_eos = true;
    spec.context_max = 10000;
    return spec;
  }
  static std::vector<TokenId> PromptOf(const std::string& text) {
    return FakeTokenizer()->Encode(text, /*add_bos=*/true);
  }
  static std::vector<TokenId> Continued(std::vector<TokenId> history,
                                        const std::vector<TokenId>& generated,
                                        const std::string& text) {
    history.insert(history.end(), generated.begin(), generated.end());
    const std::vector<TokenId> more =
        FakeTokenizer()->Encode(text, /*add_bos=*/false);
    history.insert(history.end(), more.begin(), more.end());
    return history;
  }
  static void ExpectPlain(const FakeClient& client, const TurnSpec& spec) {
    const PlainResult plain = PlainRun(spec);
    EXPECT_TRUE(client.has_ended);
    EXPECT_EQ(client.tokens, plain.tokens);
    EXPECT_EQ(client.text, plain.text);
    // Whoever drove the turn, and however often it moved.
    const v1::Receipt& receipt = client.ended.receipt();
    ASSERT_EQ(client.ended.has_receipt(),
              HasReceipt(client.ended.finish_reason()));
    if (!client.ended.has_receipt()) return;
    EXPECT_EQ(receipt.prompt_hash(), HashOfTokens(spec.prompt));
    EXPECT_EQ(receipt.tokens_hash(), HashOfTokens(plain.tokens));
    EXPECT_EQ(receipt.options().max_tokens(), spec.options.max_tokens);
    EXPECT_EQ(receipt.options().seed(), spec.options.seed);
  }

  FakeClock clock_;
  FaultyStore store_;
  std::vector<std::unique_ptr<FakeCoordinator>> coordinators_;
  std::vector<std::unique_ptr<FakeClient>> clients_;
  FakeCoordinator* a_;
  FakeCoordinator* b_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_STORED_FIXTURE_H_
