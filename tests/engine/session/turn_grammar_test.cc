// Turns with a response_format and min_tokens: Turn, SequenceDecoder and
// InferenceSession over the fake vocabulary.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/session/inference_session.h"
#include "engine/session/turn.h"
#include "engine/tokenizer/response_grammar.h"
#include "tests/engine/session/fake_engine.h"
#include "tests/engine/session/sequence_decoder_runs.h"
#include "tests/engine/session/turn_driver.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Kind = GrammarSource::Kind;

GrammarSource Regex(const std::string& text) {
  return {.kind = Kind::kRegex, .text = text};
}

// Texts that the fake vocabulary can spell, whatever token they begin with.
std::vector<GrammarSource> Formats() {
  return {Regex("[abc ]{3,20}"),
          Regex("(the |a|bc)*[.]"),
          Regex("(\u00e9|a|\u20ac){2,9}"),
          Regex("a+b*"),
          {.kind = Kind::kChoices, .choices = {"abc", "abca", "the a", "e"}},
          {.kind = Kind::kGbnf,
           .text = "root ::= \"a\" root \"b\" | \"c\" | \"the \" root"}};
}

TurnSpec SpecOf(GrammarSource format, uint64_t seed) {
  TurnSpec spec;
  spec.prompt = {kFakeBos, 3, 4};
  spec.options.response_format = std::move(format);
  spec.options.seed = seed;
  spec.options.max_tokens = 40;
  spec.options.temperature = 1;
  spec.context_max = 1000;
  auto grammar = CompileResponseFormat(TestTokenizer(), spec.options);
  EXPECT_TRUE(grammar.ok()) << grammar.status();
  spec.grammar = *std::move(grammar);
  return spec;
}

TurnSpec RandomSpec(std::mt19937_64* random) {
  const std::vector<GrammarSource> formats = Formats();
  TurnSpec spec = SpecOf(formats[(*random)() % formats.size()], (*random)());
  GenOptions& options = spec.options;
  options.max_tokens = 1 + (*random)() % 40;
  options.min_tokens =
      static_cast<int32_t>((*random)() % (options.max_tokens + 1));
  if ((*random)() % 3 == 0) options.temperature = 0;
  if ((*random)() % 3 == 0) options.top_k = 0;
  if ((*random)() % 4 == 0) options.top_p = 0.5f;
  if ((*random)() % 4 == 0) options.presence_penalty = 1;
  if ((*random)() % 4 == 0) options.ignore_eos = true;
  if ((*random)() % 4 == 0) options.logprobs = (*random)() % 4;
  if ((*random)() % 4 == 0) options.stop_strings = {"aa", "bca"};
  options.draft_length_max = static_cast<int32_t>((*random)() % 17);
  options.draft_sources = static_cast<DraftSources>((*random)() % 3);
  if ((*random)() % 3 == 0) {
    options.draft_length = static_cast<int32_t>((*random)() % 17);
  }
  return spec;
}

// Whether the text is one of the format, by the grammar alone.
bool IsWhole(const TurnSpec& spec, absl::Span<const TokenId> tokens) {
  GrammarMatcher matcher(spec.grammar);
  for (const TokenId token : tokens) {
    if (IsStopToken(TestTokenizer(), spec.options, token)) break;
    if (!matcher.Accept(token).ok()) return false;
  }
  return matcher.may_end();
}

TEST(TurnGrammarTest, EqualsTheReferenceWhateverGoesWrong) {
  std::mt19937_64 random(18);
  int64_t by_lookup = 0;
  int64_t ahead_used = 0;
  std::map<FinishReason, int> ends;
  for (int round = 0; round < 1500; ++round) {
    TurnSpec spec = RandomSpec(&random);
    const bool speculates = random() % 4 != 0;
    // Only a speculator can choose.
    if (!speculates) spec.options.draft_length = random() % 17;
    const FakeModel target = {.seed = random()};
    FakeModel draft = target;
    draft.noise = static_cast<double>(random() % 3) * 0.3;
    const Faults faults = RandomFaults(&random);
    TurnDriver driver({.spec = spec,
                       .target = target,
                       .draft = draft,
                       .faults = faults,
                       .seed = random(),
                       .speculates = speculates,
                       .goes_ahead = random() % 2 == 0});
    driver.Run(random() % 4 != 0);
    ASSERT_FALSE(::testing::Test::HasFatalFailure()) << "round " << round;
    const ReferenceTurn reference = GenerateReference(target, spec);
    ASSERT_EQ(driver.sampled(), reference.tokens) << "round " << round;
    ASSERT_EQ(driver.reason(), reference.reason) << "round " << round;
    ASSERT_EQ(driver.turn().text(), reference.text) << "round " << round;
    const FinishReason reason = *driver.reason();
    ++ends[reason];
    if (reason == FinishReason::kGrammarEnd ||
        reason == FinishReason::kStopToken) {
      EXPECT_TRUE(IsWhole(spec, driver.turn().generated()));
    }
    by_lookup += driver.turn().speculation().lookup.accepted;
    ahead_used += driver.turn().speculation().ahead_used;
  }
  EXPECT_GT(by_lookup, 0);
  EXPECT_GT(ahead_used, 0);
  EXPECT_GT(ends[FinishReason::kGrammarEnd], 100);
  EXPECT_GT(ends[FinishReason::kStopToken], 20);
  EXPECT_GT(ends[FinishReason::kStopString], 20);
}

TEST(TurnGrammarTest, DraftsThatTheGrammarForbidsAreCut) {
  Turn turn(&TestTokenizer(), SpecOf(Regex("ab[abc]*"), 1));
  turn.Start(true);
  // 6 is "ab"; 10 is " ".
  std::vector<TurnAction> actions = turn.OnProposed({{6, 5, 10, 3}});
  EXPECT_THAT(std::get<VerifyAction>(actions[0]).draft, ElementsAre(6, 5));
  actions = turn.OnVerified({{{.id = 6}, {.id = 3}}});
  EXPECT_EQ(std::get<EmitAction>(actions[0]).tokens.size(), 2u);
  // What was cut is not in the way of the next draft.
  actions = turn.OnProposed({{4, kFakeEos, 4}});
  EXPECT_THAT(std::get<VerifyAction>(actions[0]).draft,
              ElementsAre(4, kFakeEos));
}

TEST(TurnGrammarTest, NothingIsDraftedBehindACompleteText) {
  Turn turn(&TestTokenizer(), SpecOf(Regex("abc"), 1));
  turn.SetDraftAhead(true);
  turn.Start(true);
  std::vector<TurnAction> actions = turn.OnProposed({{6, 5, 3}});
  ASSERT_EQ(actions.size(), 1u);  // nor ahead
  EXPECT_THAT(std::get<VerifyAction>(actions[0]).draft, ElementsAre(6, 5));
  actions = turn.OnVerified({{{.id = 6}, {.id = 5}}});
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(std::get<EndAction>(actions[1]).reason, FinishReason::kGrammarEnd);
  EXPECT_EQ(turn.text(), "abc");
}

TEST(TurnGrammarTest, AnAnswerOutsideOfTheGrammarIsAnError) {
  for (const TokenId id : {TokenId{10}, kFakeEos}) {
    Turn turn(&TestTokenizer(), SpecOf(Regex("[abc]+"), 1));
    turn.Start(false);
    const std::vector<TurnAction> actions = turn.OnVerified({{{.id = id}}});
    ASSERT_EQ(actions.size(), 1u);
    EXPECT_EQ(std::get<EndAction>(actions[0]).reason, FinishReason::kError);
    EXPECT_THAT(turn.generated(), IsEmpty());
  }
}

TEST(TurnGrammarTest, ARestoredTurnKnowsItsPlace) {
  Turn turn(&TestTokenizer(), SpecOf(Regex("ab[c]{2}"), 1));
  EXPECT_EQ(turn.Restore({{6, 5}}).size(), 2u);
  turn.Start(false);
  const std::vector<TurnAction> actions = turn.OnVerified({{{.id = 5}}});
  EXPECT_EQ(std::get<EndAction>(actions[1]).reason, FinishReason::kGrammarEnd);
  Turn over(&TestTokenizer(), SpecOf(Regex("ab"), 1));
  EXPECT_EQ(std::get<EndAction>(over.Restore({{6}}).back()).reason,
            FinishReason::kGrammarEnd);
}

TEST(DecoderGrammarTest, ProposeEndsWhereTheTextIsComplete) {
  FakeEngine engine;
  SequenceDecoderOptions options = MakeOptions();
  options.options.response_format = Regex("ab|abc");
  options.grammar = *CompileResponseFormat(engine.tokenizer(), options.options);
  const auto decoder = MustOpen(&engine, options);
  ASSERT_TRUE(BeginPropose(decoder.get(), 3, {{5}}, 16).ok());
  const auto draft = Finish(&engine, decoder.get());
  ASSERT_TRUE(draft.ok());
  EXPECT_THAT(engine.tokenizer().Decode(Ids(*draft), true),
              ::testing::AnyOf("ab", "abc"));
  // Behind it there is nothing to draft.
  std::vector<TokenId> all = {5};
  for (const TokenId id : Ids(*draft)) all.push_back(id);
  if (engine.tokenizer().Decode(Ids(*draft), true) == "abc") {
    ASSERT_TRUE(BeginPropose(decoder.get(), 3, all, 4).ok());
    EXPECT_THAT(*Finish(&engine, decoder.get()), IsEmpty());
  }
}

TEST(DecoderGrammarTest, AMovedTurnGoesOnAlike) {
  FakeEngine engine;
  SequenceDecoderOptions options = MakeOptions();
  options.options.response_format = Regex("[abc ]{40}");
  options.grammar = *CompileResponseFormat(engine.tokenizer(), options.options);
  const std::vector<SampledToken> plain = Plain({}, options, options.tokens, 5);
  for (size_t moved = 0; moved < plain.size(); ++moved) {
    SequenceDecoderOptions again = options;
    for (size_t i = 0; i < moved; ++i) again.tokens.push_back(plain[i].id);
    const Position end = static_cast<Position>(again.tokens.size());
    const TokenId last = again.tokens.back();
    const auto decoder = MustOpen(&engine, again);
    ASSERT_TRUE(BeginVerify(decoder.get(), end - 1, {{last}}, {}).ok());
    const auto verified = Finish(&engine, decoder.get());
    ASSERT_TRUE(verified.ok()) << verified.status();
    EXPECT_THAT(*verified, ElementsAre(plain[moved]));
  }
}

TEST(DecoderGrammarTest, TokensOutsideOfTheGrammarFailTheRequest) {
  FakeEngine engine;
  SequenceDecoderOptions options = MakeOptions();
  options.options.response_format = Regex("[abc]+");
  options.grammar = *CompileResponseFormat(engine.tokenizer(), options.options);
  const auto decoder = MustOpen(&engine, options);
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5, 10}}, {}).ok());
  EXPECT_EQ(Reason(Finish(&engine, decoder.get()).status()),
            kReasonInvalidToken);
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5, 3}}, {}).ok());
  EXPECT_TRUE(Finish(&engine, decoder.get()).ok());
}

TEST(SessionGrammarTest, EveryDraftLengthGivesTheReference) {
  for (const GrammarSource& format : Formats()) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      TurnSpec spec = SpecOf(format, seed);
      spec.options.min_tokens = static_cast<int32_t>(seed % 4);
      const ReferenceTurn reference = GenerateReference({}, spec);
      for (const int draft_length : {0, 1, 4, 16, -1}) {
        FakeEngine target;
        FakeEngine draft({.model = {.noise = 0.2}});
        auto session = *InferenceSession::Create(&target, &draft);
        GenOptions options = spec.options;
        if (draft_length >= 0) options.draft_length = draft_length;
        ASSERT_TRUE(session->StartTurn(spec.prompt, options).ok());
        while (true) {
          const auto token = session->NextToken();
          ASSERT_TRUE(token.ok()) << token.status();
          if (!token->has_value()) break;
        }
        EXPECT_THAT(session->generated_tokens(),
                    ::testing::ElementsAreArray(reference.ids()));
        EXPECT_EQ(session->text(), reference.text);
        EXPECT_EQ(session->finish_reason(), reference.reason);
      }
    }
  }
}

TEST(SessionGrammarTest, AWrongFormatIsRefusedByItsField) {
  FakeEngine target;
  auto session = *InferenceSession::Create(&target, nullptr);
  GenOptions options;
  options.response_format = Regex("(a");
  const absl::Status status =
      session->StartTurn(std::vector<TokenId>{1}, options);
  EXPECT_EQ(Reason(status), kReasonInvalidOptions);
  EXPECT_EQ(GetErrorDetail(status)->violations[0].field,
            "response_format.regex");
  EXPECT_THAT(std::string(status.message()), HasSubstr("character"));
}

TEST(SessionGrammarTest, MinTokensKeepsTheEndAway) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    FakeEngine target({.model = {.eos_bias = 4}});
    auto session = *InferenceSession::Create(&target, nullptr);
    GenOptions options;
    options.seed = seed;
    options.max_tokens = 30;
    options.min_tokens = 12;
    ASSERT_TRUE(session->StartTurn(std::vector<TokenId>{1}, options).ok());
    while (session->NextToken()->has_value()) {
    }
    EXPECT_GT(session->generated_tokens().size(), 12u);
    for (const TokenId id : session->generated_tokens().first(12)) {
      EXPECT_NE(id, kFakeEos);
    }
  }
}

}  // namespace
}  // namespace tandem
