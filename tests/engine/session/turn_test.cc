#include "engine/session/turn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/base/error_reason.h"
#include "engine/sampling/logits_processor.h"
#include "engine/speculation/verify.h"
#include "tests/engine/session/fake_engine.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const FakeTokenizer& TestTokenizer() {
  static const FakeTokenizer* const tokenizer = new FakeTokenizer();
  return *tokenizer;
}

TurnSpec MakeSpec(GenOptions options = {}) {
  TurnSpec spec;
  spec.prompt = {kFakeBos, 3, 4};
  spec.options = std::move(options);
  if (!spec.options.seed.has_value()) spec.options.seed = 11;
  spec.context_max = 1000;
  return spec;
}

std::vector<SampledToken> Tokens(std::vector<TokenId> ids) {
  std::vector<SampledToken> tokens;
  for (const TokenId id : ids) tokens.push_back({.id = id});
  return tokens;
}

std::vector<TokenId> Ids(absl::Span<const SampledToken> tokens) {
  std::vector<TokenId> ids;
  for (const SampledToken& token : tokens) ids.push_back(token.id);
  return ids;
}

// The tokens that a worker of the turn holds; takes requests as
// SequenceDecoder does.
class SimulatedWorker {
 public:
  SimulatedWorker(const FakeModel& model, const TurnSpec& spec)
      : model_(model), spec_(spec) {}

  void Open(std::vector<TokenId> tokens) { tokens_ = std::move(tokens); }

  void Apply(Position position, absl::Span<const TokenId> tokens) {
    ASSERT_FALSE(tokens.empty());
    ASSERT_LE(position, static_cast<Position>(tokens_.size()));
    ASSERT_GE(position, static_cast<Position>(spec_.prompt.size()) - 1);
    tokens_.resize(position);
    tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  }

  std::vector<TokenId> Draft(const ProposeAction& action) {
    Apply(action.position, action.tokens);
    LogitsProcessor processor(spec_.options, kFakeVocabSize, tokens_,
                              static_cast<Position>(spec_.prompt.size()));
    std::vector<TokenId> draft;
    for (int i = 0; i < action.draft_length; ++i) {
      std::vector<float> logits = FakeLogits(model_, tokens_);
      draft.push_back(processor.Sample(absl::MakeSpan(logits))->id);
      processor.Append(draft.back());
      tokens_.push_back(draft.back());
    }
    // The last drafted token has not been run.
    tokens_.pop_back();
    return draft;
  }

  std::vector<SampledToken> Verify(const VerifyAction& action) {
    Apply(action.position, action.tokens);
    LogitsProcessor processor(spec_.options, kFakeVocabSize, tokens_,
                              static_cast<Position>(spec_.prompt.size()));
    Verification verification(&processor, action.draft);
    std::vector<TokenId> prefix = tokens_;
    for (size_t row = 0; row <= action.draft.size(); ++row) {
      std::vector<float> logits = FakeLogits(model_, prefix);
      EXPECT_TRUE(verification.OnRow(absl::MakeSpan(logits)).ok());
      if (row < action.draft.size()) prefix.push_back(action.draft[row]);
    }
    std::vector<SampledToken> chosen = verification.TakeTokens();
    for (size_t i = 0; i + 1 < chosen.size(); ++i) {
      tokens_.push_back(chosen[i].id);
    }
    return chosen;
  }

  const std::vector<TokenId>& tokens() const { return tokens_; }

 private:
  FakeModel model_;
  TurnSpec spec_;
  std::vector<TokenId> tokens_;
};

// What may go wrong while a turn is driven; odds in percent per action.
struct Faults {
  int bad_draft = 0;
  int drafter_lost = 0;
  int drafter_attached = 0;
  int target_replaced = 0;
  int stray_answer = 0;
  int restart = 0;  // the turn is built again from its committed tokens
};

// Drives a turn over simulated workers until it ends or has generated
// `tokens_max` tokens, checking each action on the way.
class Driver {
 public:
  Driver(const TurnSpec& spec, const FakeModel& target, const FakeModel& draft,
         const Faults& faults, uint64_t seed)
      : spec_(spec),
        faults_(faults),
        random_(seed),
        target_(target, spec),
        drafter_(draft, spec) {}

  void Run(bool has_drafter, absl::Span<const SampledToken> committed = {},
           size_t tokens_max = SIZE_MAX) {
    Build(has_drafter, committed);
    text_ = turn_->text();
    while (!turn_->ended() && turn_->generated().size() < tokens_max) {
      Disturb();
      if (turn_->ended() || ::testing::Test::HasFatalFailure()) break;
      ASSERT_TRUE(pending_.has_value());
      Answer();
    }
  }

  void Cancel(FinishReason reason) { Take(turn_->OnCancel(reason)); }

  Turn& turn() { return *turn_; }
  const std::string& text() const { return text_; }
  std::optional<FinishReason> reason() const { return reason_; }
  int restarts() const { return restarts_; }

 private:
  bool Chance(int percent) {
    return static_cast<int>(random_() % 100) < percent;
  }

  void Build(bool has_drafter, absl::Span<const SampledToken> committed) {
    turn_.emplace(&TestTokenizer(), spec_, committed);
    has_drafter_ = has_drafter;
    next_token_ = static_cast<int64_t>(committed.size());
    target_.Open(turn_->session_tokens());
    drafter_.Open(turn_->session_tokens());
    reason_.reset();
    Take(turn_->Start(has_drafter));
  }

  void Take(std::vector<TurnAction> actions) {
    for (TurnAction& action : actions) {
      ASSERT_FALSE(reason_.has_value()) << "an action after the end";
      if (const auto* emit = std::get_if<EmitAction>(&action)) {
        ASSERT_EQ(emit->first_token, next_token_);
        ASSERT_FALSE(emit->tokens.empty());
        next_token_ += static_cast<int64_t>(emit->tokens.size());
        text_ += emit->text;
        // What the end adds is in text() already.
        ASSERT_EQ(turn_->text().substr(0, text_.size()), text_);
      } else if (const auto* end = std::get_if<EndAction>(&action)) {
        text_ += end->text;
        reason_ = end->reason;
        pending_.reset();
      } else {
        pending_ = std::move(action);
      }
    }
  }

  void Disturb() {
    if (has_drafter_ && Chance(faults_.drafter_lost)) {
      has_drafter_ = false;
      Take(turn_->OnDrafterLost());
    } else if (!has_drafter_ && Chance(faults_.drafter_attached)) {
      has_drafter_ = true;
      // Opened now or at any earlier time of the turn.
      std::vector<TokenId> tokens = turn_->session_tokens();
      const size_t prompt = spec_.prompt.size();
      tokens.resize(prompt + random_() % (tokens.size() - prompt + 1));
      drafter_.Open(std::move(tokens));
      turn_->OnDrafterAttached();
    }
    if (Chance(faults_.target_replaced)) {
      target_.Open(turn_->session_tokens());
      Take(turn_->OnTargetReplaced());
    }
    if (Chance(faults_.stray_answer)) {  // of the other kind: no effect
      const bool proposing = std::holds_alternative<ProposeAction>(*pending_);
      EXPECT_THAT(proposing ? turn_->OnVerified(Tokens({3})).size()
                            : turn_->OnProposed({{3}}).size(),
                  0u);
      EXPECT_THAT(turn_->Start(true).size(), 0u);
    }
    if (!turn_->ended() && Chance(faults_.restart)) {
      const std::vector<SampledToken> committed = turn_->generated();
      pending_.reset();
      Build(has_drafter_, committed);
      ++restarts_;
    }
  }

  void Answer() {
    const TurnAction action = std::move(*pending_);
    pending_.reset();
    if (const auto* propose = std::get_if<ProposeAction>(&action)) {
      ASSERT_TRUE(has_drafter_);
      ASSERT_GE(propose->draft_length, 1);
      ASSERT_LE(propose->draft_length, spec_.options.draft_length);
      std::vector<TokenId> draft = drafter_.Draft(*propose);
      if (HasFatal()) return;
      // A drafter whose answers were changed may itself be wrong for good.
      if (faults_.bad_draft == 0) {
        CheckSession(drafter_.tokens(), propose->draft_length - 1);
      }
      if (spec_.draft_context_max > 0) {
        ASSERT_LE(turn_->session_tokens().size() + draft.size(),
                  static_cast<size_t>(spec_.draft_context_max));
      }
      if (Chance(faults_.bad_draft)) Spoil(&draft);
      Take(turn_->OnProposed(draft));
    } else {
      const auto& verify = std::get<VerifyAction>(action);
      const size_t before = turn_->session_tokens().size();
      ASSERT_LT(turn_->generated().size() + verify.draft.size(),
                static_cast<size_t>(spec_.options.max_tokens));
      ASSERT_LT(before + verify.draft.size(),
                static_cast<size_t>(spec_.context_max));
      const std::vector<SampledToken> chosen = target_.Verify(verify);
      if (HasFatal()) return;
      CheckSession(target_.tokens(), static_cast<int>(chosen.size()) - 1);
      Take(turn_->OnVerified(chosen));
    }
  }

  // The worker ran exactly the session and then `drafts` more.
  void CheckSession(std::vector<TokenId> tokens, int drafts) {
    ASSERT_GE(tokens.size(), static_cast<size_t>(drafts));
    tokens.resize(tokens.size() - drafts);
    ASSERT_EQ(tokens, turn_->session_tokens());
  }

  void Spoil(std::vector<TokenId>* draft) {
    switch (random_() % 5) {
      case 0:
        draft->clear();
        break;
      case 1:
        draft->resize(draft->size() + 40, 3);
        break;
      case 2:
        (*draft)[random_() % draft->size()] = kFakeVocabSize;
        break;
      case 3:
        (*draft)[random_() % draft->size()] = -1;
        break;
      default:
        for (TokenId& id : *draft) id = random_() % kFakeVocabSize;
    }
  }

  static bool HasFatal() { return ::testing::Test::HasFatalFailure(); }

  TurnSpec spec_;
  Faults faults_;
  std::mt19937_64 random_;
  SimulatedWorker target_;
  SimulatedWorker drafter_;
  std::optional<Turn> turn_;
  std::optional<TurnAction> pending_;
  bool has_drafter_ = false;
  int64_t next_token_ = 0;
  std::string text_;
  std::optional<FinishReason> reason_;
  int restarts_ = 0;
};

// Options of many kinds, all valid.
GenOptions RandomOptions(std::mt19937_64* random) {
  const auto chance = [random](int percent) {
    return static_cast<int>((*random)() % 100) < percent;
  };
  GenOptions options;
  options.seed = (*random)();
  options.max_tokens = 1 + (*random)() % 40;
  if (chance(30)) options.temperature = 0;
  if (chance(30)) options.top_k = 0;
  if (chance(30)) options.presence_penalty = 0.5f;
  if (chance(30)) options.frequency_penalty = 0.2f;
  if (chance(30)) options.ignore_eos = true;
  if (chance(20)) options.stop_token_ids = {10, 23};
  if (chance(20)) options.logprobs = (*random)() % 4;
  if (chance(40)) {
    const std::vector<std::string> stops = {
        "abc", "cab", "th",  "then",         "\u00e9", "\u20ac",
        "bb",  "aaa", "e e", "\ufffd\ufffd", "zz",     "ab\nthe"};
    for (size_t i = 0; i < 1 + (*random)() % 3; ++i) {
      options.stop_strings.push_back(stops[(*random)() % stops.size()]);
    }
  }
  options.draft_length = (*random)() % (kDraftLengthLimit + 1);
  return options;
}

TurnSpec RandomSpec(std::mt19937_64* random) {
  TurnSpec spec = MakeSpec(RandomOptions(random));
  spec.prompt.resize(1 + (*random)() % 6, 5);
  const Position prompt = static_cast<Position>(spec.prompt.size());
  if ((*random)() % 3 == 0) spec.context_max = prompt + 1 + (*random)() % 20;
  if ((*random)() % 3 == 0) {
    spec.draft_context_max = 1 + (*random)() % (prompt + 20);
  }
  return spec;
}

void ExpectEqualsReference(Driver& driver, const ReferenceTurn& reference) {
  EXPECT_EQ(driver.turn().generated(), reference.tokens);
  EXPECT_EQ(driver.text(), reference.text);
  EXPECT_EQ(driver.turn().text(), reference.text);
  EXPECT_EQ(driver.reason(), reference.reason);
  EXPECT_EQ(driver.turn().usage().generated_tokens,
            static_cast<int64_t>(reference.tokens.size()));
}

TEST(TurnCheckTest, SaysWhatIsWrong) {
  const auto reason = [](const TurnSpec& spec) -> std::string {
    const absl::Status status = Turn::Check(TestTokenizer(), spec);
    if (status.ok()) return "";
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return GetErrorDetail(status)->reason;
  };
  TurnSpec spec = MakeSpec();
  EXPECT_EQ(reason(spec), "");
  spec.prompt = {};
  EXPECT_EQ(reason(spec), kReasonEmptyPrompt);
  for (const TokenId id : {-1, kFakeVocabSize, INT32_MAX}) {
    spec.prompt = {1, id};
    EXPECT_EQ(reason(spec), kReasonInvalidToken);
  }
  spec = MakeSpec();
  spec.options.top_p = 2;
  EXPECT_EQ(reason(spec), kReasonInvalidOptions);
  spec = MakeSpec();
  spec.context_max = 4;  // three tokens of prompt leave room for one
  EXPECT_EQ(reason(spec), "");
  spec.context_max = 3;
  EXPECT_EQ(reason(spec), kReasonContextExceeded);
}

TEST(FinishReasonTest, Names) {
  EXPECT_EQ(FinishReasonName(FinishReason::kStopToken), "stop_token");
  EXPECT_EQ(FinishReasonName(FinishReason::kStopString), "stop_string");
  EXPECT_EQ(FinishReasonName(FinishReason::kLength), "length");
  EXPECT_EQ(FinishReasonName(FinishReason::kContext), "context");
  EXPECT_EQ(FinishReasonName(FinishReason::kCancelled), "cancelled");
  EXPECT_EQ(FinishReasonName(FinishReason::kDeadline), "deadline");
  EXPECT_EQ(FinishReasonName(FinishReason::kError), "error");
}

TEST(IsStopTokenTest, EndOfGenerationAndGivenOnes) {
  GenOptions options;
  EXPECT_TRUE(IsStopToken(TestTokenizer(), options, kFakeEos));
  EXPECT_FALSE(IsStopToken(TestTokenizer(), options, 5));
  options.ignore_eos = true;
  EXPECT_FALSE(IsStopToken(TestTokenizer(), options, kFakeEos));
  options.stop_token_ids = {5, kFakeEos};
  EXPECT_TRUE(IsStopToken(TestTokenizer(), options, kFakeEos));
  EXPECT_TRUE(IsStopToken(TestTokenizer(), options, 5));
}

// One round by hand: positions and tokens of the requests.
TEST(TurnTest, RequestsSayWhatTheWorkersLack) {
  Turn turn(&TestTokenizer(), MakeSpec());
  std::vector<TurnAction> actions = turn.Start(true);
  ASSERT_EQ(actions.size(), 1u);
  const ProposeAction propose = std::get<ProposeAction>(actions[0]);
  EXPECT_EQ(propose.position, 2);
  EXPECT_THAT(propose.tokens, ElementsAre(4));
  EXPECT_EQ(propose.draft_length, 4);

  actions = turn.OnProposed({{5, 6, 7, 8}});
  ASSERT_EQ(actions.size(), 1u);
  const VerifyAction verify = std::get<VerifyAction>(actions[0]);
  EXPECT_EQ(verify.position, 2);
  EXPECT_THAT(verify.tokens, ElementsAre(4));
  EXPECT_THAT(verify.draft, ElementsAre(5, 6, 7, 8));

  // All accepted: the drafter lacks its own last draft and the bonus.
  actions = turn.OnVerified(Tokens({5, 6, 7, 8, 9}));
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_THAT(Ids(std::get<EmitAction>(actions[0]).tokens),
              ElementsAre(5, 6, 7, 8, 9));
  EXPECT_EQ(std::get<EmitAction>(actions[0]).text, "cabbcabcaa");
  EXPECT_EQ(std::get<ProposeAction>(actions[1]).position, 6);
  EXPECT_THAT(std::get<ProposeAction>(actions[1]).tokens, ElementsAre(8, 9));

  // One of four accepted: both lack the target's own token alone.
  actions = turn.OnProposed({{3, 3, 3, 3}});
  EXPECT_EQ(std::get<VerifyAction>(actions[0]).position, 7);
  EXPECT_THAT(std::get<VerifyAction>(actions[0]).tokens, ElementsAre(9));
  actions = turn.OnVerified(Tokens({3, 4}));
  EXPECT_EQ(std::get<ProposeAction>(actions[1]).position, 9);
  EXPECT_THAT(std::get<ProposeAction>(actions[1]).tokens, ElementsAre(4));

  EXPECT_EQ(turn.speculation().rounds, 2);
  EXPECT_EQ(turn.speculation().drafted, 8);
  EXPECT_EQ(turn.speculation().accepted, 5);
  EXPECT_EQ(turn.usage().prompt_tokens, 3);
  EXPECT_EQ(turn.usage().generated_tokens, 7);
}

TEST(TurnTest, DraftsAreLimitedByWhatMayBeGenerated) {
  GenOptions options;
  options.max_tokens = 3;
  Turn turn(&TestTokenizer(), MakeSpec(options));
  EXPECT_EQ(std::get<ProposeAction>(turn.Start(true)[0]).draft_length, 2);
  EXPECT_THAT(std::get<VerifyAction>(turn.OnProposed({{5, 5, 5, 5}})[0]).draft,
              ElementsAre(5, 5));
  // Two more to come would need one draft; one more needs none.
  const std::vector<TurnAction> actions = turn.OnVerified(Tokens({5, 6}));
  EXPECT_THAT(std::get<VerifyAction>(actions[1]).draft, IsEmpty());
  const std::vector<TurnAction> last = turn.OnVerified(Tokens({7}));
  EXPECT_EQ(std::get<EndAction>(last[1]).reason, FinishReason::kLength);
}

TEST(TurnTest, StopTokenInsideAnAcceptanceCutsTheRest) {
  GenOptions options;
  options.stop_token_ids = {6};
  Turn turn(&TestTokenizer(), MakeSpec(options));
  turn.Start(true);
  // Nothing after a drafted stop token is verified.
  EXPECT_THAT(std::get<VerifyAction>(turn.OnProposed({{5, 6, 7, 8}})[0]).draft,
              ElementsAre(5, 6));
  const std::vector<TurnAction> actions = turn.OnVerified(Tokens({5, 6, 9}));
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_THAT(Ids(std::get<EmitAction>(actions[0]).tokens), ElementsAre(5, 6));
  EXPECT_EQ(std::get<EmitAction>(actions[0]).text, "c");
  EXPECT_EQ(std::get<EndAction>(actions[1]).reason, FinishReason::kStopToken);
  EXPECT_THAT(turn.session_tokens(), ElementsAre(kFakeBos, 3, 4, 5, 6));
  EXPECT_EQ(turn.usage().generated_tokens, 2);
  EXPECT_EQ(turn.speculation().accepted, 2);
  EXPECT_TRUE(turn.ended());
  EXPECT_THAT(turn.OnVerified(Tokens({5})), IsEmpty());
  EXPECT_THAT(turn.OnCancel(FinishReason::kCancelled), IsEmpty());
}

TEST(TurnTest, StopStringInsideAnAcceptanceCutsTheRest) {
  GenOptions options;
  options.stop_strings = {"bca"};
  Turn turn(&TestTokenizer(), MakeSpec(options));
  turn.Start(true);
  turn.OnProposed({{3, 4, 5, 9}});
  const std::vector<TurnAction> actions =
      turn.OnVerified(Tokens({3, 4, 5, 9, 3}));
  ASSERT_EQ(actions.size(), 2u);
  // "a b c aa": the token that completes it is the last one.
  EXPECT_THAT(Ids(std::get<EmitAction>(actions[0]).tokens),
              ElementsAre(3, 4, 5, 9));
  EXPECT_EQ(std::get<EmitAction>(actions[0]).text, "a");
  EXPECT_EQ(std::get<EndAction>(actions[1]).reason, FinishReason::kStopString);
  EXPECT_EQ(std::get<EndAction>(actions[1]).text, "");
  EXPECT_EQ(turn.usage().generated_tokens, 4);
}

TEST(TurnTest, HeldBackTextComesWithTheEnd) {
  GenOptions options;
  options.stop_strings = {"abcd"};
  Turn turn(&TestTokenizer(), MakeSpec(options));
  turn.Start(false);
  std::vector<TurnAction> actions = turn.OnVerified(Tokens({8}));
  EXPECT_EQ(std::get<EmitAction>(actions[0]).text, "");
  actions = turn.OnVerified(Tokens({16}));  // half a character
  EXPECT_EQ(std::get<EmitAction>(actions[0]).text, "");
  actions = turn.OnCancel(FinishReason::kDeadline);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(std::get<EndAction>(actions[0]).reason, FinishReason::kDeadline);
  EXPECT_EQ(std::get<EndAction>(actions[0]).text, "abc\ufffd");
  EXPECT_EQ(turn.text(), "abc\ufffd");
}

TEST(TurnTest, WrongAnswersOfTheTargetEndWithAnError) {
  const std::vector<std::vector<TokenId>> wrong = {
      {},            // no token
      {5, 6, 7, 8},  // more than draft + 1
      {kFakeVocabSize},
      {5, -1},
      {7, 6},  // goes on after one that differs
  };
  for (const std::vector<TokenId>& answer : wrong) {
    Turn turn(&TestTokenizer(), MakeSpec());
    turn.Start(true);
    turn.OnProposed({{5, 6}});
    const std::vector<TurnAction> actions = turn.OnVerified(Tokens(answer));
    ASSERT_EQ(actions.size(), 1u);
    EXPECT_EQ(std::get<EndAction>(actions[0]).reason, FinishReason::kError);
    EXPECT_THAT(turn.generated(), IsEmpty());
    EXPECT_TRUE(turn.ended());
  }
}

TEST(TurnTest, CancelBeforeTheStart) {
  Turn turn(&TestTokenizer(), MakeSpec());
  EXPECT_EQ(turn.OnCancel(FinishReason::kCancelled).size(), 1u);
  EXPECT_THAT(turn.Start(true), IsEmpty());
  EXPECT_THAT(turn.OnDrafterLost(), IsEmpty());
  EXPECT_THAT(turn.OnTargetReplaced(), IsEmpty());
}

TEST(TurnTest, CommittedTokensThatCompleteTheTurnEndItAtTheStart) {
  GenOptions options;
  options.max_tokens = 2;
  options.stop_strings = {"abc"};
  struct Case {
    std::vector<TokenId> committed;
    FinishReason reason;
    std::string text;
    std::string end_text;
    int64_t generated;
  };
  const std::vector<Case> cases = {
      {{9, 6}, FinishReason::kLength, "aa", "ab", 2},
      {{kFakeEos}, FinishReason::kStopToken, "", "", 1},
      {{6, 5}, FinishReason::kStopString, "", "", 2},
      {{8, 3}, FinishReason::kStopString, "", "", 1},
  };
  for (const Case& c : cases) {
    Turn turn(&TestTokenizer(), MakeSpec(options), Tokens(c.committed));
    EXPECT_EQ(turn.text(), c.text);
    const std::vector<TurnAction> actions = turn.Start(true);
    ASSERT_EQ(actions.size(), 1u);
    EXPECT_EQ(std::get<EndAction>(actions[0]).reason, c.reason);
    EXPECT_EQ(std::get<EndAction>(actions[0]).text, c.end_text);
    EXPECT_EQ(turn.usage().generated_tokens, c.generated);
  }
}

TEST(TurnTest, EqualsTheReferenceForEveryDraftLength) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 60; ++round) {
    TurnSpec spec = RandomSpec(&random);
    const FakeModel target = {.seed = random()};
    const ReferenceTurn reference = GenerateReference(target, spec);
    for (int k = 0; k <= kDraftLengthLimit; ++k) {
      spec.options.draft_length = k;
      FakeModel draft = target;
      draft.noise = (round % 4) * 0.2;
      Driver driver(spec, target, draft, {}, random());
      driver.Run(k % 2 == 0 || k > 4);
      ASSERT_FALSE(::testing::Test::HasFatalFailure());
      ExpectEqualsReference(driver, reference);
      const SpeculationCounts counts = driver.turn().speculation();
      EXPECT_LE(counts.accepted, counts.drafted);
      EXPECT_LE(static_cast<int64_t>(reference.tokens.size()),
                counts.accepted + counts.rounds);
    }
  }
}

TEST(TurnTest, AnEqualDrafterIsAlwaysRight) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 50; ++round) {
    TurnSpec spec = RandomSpec(&random);
    spec.draft_context_max = 0;
    const FakeModel target = {.seed = random()};
    Driver driver(spec, target, target, {}, random());
    driver.Run(true);
    const SpeculationCounts counts = driver.turn().speculation();
    // Only what a stop string cuts off is lost.
    if (spec.options.stop_strings.empty()) {
      EXPECT_EQ(counts.accepted, counts.drafted);
    }
  }
}

TEST(TurnTest, EqualsTheReferenceWhateverGoesWrong) {
  std::mt19937_64 random(3);
  int restarts = 0;
  for (int round = 0; round < 2000; ++round) {
    const TurnSpec spec = RandomSpec(&random);
    const FakeModel target = {.seed = random()};
    FakeModel draft = target;
    draft.noise = (random() % 3) * 0.3;
    const Faults faults = {.bad_draft = static_cast<int>(random() % 3) * 25,
                           .drafter_lost = static_cast<int>(random() % 30),
                           .drafter_attached = static_cast<int>(random() % 60),
                           .target_replaced = static_cast<int>(random() % 30),
                           .stray_answer = 20,
                           .restart = static_cast<int>(random() % 20)};
    Driver driver(spec, target, draft, faults, random());
    driver.Run(random() % 4 != 0);
    ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "round " << round;
    ExpectEqualsReference(driver, GenerateReference(target, spec));
    ASSERT_FALSE(::testing::Test::HasFailure()) << "round " << round;
    restarts += driver.restarts();
  }
  EXPECT_GT(restarts, 100);
}

TEST(TurnTest, ResumesFromAnyCommittedPrefix) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 60; ++round) {
    const TurnSpec spec = RandomSpec(&random);
    const FakeModel target = {.seed = random()};
    FakeModel draft = target;
    draft.noise = 0.3;
    const ReferenceTurn reference = GenerateReference(target, spec);
    for (size_t count = 0; count <= reference.tokens.size(); ++count) {
      Driver driver(spec, target, draft, {}, random());
      driver.Run(true, absl::MakeConstSpan(reference.tokens).first(count));
      ASSERT_FALSE(::testing::Test::HasFatalFailure());
      // The text of the committed ones is in text() and not emitted again.
      ExpectEqualsReference(driver, reference);
    }
  }
}

TEST(TurnTest, CancelKeepsAPrefixThatGoesOnAlike) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 300; ++round) {
    const TurnSpec spec = RandomSpec(&random);
    const FakeModel target = {.seed = random()};
    FakeModel draft = target;
    draft.noise = 0.2;
    const ReferenceTurn reference = GenerateReference(target, spec);
    Driver driver(spec, target, draft, {}, random());
    driver.Run(true, {}, random() % 20);
    if (!driver.turn().ended()) {
      driver.Cancel(FinishReason::kCancelled);
      EXPECT_EQ(driver.reason(), FinishReason::kCancelled);
    }
    EXPECT_TRUE(driver.turn().ended());
    EXPECT_EQ(driver.text(), driver.turn().text());
    const std::vector<SampledToken> kept = driver.turn().generated();
    ASSERT_LE(kept.size(), reference.tokens.size());
    EXPECT_TRUE(std::equal(kept.begin(), kept.end(), reference.tokens.begin()));
    std::vector<TokenId> session = spec.prompt;
    for (const SampledToken& token : kept) session.push_back(token.id);
    EXPECT_EQ(driver.turn().session_tokens(), session);
  }
}

}  // namespace
}  // namespace tandem
