#include "engine/session/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "engine/base/error_reason.h"
#include "engine/session/inference_session.h"

namespace tandem {
namespace {

constexpr char kTarget[] = "tales-target";
constexpr char kDraft[] = "tales-draft";

// The demo pair, loaded once for all tests here.
ModelStore& DemoStore() {
  static ModelStore* const store = [] {
    auto* const result = new ModelStore();
    const std::string folder = TANDEM_SOURCE_DIR "/deploy/models/";
    EXPECT_TRUE(
        result->AddFile(kTarget, folder + "tales-target-q8_0.gguf").ok());
    EXPECT_TRUE(result->AddFile(kDraft, folder + "tales-draft-q8_0.gguf").ok());
    return result;
  }();
  return *store;
}

std::unique_ptr<Engine> LoadDemo(absl::string_view id) {
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Load(*DemoStore().Get(id), {.threads = 2, .kv_tokens = 2048});
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

std::string Reason(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason : "";
}

GenOptions Options(float temperature, int draft_length) {
  GenOptions options;
  options.temperature = temperature;
  options.seed = 7;
  options.max_tokens = 48;
  options.draft_length = draft_length;
  return options;
}

TEST(GenerateTest, TheTextDoesNotDependOnSpeculation) {
  for (const float temperature : {0.0f, 0.8f, 0.7f}) {
    std::optional<GenerateResult> plain;
    for (const int draft_length : {0, 1, 4, 8}) {
      GenerateOptions options;
      options.generation = Options(temperature, draft_length);
      if (draft_length > 0) options.draft_model_id = kDraft;
      options.engine.threads = 1 + draft_length % 3;
      const absl::StatusOr<GenerateResult> result = Generate(
          DemoStore(), kTarget, "Once upon a time there was a king", options);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(result->token_ids.size(), 48u);
      EXPECT_EQ(result->finish_reason, FinishReason::kLength);
      EXPECT_EQ(result->seed, 7u);
      EXPECT_EQ(result->usage.generated_tokens, 48);
      EXPECT_FALSE(result->text.empty());
      if (!plain.has_value()) {
        plain = *result;
        EXPECT_EQ(result->speculation.drafted, 0);
        continue;
      }
      EXPECT_EQ(result->token_ids, plain->token_ids);
      EXPECT_EQ(result->text, plain->text);
      const SpeculationCounts counts = result->speculation;
      RecordProperty("accepted", static_cast<int>(counts.accepted));
      RecordProperty("drafted", static_cast<int>(counts.drafted));
      EXPECT_GT(counts.drafted, 0);
      EXPECT_LE(counts.rounds + counts.accepted, 48 + counts.rounds);
    }
  }
}

// Accepted and drafted over a few prompts.
SpeculationCounts CountDrafts(const GenOptions& generation) {
  SpeculationCounts sum;
  for (const char* prompt :
       {"Once upon a time", "The fox said to the crow", "In a deep forest"}) {
    GenerateOptions options;
    options.generation = generation;
    options.draft_model_id = kDraft;
    const absl::StatusOr<GenerateResult> result =
        Generate(DemoStore(), kTarget, prompt, options);
    EXPECT_TRUE(result.ok()) << result.status();
    const SpeculationCounts counts = result->speculation;
    EXPECT_EQ(counts.accepted + counts.rounds,
              static_cast<int64_t>(result->token_ids.size()));
    sum.rounds += counts.rounds;
    sum.drafted += counts.drafted;
    sum.accepted += counts.accepted;
  }
  return sum;
}

double Share(const SpeculationCounts& counts) {
  return static_cast<double>(counts.accepted) /
         static_cast<double>(counts.drafted);
}

// An independent implementation measured that 0.59 to 0.63 of single drafts
// are right under shared noise (top-k 40, top-p 0.9, no penalty) on held-out
// text. 0.1 is three standard deviations of a share of 0.6 of 220 drafts.
TEST(GenerateTest, TheDemoPairAgreesAsMeasuredElsewhere) {
  for (const float temperature : {0.7f, 1.0f}) {
    GenOptions options = Options(temperature, 1);
    options.max_tokens = 128;
    options.repetition_penalty = 1;
    const SpeculationCounts counts = CountDrafts(options);
    EXPECT_GT(counts.drafted, 220);
    EXPECT_NEAR(Share(counts), 0.61, 0.1) << "temperature " << temperature;
  }
}

// Drafts of 4, which end at the first error, under the default repetition
// penalty.
TEST(GenerateTest, TheDemoPairAcceptsDraftsUnderTheDefaults) {
  GenOptions options;
  options.draft_length = 4;
  options.seed = 7;
  options.max_tokens = 128;
  EXPECT_GT(Share(CountDrafts(options)), 0.3);
}

TEST(GenerateTest, SessionsOfTheDemoPairAgreeOverTurnsAndCancels) {
  const std::unique_ptr<Engine> target = LoadDemo(kTarget);
  const std::unique_ptr<Engine> draft = LoadDemo(kDraft);
  for (const float temperature : {0.0f, 0.8f}) {
    std::optional<std::vector<TokenId>> expected;
    for (const int draft_length : {0, 1, 4, 8}) {
      const auto session = *InferenceSession::Create(target.get(), draft.get());
      const GenOptions options = Options(temperature, draft_length);
      ASSERT_TRUE(session->StartTurn("The fox said", options).ok());
      while ((*session->NextToken()).has_value()) {
      }
      // A cancel in the second turn, where nothing is buffered, so that every
      // draft length cuts at the same token: by a turn of just that length.
      GenOptions cut = options;
      cut.max_tokens = 9;
      ASSERT_TRUE(session->StartTurn(" and the crow", cut).ok());
      for (int i = 0; i < 9; ++i)
        ASSERT_TRUE(session->NextToken()->has_value());
      session->Cancel();
      ASSERT_TRUE(session->StartTurn(" Then", options).ok());
      while ((*session->NextToken()).has_value()) {
      }
      EXPECT_EQ(session->state(), SessionState::kComplete);
      if (!expected.has_value()) expected = session->tokens();
      EXPECT_EQ(session->tokens(), *expected);
    }
  }
  EXPECT_EQ(target->kv_usage().pages_reserved, 0);
  EXPECT_EQ(draft->kv_usage().pages_reserved, 0);
}

// Three turns with and without kept KV: the same tokens, and a turn runs of its
// prompt what is new and the part of a page before it.
TEST(GenerateTest, TheTextDoesNotDependOnKeptKv) {
  for (const int draft_length : {0, 4}) {
    std::optional<std::vector<TokenId>> expected;
    for (const bool kept : {false, true}) {
      const EngineOptions engine_options = {
          .threads = 2, .kv_tokens = 2048, .prefix_cache = kept};
      const auto target =
          *Engine::Load(*DemoStore().Get(kTarget), engine_options);
      const auto draft =
          *Engine::Load(*DemoStore().Get(kDraft), engine_options);
      const auto session = *InferenceSession::Create(target.get(), draft.get());
      for (const char* prompt : {"The fox said", " and the crow", " Then"}) {
        const int64_t history = static_cast<int64_t>(session->tokens().size());
        ASSERT_TRUE(
            session->StartTurn(prompt, Options(0.8f, draft_length)).ok());
        while ((*session->NextToken()).has_value()) {
        }
        // The last token of a turn is chosen, not run.
        const int64_t pages = std::max<int64_t>(0, history - 1) / 32;
        EXPECT_EQ(session->usage().cached_prompt_tokens, kept ? pages * 32 : 0);
      }
      if (!expected.has_value()) expected = session->tokens();
      EXPECT_EQ(session->tokens(), *expected);
      EXPECT_GT(expected->size(), 100u);
      EXPECT_EQ(target->kv_usage().pages_reserved, 0);
      EXPECT_EQ(target->kv_usage().pages_cached > 0, kept);
      EXPECT_EQ(draft->kv_usage().pages_cached > 0, kept && draft_length > 0);
    }
  }
}

TEST(GenerateTest, LongPromptsAreChunkedAndContextIsExact) {
  const std::unique_ptr<Engine> target = LoadDemo(kTarget);
  const auto session = *InferenceSession::Create(target.get(), nullptr);
  GenOptions options = Options(0, 0);
  const std::vector<TokenId> prompt(1020, 300);
  ASSERT_TRUE(session->StartTurn(prompt, options).ok());
  int generated = 0;
  while ((*session->NextToken()).has_value()) ++generated;
  EXPECT_EQ(generated, 4);  // a context of 1,024
  EXPECT_EQ(session->finish_reason(), FinishReason::kContext);
}

TEST(GenerateTest, ErrorsSayWhatIsWrong) {
  GenerateOptions options;
  EXPECT_EQ(Reason(Generate(DemoStore(), "nothing", "x", options).status()),
            kReasonUnknownModel);
  options.draft_model_id = "nothing";
  EXPECT_EQ(Reason(Generate(DemoStore(), kTarget, "x", options).status()),
            kReasonUnknownModel);
  options.draft_model_id.clear();
  EXPECT_EQ(Reason(Generate(DemoStore(), kTarget, "\xff", options).status()),
            kReasonInvalidText);
  options.generation.max_tokens = 0;
  EXPECT_EQ(Reason(Generate(DemoStore(), kTarget, "x", options).status()),
            kReasonInvalidOptions);
  options.generation.max_tokens = 10;
  options.engine.threads = -1;
  EXPECT_EQ(Reason(Generate(DemoStore(), kTarget, "x", options).status()),
            kReasonInvalidOptions);
}

TEST(GenerateTest, SeedIsDrawnAndTold) {
  GenerateOptions options;
  options.generation.max_tokens = 8;
  const absl::StatusOr<GenerateResult> first =
      Generate(DemoStore(), kTarget, "A", options);
  ASSERT_TRUE(first.ok()) << first.status();
  options.generation.seed = first->seed;
  EXPECT_EQ(Generate(DemoStore(), kTarget, "A", options)->token_ids,
            first->token_ids);
}

}  // namespace
}  // namespace tandem
