#include "services/coordinator/append/appended_prompt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "services/coordinator/client/default_limits.h"
#include "tests/services/coordinator/append/recording_link.h"
#include "tests/services/coordinator/fake_client.h"

namespace tandem {
namespace {

constexpr Position kContext = 10000;
constexpr int kMaxTokens = 20;

std::string Words(int count) {
  std::string text = "w1";
  for (int i = 1; i < count; ++i) absl::StrAppend(&text, " w", i * 7 % 40);
  return text;
}

class AppendedPromptTest : public ::testing::Test {
 protected:
  AppendedPromptTest() : loop_(&clock_) {
    AddTarget("t1");
    Make();
  }
  ~AppendedPromptTest() override {
    for (const auto& client : clients_) client->Leave();
    Settle();
    EXPECT_EQ(quotas_->turns(), 0);
    EXPECT_EQ(memory_->bytes(MemoryKind::kTexts), 0);
    for (const auto& link : links_) EXPECT_EQ(link->streams, 0);
  }

  void Make(const TenantLimits& limits = {},
            int64_t memory_bytes = int64_t{1} << 30) {
    limits_.emplace(limits);
    memory_.emplace(memory_bytes, &clock_);
    quotas_.emplace(&loop_, 10, &*limits_, 1);
    sessions_.emplace(&loop_, SessionLimits(), &*limits_, &*memory_);
    background_.emplace(100, &*memory_);
    services_.loop = &loop_;
    services_.sessions = &*sessions_;
    services_.router = &router_;
    services_.memory = &*memory_;
    services_.quotas = &*quotas_;
    services_.background = &*background_;
    services_.quarantine = &quarantine_;
    TakeAppends(kAppendIdle, &services_);
  }
  RecordingLink* AddTarget(const std::string& name) {
    links_.push_back(std::make_shared<RecordingLink>(
        static_cast<uint32_t>(links_.size() + 1), "fp"));
    WorkerInfo worker;
    worker.address = name;
    worker.usable = true;
    worker.model_id = "fake";
    worker.fingerprint = "fp";
    worker.vocabulary_fingerprint = "vocabulary";
    worker.context_max = kContext;
    worker.vocab_size = FakeTokenizer()->vocab_size();
    worker.tokenizer = FakeTokenizer();
    worker.link = links_.back();
    workers_.push_back(worker);
    table_ = std::make_shared<WorkerTable>(workers_);
    return links_.back().get();
  }
  RecordingLink* target() { return links_[0].get(); }
  FakeClient* Connect() {
    clients_.push_back(std::make_unique<FakeClient>(&services_, "tenant",
                                                    SessionUse::kConversation));
    return clients_.back().get();
  }

  // What happens within 20 ms, far more than a worker takes.
  void Settle() { Pass(std::chrono::milliseconds(20)); }
  void Pass(MonotonicDuration time) {
    const MonotonicTime end = clock_.Now() + time;
    while (true) {
      while (loop_.RunReady()) {
      }
      const std::optional<MonotonicTime> next = loop_.NextTimer();
      if (!next.has_value() || *next > end) break;
      clock_.AdvanceTo(*next);
    }
    clock_.AdvanceTo(end);
  }
  void RunUntil(const std::function<bool()>& done) {
    for (int i = 0; i < 20000 && !done(); ++i) {
      if (loop_.RunReady()) continue;
      const std::optional<MonotonicTime> next = loop_.NextTimer();
      if (next.has_value() && *next < clock_.Now() + std::chrono::seconds(1)) {
        clock_.AdvanceTo(*next);
      } else {  // a long text is at the helper threads
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    }
    ASSERT_TRUE(done());
  }
  static std::vector<TokenId> Ids(const std::string& text) {
    return FakeTokenizer()->Encode(text, /*add_bos=*/true);
  }
  // The turn of `client` that has `prompt` is as a plain run.
  void ExpectTurn(const FakeClient& client, std::vector<TokenId> prompt) {
    TurnSpec spec;
    spec.prompt = std::move(prompt);
    spec.options.max_tokens = kMaxTokens;
    spec.options.seed = 7;
    spec.options.ignore_eos = true;
    spec.context_max = kContext;
    const PlainResult plain = PlainRun(spec);
    EXPECT_TRUE(client.has_ended);
    EXPECT_EQ(client.prompt_tokens, static_cast<int64_t>(spec.prompt.size()));
    EXPECT_EQ(client.tokens, plain.tokens);
    EXPECT_EQ(client.text, plain.text);
  }
  void StartAndExpect(FakeClient* client, const std::string& rest,
                      const std::string& whole) {
    client->Start(rest, kMaxTokens);
    RunUntil([client] { return client->has_ended || client->finished; });
    EXPECT_FALSE(client->finished.has_value()) << *client->finished;
    ExpectTurn(*client, Ids(whole));
  }
  // How the stream of a client ends: "REASON field".
  std::string EndOf(FakeClient* client) {
    Settle();
    if (!client->finished.has_value()) return "";
    const auto detail = GetErrorDetail(*client->finished);
    if (!detail.has_value()) return client->finished->ToString();
    return absl::StrCat(
        detail->reason, " ",
        detail->violations.empty() ? "" : detail->violations[0].field);
  }

  FakeClock clock_;
  EventLoop loop_;
  std::vector<std::shared_ptr<RecordingLink>> links_;
  std::vector<WorkerInfo> workers_;
  std::shared_ptr<const WorkerTable> table_;
  Router router_{[this] { return table_; }, 1};
  PromptQuarantine quarantine_{&loop_, [] {}};
  std::optional<DefaultLimits> limits_;
  std::optional<MemoryBudget> memory_;
  std::optional<TurnQuotas> quotas_;
  std::optional<SessionStore> sessions_;
  std::optional<BackgroundQueue> background_;
  ClientServices services_;
  std::vector<std::unique_ptr<FakeClient>> clients_;
};

TEST_F(AppendedPromptTest, AnyPartsGiveTheTurnOfTheWhole) {
  std::mt19937 random(1);
  const std::string whole = Words(120);
  const std::vector<TokenId> ids = Ids(whole);
  for (int i = 0; i < 50; ++i) {
    FakeClient* const client = Connect();
    target()->opens.clear();
    size_t sent = 0;
    while (sent < whole.size() - 20) {
      const size_t bytes =
          std::min<size_t>(1 + random() % 120, whole.size() - sent);
      client->Append(whole.substr(sent, bytes));
      sent += bytes;
      if (random() % 2 == 0) Settle();
    }
    Settle();
    ASSERT_FALSE(target()->opens.empty());
    for (const OpenRequest& open : target()->opens) {
      // Whole tokens of the prompt, and no more.
      ASSERT_LT(open.tokens.size(), ids.size());
      EXPECT_TRUE(
          std::equal(open.tokens.begin(), open.tokens.end(), ids.begin()));
      EXPECT_EQ(open.tokens_max, static_cast<Position>(open.tokens.size()));
      EXPECT_EQ(open.queue_timeout, MonotonicDuration::zero());
      EXPECT_EQ(open.tenant, "tenant");
    }
    // All but the last words and what is no page is computed.
    EXPECT_GT(target()->opens.back().tokens.size() + kPieceTokensMin + 40,
              ids.size());
    EXPECT_EQ(target()->streams, 1);
    StartAndExpect(client, whole.substr(sent), whole);
    EXPECT_EQ(target()->streams, 0);
  }
}

TEST_F(AppendedPromptTest, TheLastPartMayBeEmpty) {
  FakeClient* const client = Connect();
  client->Append(Words(60));
  Settle();
  StartAndExpect(client, "", Words(60));
  // And missing.
  FakeClient* const other = Connect();
  other->Append("w1 ");
  other->Append("w2");
  v1::ConverseRequest start;
  v1::GenerationOptions& options = *start.mutable_start()->mutable_options();
  options.set_max_tokens(kMaxTokens);
  options.set_seed(7);
  options.set_ignore_eos(true);
  other->Send(start);
  RunUntil([other] { return other->has_ended; });
  ExpectTurn(*other, Ids("w1 w2"));
}

TEST_F(AppendedPromptTest, TokensAreTakenAsTheyAre) {
  FakeClient* const client = Connect();
  std::vector<TokenId> ids = {1};
  for (int i = 0; i < 70; ++i) ids.push_back(260 + i % 30);
  const auto part = [&ids](size_t begin, size_t end) {
    v1::TokenIds tokens;
    tokens.mutable_ids()->Add(ids.begin() + begin, ids.begin() + end);
    return tokens;
  };
  v1::ConverseRequest message;
  for (size_t at = 0; at < 60; at += 20) {
    *message.mutable_append()->mutable_tokens() = part(at, at + 20);
    client->Send(message);
    Settle();
  }
  // 20 tokens are no page.
  ASSERT_EQ(target()->opens.size(), 1u);
  EXPECT_EQ(target()->opens[0].tokens,
            std::vector<TokenId>(ids.begin(), ids.begin() + 40));
  v1::TurnRequest& start = *message.mutable_start();
  *start.mutable_tokens() = part(60, ids.size());
  start.mutable_options()->set_max_tokens(kMaxTokens);
  start.mutable_options()->set_seed(7);
  start.mutable_options()->set_ignore_eos(true);
  client->Send(message);
  RunUntil([client] { return client->has_ended; });
  ExpectTurn(*client, ids);
}

TEST_F(AppendedPromptTest, OnePieceIsUnderWayAtATime) {
  FakeClient* const client = Connect();
  target()->silent = true;
  const std::string whole = Words(200);
  for (size_t at = 0; at + 10 < whole.size(); at += 10) {
    client->Append(whole.substr(at, 10));
    Settle();
  }
  EXPECT_EQ(target()->opened, 1);
  EXPECT_EQ(target()->verifies, 1);
  target()->silent = false;
  const std::string rest = whole.substr((whole.size() - 1) / 10 * 10);
  StartAndExpect(client, rest, whole);
}

TEST_F(AppendedPromptTest, ALongPartGoesInPieces) {
  FakeClient* const client = Connect();
  const std::string whole = Words(2000);
  client->Append(whole);
  Settle();
  Settle();
  EXPECT_GT(target()->opens.size(), 2u);
  EXPECT_EQ(target()->streams_max, 1);
  const size_t computed = target()->opens.back().tokens.size();
  EXPECT_GT(computed + kPieceTokensMin, Ids(whole).size());
  StartAndExpect(client, " w5", whole + " w5");
}

TEST_F(AppendedPromptTest, ATextWithoutACutIsLeftToTheTurn) {
  FakeClient* const client = Connect();
  const std::string whole = std::string(3 * kInlineTextBytes, 'x') + Words(90);
  client->Append(whole);
  Settle();
  EXPECT_EQ(target()->opened, 0);
  StartAndExpect(client, "", whole);
}

TEST_F(AppendedPromptTest, WithoutAPartForLongItGivesItsKvBack) {
  FakeClient* const client = Connect();
  client->Append(Words(50));
  Settle();
  EXPECT_EQ(target()->streams, 1);
  EXPECT_EQ(quotas_->turns(), 1);
  Pass(kAppendIdle - std::chrono::milliseconds(100));
  EXPECT_EQ(target()->streams, 1);
  Pass(std::chrono::milliseconds(100));
  EXPECT_EQ(target()->streams, 0);
  EXPECT_EQ(quotas_->turns(), 0);
  // A part more, and all of it is brought back.
  client->Append(" w2 ");
  Settle();
  EXPECT_EQ(target()->opened, 2);
  EXPECT_EQ(target()->streams, 1);
  StartAndExpect(client, "w3", Words(50) + " w2 w3");
}

TEST_F(AppendedPromptTest, FailuresOfWorkersCostTimeOnly) {
  int number = 2;
  for (const FakeFaults& faults :
       {FakeFaults{.open_close = 1000}, FakeFaults{.close = 1000},
        FakeFaults{.unasked = 1000},
        FakeFaults{.open_close = 1000,
        .close_status = absl::InternalError("at fault")},
        FakeFaults{.open_close = 1000, .close_status = Exhausted("no room")}}) {
    FakeClient* const client = Connect();
    // None that a worker has died of before.
    const std::string whole = absl::StrCat("w", number++, " ", Words(150));
    target()->faults = faults;
    const int opened = target()->opened;
    for (size_t at = 0; at < 400; at += 40) {
      client->Append(whole.substr(at, 40));
      Settle();
    }
    EXPECT_GT(target()->opened, opened);
    EXPECT_LT(target()->opened, opened + 12);
    target()->faults = {};
    StartAndExpect(client, whole.substr(400), whole);
  }
}

TEST_F(AppendedPromptTest, WhereNothingIsKeptNoPieceFollows) {
  FakeClient* const client = Connect();
  target()->keeps = false;
  const std::string whole = Words(200);
  for (size_t at = 0; at < 600; at += 100) {
    client->Append(whole.substr(at, 100));
    Settle();
  }
  // The first that had something before it shows it.
  EXPECT_LE(target()->opened, 4);
  EXPECT_EQ(target()->streams, 0);
  StartAndExpect(client, whole.substr(600), whole);
}

TEST_F(AppendedPromptTest, WithoutAWorkerNothingIsComputed) {
  FakeClient* const client = Connect();
  client->Append("w1");
  Settle();
  const auto table = std::exchange(
      table_, std::make_shared<WorkerTable>(std::vector<WorkerInfo>()));
  client->Append(" " + Words(60));
  Settle();
  EXPECT_EQ(target()->opened, 0);
  table_ = table;
  StartAndExpect(client, " w2", "w1 " + Words(60) + " w2");
}

TEST_F(AppendedPromptTest, PromptsThatEndWorkersAreFound) {
  for (int i = 0; i < 4; ++i) {
    FakeClient* const client = Connect();
    target()->faults.close = 1000;
    client->Append(Words(60));
    Settle();
    client->Leave();
    Pass(2 * kTrialMax);
  }
  // The second death convicts.
  EXPECT_EQ(target()->opened, 2);
}

TEST_F(AppendedPromptTest, ACancelDropsTheParts) {
  FakeClient* const client = Connect();
  client->Append(Words(60));
  Settle();
  EXPECT_GT(memory_->bytes(MemoryKind::kTexts), 200);
  client->Cancel();
  Settle();
  EXPECT_EQ(target()->streams, 0);
  EXPECT_EQ(memory_->bytes(MemoryKind::kTexts), 0);
  StartAndExpect(client, "w3 w4", "w3 w4");
}

TEST_F(AppendedPromptTest, ASessionGoesOn) {
  FakeClient* const client = Connect();
  StartAndExpect(client, "w1 w2", "w1 w2");
  std::vector<TokenId> history = Ids("w1 w2");
  history.insert(history.end(), client->tokens.begin(), client->tokens.end());
  const std::vector<TokenId> more =
      FakeTokenizer()->Encode(Words(50), /*add_bos=*/false);
  std::vector<TokenId> prompt = history;
  prompt.insert(prompt.end(), more.begin(), more.end());
  client->has_ended = false;
  client->tokens.clear();
  client->text.clear();
  target()->opens.clear();
  client->Append(Words(50).substr(0, 30));
  client->Append(Words(50).substr(30));
  Settle();
  ASSERT_FALSE(target()->opens.empty());
  const std::vector<TokenId>& opened = target()->opens.back().tokens;
  EXPECT_GT(opened.size(), history.size());
  EXPECT_TRUE(std::equal(opened.begin(), opened.end(), prompt.begin()));
  client->Start("", kMaxTokens);
  RunUntil([client] { return client->has_ended; });
  EXPECT_EQ(client->turn, 2);
  ExpectTurn(*client, prompt);
}

TEST_F(AppendedPromptTest, AnUnknownSessionEndsTheStream) {
  FakeClient* const client = Connect();
  client->session_id = std::string(32, 'a');
  client->Append("w1");
  EXPECT_EQ(EndOf(client).substr(0, 16), "UNKNOWN_SESSION ");
}

TEST_F(AppendedPromptTest, ASessionWithATurnUnderWayTakesNoParts) {
  FakeClient* const first = Connect();
  first->Start("w1", 5000);
  RunUntil([first] { return first->has_started; });
  FakeClient* const second = Connect();
  second->session_id = first->session_id;
  second->Append("w2");
  EXPECT_EQ(EndOf(second).substr(0, 12), "WRONG_STATE ");
  // Nor does the stream itself.
  first->Append("w2");
  EXPECT_EQ(EndOf(first).substr(0, 12), "WRONG_STATE ");
}

TEST_F(AppendedPromptTest, PartsBelongTogether) {
  const std::function<void(FakeClient*)> wrong[] = {
      [](FakeClient* client) {
        client->Append("w2", [] {
          v1::AppendRequest more;
          more.set_model_id("fake");
          return more;
        }());
      },
      [](FakeClient* client) {
        client->Append("w2", [] {
          v1::AppendRequest more;
          more.set_parse_special(true);
          return more;
        }());
      },
      [](FakeClient* client) {
        client->session_id = std::string(32, 'b');
        client->Append("w2");
      },
      [](FakeClient* client) {
        v1::ConverseRequest part;
        part.mutable_append()->mutable_tokens()->add_ids(5);
        client->Send(part);
      },
      [](FakeClient* client) {
        v1::ConverseRequest part;
        part.mutable_append();
        client->Send(part);
      },
      [](FakeClient* client) {
        v1::TurnRequest more;
        more.set_model_id("fake");
        client->Start("w2", 5, more);
      },
      [](FakeClient* client) {
        v1::TurnRequest more;
        more.set_parse_special(true);
        client->Start("w2", 5, more);
      },
      [](FakeClient* client) {
        v1::ConverseRequest start;
        start.mutable_start()->mutable_tokens()->add_ids(5);
        client->Send(start);
      },
      [](FakeClient* client) {
        v1::ConverseRequest start;
        start.mutable_start()->mutable_messages()->add_messages()->set_content(
            "w1");
        client->Send(start);
      },
  };
  const char* const fields[] = {
      "append.model_id",     "append.parse_special", "",
      "append.tokens",       "append.part",          "start.model_id",
      "start.parse_special", "start.tokens",         "start.messages"};
  for (size_t i = 0; i < std::size(wrong); ++i) {
    FakeClient* const client = Connect();
    client->Append("w1");
    Settle();
    wrong[i](client);
    EXPECT_EQ(EndOf(client), *fields[i] == 0
                                 ? "INVALID_OPTIONS append.session_id"
                                 : absl::StrCat("INVALID_OPTIONS ", fields[i]));
  }
}

TEST_F(AppendedPromptTest, WhatNoTurnCouldHaveIsRefused) {
  FakeClient* client = Connect();
  v1::AppendRequest more;
  more.set_model_id("other");
  client->Append("w1", more);
  EXPECT_EQ(EndOf(client).substr(0, 14), "UNKNOWN_MODEL ");
  client = Connect();
  v1::ConverseRequest part;
  part.mutable_append()->mutable_tokens()->add_ids(5);
  part.mutable_append()->mutable_tokens()->add_ids(1 << 20);
  client->Send(part);
  EXPECT_EQ(EndOf(client), "INVALID_TOKEN append.tokens.ids[1]");
  client = Connect();
  part.mutable_append()->mutable_tokens()->mutable_ids()->Clear();
  for (int i = 0; i < 3000; ++i) {
    part.mutable_append()->mutable_tokens()->add_ids(5);
  }
  for (int i = 0; i < 4; ++i) client->Send(part);
  EXPECT_EQ(EndOf(client), "CONTEXT_EXCEEDED ");
  client = Connect();
  part.mutable_append()->set_parse_special(true);
  client->Send(part);
  EXPECT_EQ(EndOf(client), "INVALID_OPTIONS append.parse_special");
  // Where the context has room for it.
  workers_[0].context_max = 1 << 24;
  table_ = std::make_shared<WorkerTable>(workers_);
  client = Connect();
  client->Append(std::string(kCutTextBytesMax, 'x'));
  Settle();
  EXPECT_FALSE(client->finished.has_value());
  client->Append("x");
  EXPECT_EQ(EndOf(client), "INVALID_OPTIONS append.text");
}

TEST_F(AppendedPromptTest, PartsCountAsMemory) {
  Make(/*limits=*/{}, /*memory_bytes=*/100000);
  FakeClient* const client = Connect();
  client->Append(std::string(60000, 'x'));
  Settle();
  EXPECT_EQ(memory_->bytes(MemoryKind::kTexts), 60000);
  client->Append(std::string(60000, 'x'));
  EXPECT_EQ(EndOf(client).substr(0, 10), "EXHAUSTED ");
  EXPECT_EQ(memory_->bytes(MemoryKind::kTexts), 0);
}

TEST_F(AppendedPromptTest, WhatIsComputedIsPaidForOnce) {
  const auto ids = static_cast<int64_t>(Ids(Words(60)).size());
  Make({.tokens_per_minute = ids + kMaxTokens + 5});
  // The turn's prompt is taken from the account, and nothing before.
  FakeClient* client = Connect();
  client->Append(Words(60));
  Settle();
  StartAndExpect(client, "", Words(60));
  // Parts that are dropped are paid for: nothing is left for a turn.
  Pass(std::chrono::minutes(2));
  client = Connect();
  for (int i = 0; i < 2; ++i) {
    client->Append(Words(60));
    Settle();
    client->Cancel();
    Settle();
  }
  client->Start("w1", 5);
  EXPECT_EQ(EndOf(client).substr(0, 10), "EXHAUSTED ");
}

TEST_F(AppendedPromptTest, WithoutAPlaceNothingIsComputed) {
  Make({.turns_max = 1});
  FakeClient* const first = Connect();
  first->Start("w1", 5000);
  RunUntil([first] { return first->has_started; });
  const int opened = target()->opened;
  FakeClient* const second = Connect();
  second->Append(Words(60));
  Settle();
  EXPECT_FALSE(second->finished.has_value());
  EXPECT_EQ(target()->opened, opened);
  first->Leave();
  Settle();
  StartAndExpect(second, "", Words(60));
}

TEST_F(AppendedPromptTest, AHalfCloseOrADrainEndsIt) {
  FakeClient* const client = Connect();
  client->Append(Words(60));
  Settle();
  client->half_closes = true;
  client->Append(" w1");
  Settle();
  ASSERT_TRUE(client->finished.has_value());
  EXPECT_TRUE(client->finished->ok());
  EXPECT_EQ(target()->streams, 0);
  services_.draining.store(true);
  FakeClient* const late = Connect();
  late->Append("w1");
  EXPECT_EQ(EndOf(late).substr(0, 9), "DRAINING ");
}

}  // namespace
}  // namespace tandem
