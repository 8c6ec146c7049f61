#include "services/coordinator/client/request_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "engine/base/error_reason.h"
#include "services/coordinator/client/background_queue.h"
#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

std::vector<std::string> Fields(const absl::Status& status) {
  std::vector<std::string> fields;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail.has_value()) return fields;
  for (const FieldViolation& violation : detail->violations) {
    fields.push_back(violation.field);
  }
  return fields;
}

TEST(ParseTimeoutTest, WantsMillisecondsInRange) {
  for (const int64_t timeout_ms :
       {int64_t{-1}, kTimeoutMsMax + 1, std::numeric_limits<int64_t>::min()}) {
    const absl::Status status = ParseTimeout(timeout_ms).status();
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonInvalidOptions);
    EXPECT_THAT(Fields(status), ElementsAre("timeout_ms"));
  }
  EXPECT_EQ(*ParseTimeout(0), std::nullopt);
  EXPECT_EQ(*ParseTimeout(kTimeoutMsMax), std::chrono::hours(24));
}

TEST(ParseGoOnTest, IsATimeWithinBoundsWhereTheTurnGoesOn) {
  v1::TurnRequest turn;
  EXPECT_EQ(*ParseGoOn(turn), std::chrono::seconds(0));
  turn.set_on_disconnect(v1::ON_DISCONNECT_WAIT);
  EXPECT_EQ(*ParseGoOn(turn), std::chrono::seconds(0));
  turn.set_on_disconnect(v1::ON_DISCONNECT_GO_ON);
  EXPECT_EQ(*ParseGoOn(turn), std::chrono::seconds(30));
  turn.set_go_on_ms(1);
  EXPECT_EQ(*ParseGoOn(turn), std::chrono::milliseconds(1));
  turn.set_go_on_ms(kGoOnMsMax);
  EXPECT_EQ(*ParseGoOn(turn), std::chrono::minutes(10));
  for (const int64_t go_on_ms :
       {int64_t{-1}, kGoOnMsMax + 1, std::numeric_limits<int64_t>::max()}) {
    turn.set_go_on_ms(go_on_ms);
    EXPECT_THAT(Fields(ParseGoOn(turn).status()), ElementsAre("go_on_ms"));
  }
}

TEST(ParseGoOnTest, NamesWhatSaysNothing) {
  v1::TurnRequest turn;
  turn.set_on_disconnect(static_cast<v1::OnDisconnect>(77));
  const absl::Status status = ParseGoOn(turn).status();
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonInvalidOptions);
  EXPECT_THAT(Fields(status), ElementsAre("on_disconnect"));
  for (const v1::OnDisconnect waits :
       {v1::ON_DISCONNECT_UNSPECIFIED, v1::ON_DISCONNECT_WAIT}) {
    turn.set_on_disconnect(waits);
    turn.set_go_on_ms(1000);
    EXPECT_THAT(Fields(ParseGoOn(turn).status()), ElementsAre("go_on_ms"));
  }
}

TEST(ParseOptionsTest, NamesEachWrongField) {
  v1::GenerationOptions options;
  options.set_temperature(-1);
  options.set_top_p(std::numeric_limits<float>::quiet_NaN());
  options.set_draft_length(1000000);
  const absl::Status status = ParseOptions(options, 100).status();
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonInvalidOptions);
  EXPECT_THAT(Fields(status),
              UnorderedElementsAre("options.temperature", "options.top_p",
                                   "options.draft_length"));
}

TEST(ParseOptionsTest, NamesAnEnumValueThatIsNotKnown) {
  v1::GenerationOptions options;
  options.set_draft_sources(static_cast<v1::DraftSources>(77));
  EXPECT_THAT(Fields(ParseOptions(options, 100).status()),
              ElementsAre("options.draft_sources"));
}

TEST(ParseOptionsTest, DrawsASeedWhereThereIsNone) {
  v1::GenerationOptions options;
  const auto drawn = ParseOptions(options, 100);
  ASSERT_TRUE(drawn.ok());
  ASSERT_TRUE(drawn->seed.has_value());
  EXPECT_LT(*drawn->seed, uint64_t{1} << 53);
  options.set_seed(std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(ParseOptions(options, 100)->seed,
            std::numeric_limits<uint64_t>::max());
}

TEST(CompileOptionsTest, NamesTheFieldAndThePlace) {
  GenOptions options;
  EXPECT_EQ(*CompileOptions(options, *FakeTokenizer()), nullptr);
  options.response_format = {.kind = GrammarSource::Kind::kRegex,
                             .text = "w[0-9]+"};
  EXPECT_NE(*CompileOptions(options, *FakeTokenizer()), nullptr);
  // It does not hold up short texts.
  EXPECT_EQ(CompileBytes(GenOptions()), 0);
  EXPECT_GT(CompileBytes(options), BackgroundQueue::kShortBytes);
  options.response_format = {
      .kind = GrammarSource::Kind::kJsonSchema,
      .text = R"({"properties": {"a": {"contains": {}}}})"};
  const absl::Status status =
      CompileOptions(options, *FakeTokenizer()).status();
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonInvalidOptions);
  EXPECT_THAT(Fields(status),
              ElementsAre("options.response_format.json_schema"));
  EXPECT_THAT(GetErrorDetail(status)->violations[0].description,
              ::testing::StartsWith("/properties/a"));
}

TEST(CheckTokenIdsTest, NamesTheFirstThatIsOutOfRange) {
  EXPECT_TRUE(CheckTokenIds({0, 99}, 100, "ids").ok());
  EXPECT_TRUE(CheckTokenIds({}, 100, "ids").ok());
  for (const int32_t id : {-1, 100, std::numeric_limits<int32_t>::min()}) {
    const absl::Status status = CheckTokenIds({5, id, -7}, 100, "tokens.ids");
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonInvalidToken);
    EXPECT_THAT(Fields(status), ElementsAre("tokens.ids[1]"));
  }
}

TEST(PrefixFieldsTest, KeepsEverythingElse) {
  const absl::Status status = InvalidField("timeout_ms", "is wrong");
  const absl::Status prefixed = PrefixFields(status, "turn.");
  EXPECT_EQ(prefixed.code(), status.code());
  EXPECT_EQ(GetErrorDetail(prefixed)->reason, kReasonInvalidOptions);
  EXPECT_THAT(Fields(prefixed), ElementsAre("turn.timeout_ms"));
  EXPECT_EQ(PrefixFields(absl::OkStatus(), "x"), absl::OkStatus());
  EXPECT_EQ(PrefixFields(absl::InternalError("e"), "x"),
            absl::InternalError("e"));
  // Whose quota it is, not a field.
  const absl::Status quota = MakeError(
      absl::StatusCode::kResourceExhausted,
      {.reason = kReasonExhausted,
       .violations = {{.field = "tenant:a", .description = "at most 1"}}},
      "over quota");
  EXPECT_EQ(PrefixFields(quota, "turn."), quota);
}

TEST(ParsePromptLogprobsTest, AreCheckedForTheirRange) {
  v1::TurnRequest turn;
  EXPECT_EQ(*ParsePromptLogprobs(turn), std::nullopt);
  for (const int good : {0, 1, 20}) {
    turn.set_prompt_logprobs(good);
    EXPECT_EQ(*ParsePromptLogprobs(turn), good);
  }
  for (const int wrong : {-1, 21, std::numeric_limits<int>::max()}) {
    turn.set_prompt_logprobs(wrong);
    const absl::Status status = ParsePromptLogprobs(turn).status();
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonInvalidOptions);
    EXPECT_EQ(GetErrorDetail(status)->violations[0].field, "prompt_logprobs");
  }
}

TEST(MalformedMessageTest, IsAnInvalidText) {
  EXPECT_EQ(MalformedMessage().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(MalformedMessage())->reason, kReasonInvalidText);
}

// A turn of which another process made 120 tokens at most, and this one 32.
class ResumeOfTest : public TurnRunnerFixture {
 protected:
  ResumeOfTest() {
    spec_.options.ignore_eos = true;
    plain_ = PlainRun(spec_);
  }
  void Restore(std::optional<FinishReason> end) {
    Make();
    runner_->Restore(
        {.model = {.id = "fake",
                   .fingerprint = "fp",
                   .vocabulary_fingerprint = "vocabulary"},
         .generated = {plain_.tokens.begin(), plain_.tokens.begin() + 32},
         .end = end});
  }
  std::optional<absl::Status> Check(int64_t tokens, int64_t bytes) {
    v1::ResumeRequest resume;
    resume.set_tokens_received(tokens);
    resume.set_text_bytes_received(bytes);
    return CheckResumeOf(resume, *runner_);
  }

  PlainResult plain_;
};

TEST_F(ResumeOfTest, CountsScoredTokensOfThePrompt) {
  const auto check = [this](int64_t prompt_tokens) {
    v1::ResumeRequest resume;
    resume.set_tokens_received(32);
    resume.set_prompt_tokens_received(prompt_tokens);
    return *CheckResumeOf(resume, *runner_);
  };
  Restore(std::nullopt);
  EXPECT_TRUE(check(0).ok());
  EXPECT_EQ(GetErrorDetail(check(1))->violations[0].field,
            "prompt_tokens_received");
  // Two of the three are the turn's own.
  prompt_logprobs_ = {.alternatives = 0, .first = 1};
  Restore(std::nullopt);
  EXPECT_TRUE(check(0).ok());
  EXPECT_TRUE(check(2).ok());
  for (const int64_t wrong :
       {int64_t{-1}, int64_t{3}, std::numeric_limits<int64_t>::min(),
        std::numeric_limits<int64_t>::max()}) {
    EXPECT_EQ(GetErrorDetail(check(wrong))->violations[0].field,
              "prompt_tokens_received")
        << wrong;
  }
}

TEST_F(ResumeOfTest, WhatIsNotMadeAgainIsNotKnown) {
  Restore(std::nullopt);
  EXPECT_EQ(Check(32, 0), absl::OkStatus());
  EXPECT_EQ(Check(33, 0), std::nullopt);
  EXPECT_EQ(Check(120, 1 << 20), std::nullopt);
  for (const auto& [tokens, bytes] : std::vector<std::pair<int64_t, int64_t>>{
           {-1, 0},
           {std::numeric_limits<int64_t>::min(), 0},
           {121, 0},
           {std::numeric_limits<int64_t>::max(), 0},
           {33, -1},
           {32, 1 << 20}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(*Check(tokens, bytes)))
        << tokens << " " << bytes;
  }
  // One that was suspended on its way is no other.
  runner_->Resume();
  runner_->Suspend(absl::OkStatus());
  EXPECT_EQ(Check(100, 0), std::nullopt);
  runner_->Resume();
  RunUntil([this] { return runner_->usage().generated_tokens >= 100; });
  EXPECT_EQ(Check(100, 0), absl::OkStatus());
}

TEST_F(ResumeOfTest, AnEndIsKnown) {
  Restore(FinishReason::kCancelled);
  EXPECT_EQ(Check(32, 0), absl::OkStatus());
  EXPECT_TRUE(absl::IsInvalidArgument(*Check(33, 0)));
}

TEST_F(ResumeOfTest, ATurnOfThisProcessHasAllThatItSent) {
  Start();
  RunUntil([this] { return runner_->usage().generated_tokens >= 32; });
  EXPECT_EQ(Check(32, 0), absl::OkStatus());
  EXPECT_TRUE(absl::IsInvalidArgument(*Check(119, 0)));
}

}  // namespace
}  // namespace tandem
