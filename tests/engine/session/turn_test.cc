#include "engine/session/turn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/base/error_reason.h"
#include "tests/engine/session/fake_engine.h"
#include "tests/engine/session/turn_driver.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

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

void ExpectEqualsReference(const TurnDriver& driver,
                           const ReferenceTurn& reference) {
  EXPECT_EQ(driver.sampled(), reference.tokens);
  EXPECT_EQ(driver.turn().text(), reference.text);
  EXPECT_EQ(driver.reason(), reference.reason);
  EXPECT_EQ(driver.turn().usage().generated_tokens,
            static_cast<int64_t>(reference.tokens.size()));
}

TEST(TurnCheckTest, SaysWhatIsWrong) {
  const auto reason = [](const TurnSpec& spec) -> std::string {
    const absl::Status status = CheckTurn(TestTokenizer(), spec);
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
  EXPECT_EQ(FinishReasonName(FinishReason::kGrammarEnd), "grammar_end");
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
  const auto draft_of = [](const std::vector<TurnAction>& verified) {
    return std::get<EmitAction>(verified[0]).draft;
  };
  EXPECT_EQ(draft_of(actions), (VerifiedDraft{.drafted = 4, .accepted = 4}));
  EXPECT_EQ(turn.text(), "cabbcabcaa");
  EXPECT_EQ(std::get<EmitAction>(actions[0]).text_end, turn.text().size());
  EXPECT_EQ(std::get<ProposeAction>(actions[1]).position, 6);
  EXPECT_THAT(std::get<ProposeAction>(actions[1]).tokens, ElementsAre(8, 9));

  // One of four accepted: both lack the target's own token alone.
  actions = turn.OnProposed({{3, 3, 3, 3}});
  EXPECT_EQ(std::get<VerifyAction>(actions[0]).position, 7);
  EXPECT_THAT(std::get<VerifyAction>(actions[0]).tokens, ElementsAre(9));
  actions = turn.OnVerified(Tokens({3, 4}));
  EXPECT_EQ(draft_of(actions), (VerifiedDraft{.drafted = 4, .accepted = 1}));
  EXPECT_EQ(std::get<ProposeAction>(actions[1]).position, 9);
  EXPECT_THAT(std::get<ProposeAction>(actions[1]).tokens, ElementsAre(4));

  EXPECT_EQ(turn.speculation().rounds, 2);
  EXPECT_EQ(turn.speculation().drafted, 8);
  EXPECT_EQ(turn.speculation().accepted, 5);
  const SpeculationCounts counts = turn.speculation();
  const std::vector<int64_t> accepted = {2, 1, 1, 1, 0};
  for (size_t i = 0; i < accepted.size(); ++i) {
    EXPECT_EQ(counts.positions[i].drafted, i < 4 ? 2 : 0);
    EXPECT_EQ(counts.positions[i].accepted, accepted[i]);
  }
  EXPECT_EQ(turn.speculation().lookup.drafted, 0);
  EXPECT_EQ(turn.usage().prompt_tokens, 3);
  EXPECT_EQ(turn.usage().generated_tokens, 7);
}

TEST(TurnTest, ALateDraftIsLeftOutAndTheDrafterStays) {
  Turn turn(&TestTokenizer(), MakeSpec());
  turn.Start(true);
  std::vector<TurnAction> actions = turn.OnDraftLate();
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_THAT(std::get<VerifyAction>(actions[0]).draft, IsEmpty());
  EXPECT_THAT(turn.OnDraftLate(), IsEmpty());
  // It has what that request told, so the next one begins there.
  actions = turn.OnVerified(Tokens({5}));
  EXPECT_EQ(std::get<EmitAction>(actions[0]).draft, VerifiedDraft());
  const ProposeAction next = std::get<ProposeAction>(actions[1]);
  EXPECT_EQ(next.position, 3);
  EXPECT_THAT(next.tokens, ElementsAre(5));
  EXPECT_EQ(turn.speculation().late, 1);
  EXPECT_EQ(turn.speculation().drafted, 0);
}

// A text that repeats is drafted without any drafter, in the same rounds.
TEST(TurnTest, LookupDraftsAreVerifiedAtOnce) {
  GenOptions options;
  options.draft_length = 3;
  TurnSpec spec = MakeSpec(options);
  spec.prompt = {kFakeBos, 5, 6, 7, 8, 5, 6};
  const auto policy = std::make_shared<DraftPolicy>();
  Speculator speculator(policy, options);
  Turn turn(&TestTokenizer(), spec);
  std::vector<TurnAction> actions = turn.Start(false, &speculator);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_THAT(std::get<VerifyAction>(actions[0]).draft, ElementsAre(7, 8, 5));
  actions = turn.OnVerified(Tokens({7, 8, 9}));
  EXPECT_EQ(std::get<EmitAction>(actions[0]).draft,
            (VerifiedDraft{.drafted = 3, .accepted = 2, .from_lookup = true}));
  EXPECT_EQ(turn.speculation().lookup.drafted, 3);
  EXPECT_EQ(turn.speculation().lookup.accepted, 2);
  EXPECT_EQ(turn.speculation().drafted, 3);
  EXPECT_EQ(turn.speculation().accepted, 2);
  // 8 9 is new: nothing to draft.
  EXPECT_THAT(std::get<VerifyAction>(actions[1]).draft, IsEmpty());
  actions = turn.OnVerified(Tokens({10}));
  EXPECT_EQ(std::get<EmitAction>(actions[0]).draft, VerifiedDraft());
}

TEST(TurnTest, LookupNeverDraftsPastTheEndOrAStopToken) {
  GenOptions options;
  options.draft_length = 5;
  options.max_tokens = 3;
  options.stop_token_ids = {8};
  TurnSpec spec = MakeSpec(options);
  const auto policy = std::make_shared<DraftPolicy>();
  for (const TokenId stop_at : {8, 9}) {
    spec.prompt = {kFakeBos, 5, 6, stop_at, 7, 7, 5, 6};
    Speculator speculator(policy, options);
    Turn turn(&TestTokenizer(), spec);
    const std::vector<TurnAction> actions = turn.Start(false, &speculator);
    EXPECT_THAT(std::get<VerifyAction>(actions[0]).draft.size(),
                stop_at == 8 ? 1 : 2);
  }
}

TEST(TurnTest, AutomaticLengthsGiveTheReferenceWhateverGoesWrong) {
  std::mt19937_64 random(6);
  int64_t by_lookup = 0;
  int64_t by_model = 0;
  int64_t late = 0;
  int64_t ahead_used = 0;
  for (int round = 0; round < 1000; ++round) {
    TurnSpec spec = RandomSpec(&random);
    if (round % 3 > 0) spec.options.draft_length.reset();
    spec.options.draft_length_max = static_cast<int32_t>(random() % 17);
    spec.options.draft_sources = static_cast<DraftSources>(random() % 3);
    const FakeModel target = {.seed = random()};
    FakeModel draft = target;
    draft.noise = (random() % 3) * 0.3;
    Faults faults = RandomFaults(&random);
    faults.stray_answer = 20;
    TurnDriver driver({.spec = spec,
                       .target = target,
                       .draft = draft,
                       .faults = faults,
                       .seed = random(),
                       .speculates = true,
                       .goes_ahead = random() % 2 == 0});
    driver.Run(random() % 4 != 0);
    ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "round " << round;
    ExpectEqualsReference(driver, GenerateReference(target, spec));
    ASSERT_FALSE(::testing::Test::HasFailure()) << "round " << round;
    const SpeculationCounts& counts = driver.turn().speculation();
    int64_t drafted = 0;
    int64_t accepted = 0;
    for (const DraftCounts& position : counts.positions) {
      drafted += position.drafted;
      accepted += position.accepted;
    }
    EXPECT_EQ(drafted, counts.drafted);
    EXPECT_EQ(accepted, counts.accepted);
    EXPECT_LE(counts.ahead_used, counts.ahead_asked);
    by_lookup += counts.lookup.drafted;
    by_model += counts.drafted - counts.lookup.drafted;
    late += counts.late;
    ahead_used += counts.ahead_used;
  }
  EXPECT_GT(by_lookup, 100);
  EXPECT_GT(by_model, 100);
  EXPECT_GT(late, 100);
  EXPECT_GT(ahead_used, 10);
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
  EXPECT_EQ(std::get<EmitAction>(actions[0]).draft,
            (VerifiedDraft{.drafted = 2, .accepted = 2}));
  EXPECT_EQ(turn.text(), "c");
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
  EXPECT_EQ(turn.text(), "a");
  EXPECT_EQ(std::get<EmitAction>(actions[0]).text_end, 1u);
  EXPECT_EQ(std::get<EndAction>(actions[1]).reason, FinishReason::kStopString);
  EXPECT_EQ(turn.usage().generated_tokens, 4);
}

TEST(TurnTest, HeldBackTextComesWithTheEnd) {
  GenOptions options;
  options.stop_strings = {"abcd"};
  Turn turn(&TestTokenizer(), MakeSpec(options));
  turn.Start(false);
  std::vector<TurnAction> actions = turn.OnVerified(Tokens({8}));
  EXPECT_EQ(std::get<EmitAction>(actions[0]).text_end, 0u);
  actions = turn.OnVerified(Tokens({16}));  // half a character
  EXPECT_EQ(std::get<EmitAction>(actions[0]).text_end, 0u);
  actions = turn.OnCancel(FinishReason::kDeadline);
  ASSERT_EQ(actions.size(), 1u);
  EXPECT_EQ(std::get<EndAction>(actions[0]).reason, FinishReason::kDeadline);
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

TEST(TurnTest, SuspendForgetsTheRequestAndBothWorkers) {
  Turn turn(&TestTokenizer(), MakeSpec());
  turn.Start(true);
  turn.OnProposed({{5, 6, 7, 8}});
  turn.OnVerified(Tokens({5, 9}));
  turn.Suspend();
  EXPECT_THAT(turn.OnProposed({{5}}), IsEmpty());
  EXPECT_THAT(turn.OnVerified(Tokens({5})), IsEmpty());
  const std::vector<TurnAction> actions = turn.Start(true);
  ASSERT_EQ(actions.size(), 1u);
  // The workers were opened with the committed tokens.
  EXPECT_EQ(std::get<ProposeAction>(actions[0]).position, 4);
  EXPECT_THAT(std::get<ProposeAction>(actions[0]).tokens, ElementsAre(9));
  EXPECT_EQ(turn.speculation().rounds, 1);
  turn.OnCancel(FinishReason::kCancelled);
  turn.Suspend();
  EXPECT_TRUE(turn.ended());
  EXPECT_THAT(turn.Start(true), IsEmpty());
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
      TurnDriver driver(
          {.spec = spec, .target = target, .draft = draft, .seed = random()});
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
    TurnDriver driver(
        {.spec = spec, .target = target, .draft = target, .seed = random()});
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
    TurnDriver driver({.spec = spec,
                       .target = target,
                       .draft = draft,
                       .faults = faults,
                       .seed = random()});
    driver.Run(random() % 4 != 0);
    ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "round " << round;
    ExpectEqualsReference(driver, GenerateReference(target, spec));
    ASSERT_FALSE(::testing::Test::HasFailure()) << "round " << round;
    restarts += driver.restarts();
  }
  EXPECT_GT(restarts, 100);
}

// A drafter that is always right makes every round's draft ahead but the first.
TEST(TurnTest, ARightGuessAheadIsTheNextDraft) {
  GenOptions options;
  options.draft_length = 3;
  options.max_tokens = 40;
  options.ignore_eos = true;
  const TurnSpec spec = MakeSpec(options);
  const FakeModel model = {.seed = 5};
  for (const bool goes_ahead : {false, true}) {
    TurnDriver driver({.spec = spec,
                       .target = model,
                       .draft = model,
                       .goes_ahead = goes_ahead});
    driver.Run(true);
    ExpectEqualsReference(driver, GenerateReference(model, spec));
    const SpeculationCounts counts = driver.turn().speculation();
    EXPECT_EQ(counts.accepted, counts.drafted);
    EXPECT_EQ(counts.rounds, 10) << "four tokens each";
    EXPECT_EQ(counts.ahead_used, goes_ahead ? 9 : 0);
    EXPECT_EQ(counts.ahead_asked, goes_ahead ? 9 : 0);
  }
}

// A round by hand: what the drafter is asked ahead, and when that counts.
TEST(TurnTest, AGuessAheadCountsOnlyWhereItIsTheTargetsToken) {
  for (const TokenId guess : {7, 8}) {
    GenOptions options;
    options.draft_length = 2;
    Turn turn(&TestTokenizer(), MakeSpec(options));
    turn.SetDraftAhead(true);
    turn.Start(true);
    std::vector<TurnAction> actions = turn.OnProposed({{5, 6}});
    ASSERT_EQ(actions.size(), 2u);
    EXPECT_THAT(std::get<VerifyAction>(actions[0]).draft, ElementsAre(5, 6));
    const ProposeAction ahead = std::get<ProposeAction>(actions[1]);
    EXPECT_TRUE(ahead.is_ahead);
    EXPECT_EQ(ahead.position, 4) << "of the last draft";
    EXPECT_THAT(ahead.tokens, ElementsAre(6));
    EXPECT_EQ(ahead.draft_length, 3) << "the target's token and two more";

    turn.OnAheadProposed({{guess, 9, 10}});
    actions = turn.OnVerified(Tokens({5, 6, 7}));
    if (guess == 7) {
      ASSERT_EQ(actions.size(), 3u);
      const VerifyAction verify = std::get<VerifyAction>(actions[1]);
      EXPECT_EQ(verify.position, 5);
      EXPECT_THAT(verify.tokens, ElementsAre(7));
      EXPECT_THAT(verify.draft, ElementsAre(9, 10));
      EXPECT_EQ(std::get<ProposeAction>(actions[2]).position, 7);
    } else {
      ASSERT_EQ(actions.size(), 2u);
      const ProposeAction again = std::get<ProposeAction>(actions[1]);
      EXPECT_FALSE(again.is_ahead);
      EXPECT_EQ(again.position, 4);
      EXPECT_THAT(again.tokens, ElementsAre(6, 7));
    }
    EXPECT_EQ(turn.speculation().ahead_used, guess == 7 ? 1 : 0);
  }
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
      TurnDriver driver(
          {.spec = spec, .target = target, .draft = draft, .seed = random()});
      driver.Run(true, count);
      driver.Resume(true);
      ASSERT_FALSE(::testing::Test::HasFatalFailure());
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
    TurnDriver driver(
        {.spec = spec, .target = target, .draft = draft, .seed = random()});
    driver.Run(true, random() % 20);
    if (!driver.turn().ended()) {
      driver.Cancel(FinishReason::kCancelled);
      EXPECT_EQ(driver.reason(), FinishReason::kCancelled);
    }
    EXPECT_TRUE(driver.turn().ended());
    const std::vector<SampledToken> kept = driver.sampled();
    ASSERT_LE(kept.size(), reference.tokens.size());
    EXPECT_TRUE(std::equal(kept.begin(), kept.end(), reference.tokens.begin()));
    std::vector<TokenId> session = spec.prompt;
    for (const SampledToken& token : kept) session.push_back(token.id);
    EXPECT_EQ(driver.turn().session_tokens(), session);
  }
}

}  // namespace
}  // namespace tandem
