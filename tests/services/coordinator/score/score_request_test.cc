#include "services/coordinator/score/score_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/base/error_reason.h"
#include "tests/services/coordinator/fake_model.h"

namespace tandem {
namespace {

using ::testing::ElementsAreArray;
using Ids = std::vector<TokenId>;

ScoreModel Model(Position context_max = 1000) {
  return {.tokenizer = *FakeTokenizer(),
          .context_max = context_max,
          .token_bytes_max = 100};
}

absl::StatusOr<ScoreTokens> Encode(v1::ScoreRequest request,
                                   const ScoreModel& model = Model()) {
  TANDEM_ASSIGN_OR_RETURN(ScoreInput input, ParseScore(&request, model));
  return EncodeScore(std::move(input), model, [] { return false; });
}

v1::ScoreRequest TextRequest(const std::string& prompt,
                             const std::vector<std::string>& continuations) {
  v1::ScoreRequest request;
  request.set_text(prompt);
  for (const std::string& text : continuations) {
    request.add_continuations()->set_text(text);
  }
  return request;
}

v1::ScoreRequest IdsRequest(const Ids& prompt, const Ids& continuation) {
  v1::ScoreRequest request;
  request.mutable_tokens()->mutable_ids()->Add(prompt.begin(), prompt.end());
  request.add_continuations()->mutable_tokens()->mutable_ids()->Add(
      continuation.begin(), continuation.end());
  return request;
}

void ExpectError(const absl::Status& status, const std::string& reason,
                 const std::string& field) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  ASSERT_TRUE(detail.has_value()) << status;
  EXPECT_EQ(detail->reason, reason);
  ASSERT_EQ(detail->violations.size(), 1u);
  EXPECT_EQ(detail->violations[0].field, field);
}

TEST(ScoreRequestTest, ATextHasTheTokensThatFollowThePromptsOwn) {
  const std::string prompt = "once upon";
  const std::vector<std::string> texts = {" a time", "", "x"};
  v1::ScoreRequest request = TextRequest(prompt, {texts[0], texts[2]});
  request.add_continuations()->mutable_tokens()->add_ids(7);
  const absl::StatusOr<ScoreTokens> tokens = Encode(request);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  const Ids own = FakeTokenizer()->Encode(prompt, /*add_bos=*/true);
  EXPECT_THAT(tokens->prompt, ElementsAreArray(own));
  ASSERT_EQ(tokens->continuations.size(), 3u);
  for (const size_t i : {0, 1}) {
    const Ids whole = FakeTokenizer()->Encode(prompt + texts[i == 0 ? 0 : 2],
                                              /*add_bos=*/true);
    EXPECT_EQ(
        tokens->continuations[i],
        Ids(whole.begin() + static_cast<int64_t>(own.size()), whole.end()));
  }
  EXPECT_EQ(tokens->continuations[2], Ids{7});
}

TEST(ScoreRequestTest, WithoutAPromptBosStandsBefore) {
  v1::ScoreRequest request;
  request.add_continuations()->set_text("once");
  const absl::StatusOr<ScoreTokens> tokens = Encode(request);
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->prompt, Ids{1});
  const Ids whole = FakeTokenizer()->Encode("once", /*add_bos=*/true);
  EXPECT_EQ(tokens->continuations[0], Ids(whole.begin() + 1, whole.end()));
}

TEST(ScoreRequestTest, IdsAreTakenAsTheyAre) {
  const absl::StatusOr<ScoreTokens> tokens = Encode(IdsRequest({5, 6}, {7}));
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->prompt, (Ids{5, 6}));
  EXPECT_EQ(tokens->continuations[0], Ids{7});
}

TEST(ScoreRequestTest, ErrorsNameTheField) {
  ExpectError(Encode(TextRequest("a", {})).status(), kReasonInvalidOptions,
              "continuations");
  ExpectError(
      Encode(TextRequest("a", std::vector<std::string>(257, "b"))).status(),
      kReasonInvalidOptions, "continuations");
  EXPECT_TRUE(
      Encode(TextRequest("a", std::vector<std::string>(256, "b"))).ok());
  ExpectError(Encode(TextRequest("a", {"b", ""})).status(),
              kReasonInvalidOptions, "continuations[1].text");
  v1::ScoreRequest request = TextRequest("a", {"b"});
  request.add_continuations();
  ExpectError(Encode(request).status(), kReasonInvalidOptions,
              "continuations[1]");
  ExpectError(Encode(IdsRequest({5}, {})).status(), kReasonInvalidOptions,
              "continuations[0].tokens.ids");
  ExpectError(Encode(IdsRequest({}, {5})).status(), kReasonEmptyPrompt,
              "prompt");
  const TokenId many = FakeTokenizer()->vocab_size();
  ExpectError(Encode(IdsRequest({5}, {6, many})).status(), kReasonInvalidToken,
              "continuations[0].tokens.ids[1]");
  ExpectError(Encode(IdsRequest({-1}, {6})).status(), kReasonInvalidToken,
              "tokens.ids[0]");
  request = IdsRequest({5}, {6});
  request.add_continuations()->set_text("b");
  ExpectError(Encode(request).status(), kReasonInvalidOptions,
              "continuations[1].text");
}

TEST(ScoreRequestTest, WhatDoesNotFitIsRefused) {
  const Ids three = {5, 6, 7};
  EXPECT_TRUE(Encode(IdsRequest(three, three), Model(6)).ok());
  ExpectError(Encode(IdsRequest(three, three), Model(5)).status(),
              kReasonContextExceeded, "continuations[0]");
  // Found without tokenising.
  v1::ScoreRequest request = TextRequest("a", {std::string(20 << 10, 'x')});
  ExpectError(ParseScore(&request, Model(10)).status(), kReasonContextExceeded,
              "continuations[0].text");
  const absl::Status status =
      Encode(TextRequest(std::string(20 << 10, 'x'), {"b"}), Model(10))
          .status();
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonContextExceeded);
  // And all together.
  request = {};
  for (int i = 0; i < 3; ++i) {
    google::protobuf::RepeatedField<int32_t>* ids =
        request.add_continuations()->mutable_tokens()->mutable_ids();
    ids->Resize(kScoredTokensMax / 2, 7);
  }
  ExpectError(Encode(request, Model(1 << 20)).status(), kReasonInvalidOptions,
              "continuations");
  request.mutable_continuations()->RemoveLast();
  EXPECT_TRUE(Encode(request, Model(1 << 20)).ok());
}

TEST(ScoreRequestTest, EncodingEndsWhereNobodyWaits) {
  v1::ScoreRequest request = TextRequest("a", {"b", "c"});
  absl::StatusOr<ScoreInput> input = ParseScore(&request, Model());
  ASSERT_TRUE(input.ok());
  EXPECT_EQ(EncodeBytes(*input), 1 + 2 + 2);
  int asked = 0;
  EXPECT_TRUE(
      absl::IsCancelled(EncodeScore(*std::move(input), Model(), [&asked] {
                          return ++asked == 2;
                        }).status()));
  request = IdsRequest({5}, {6});
  EXPECT_EQ(EncodeBytes(*ParseScore(&request, Model())), 0);
}

}  // namespace
}  // namespace tandem
