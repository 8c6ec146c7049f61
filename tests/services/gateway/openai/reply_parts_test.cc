#include "services/gateway/openai/reply_parts.h"

#include <gtest/gtest.h>

#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

v1::VerifiedRound* AddRound(v1::TokensGenerated* tokens, int drafted,
                            int accepted, int of_event) {
  v1::VerifiedRound* round = tokens->add_rounds();
  round->set_drafted_tokens(drafted);
  round->set_accepted_tokens(accepted);
  round->set_tokens(of_event);
  return round;
}

TEST(FinishReasonOfTest, AreOpenAis) {
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_STOP_TOKEN), "stop");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_STOP_STRING), "stop");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_CANCELLED), "stop");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_LENGTH), "length");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_CONTEXT), "length");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_DEADLINE), "length");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_GRAMMAR_END), "stop");
}

TEST(FinishReasonOfTest, CallsCountWhereTheTurnCameToItsEnd) {
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_STOP_TOKEN, 2), "tool_calls");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_GRAMMAR_END, 1), "tool_calls");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_STOP_STRING, 1), "stop");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_CANCELLED, 1), "stop");
  EXPECT_EQ(FinishReasonOf(v1::FINISH_REASON_LENGTH, 1), "length");
}

TEST(UsageObjectTest, AddsUp) {
  const OrderedJson usage =
      UsageObject(Ended(v1::FINISH_REASON_LENGTH).usage());
  EXPECT_EQ(usage["prompt_tokens"], 5);
  EXPECT_EQ(usage["completion_tokens"], 3);
  EXPECT_EQ(usage["total_tokens"], 8);
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], 1);
}

TEST(LogprobsTest, TokensHaveTheirTexts) {
  const v1::TokensGenerated tokens =
      WithLogprobs(Tokens(0, {4, 5}, "Once upon"));
  EXPECT_EQ(IdsOfLogprobs(tokens), (std::vector<int32_t>{4, 9, 5, 9}));
  const TokenTexts texts = {{4, "Once"}, {5, " upon"}, {9, " a"}};
  const OrderedJson chat = ChatLogprobs(tokens, texts);
  ASSERT_EQ(chat["content"].size(), 2u);
  EXPECT_EQ(chat["content"][1]["token"], " upon");
  EXPECT_EQ(chat["content"][1]["logprob"], -0.5);
  EXPECT_EQ(chat["content"][1]["top_logprobs"][0]["token"], " a");
  EXPECT_EQ(chat["content"][1]["top_logprobs"][0]["logprob"], -0.25);
  const OrderedJson completion = CompletionLogprobs(tokens, texts, 10);
  EXPECT_EQ(completion["tokens"], OrderedJson::array({"Once", " upon"}));
  EXPECT_EQ(completion["text_offset"], OrderedJson::array({10, 14}));
  EXPECT_EQ(completion["top_logprobs"][0][" a"], -0.25);
}

TEST(LogprobsTest, OfTokensThatReadAlikeTheMoreProbableOneStands) {
  v1::TokensGenerated tokens = WithLogprobs(Tokens(0, {4}, "a"));
  v1::TokenLogprob* other = tokens.mutable_logprobs(0)->add_alternatives();
  other->set_token_id(8);
  other->set_logprob(-3);
  const OrderedJson json = CompletionLogprobs(tokens, {{8, "x"}, {9, "x"}}, 0);
  EXPECT_EQ(json["top_logprobs"][0].dump(), R"({"x":-0.25})");
}

TEST(TandemOfTest, MarksDraftedTokens) {
  v1::TokensGenerated tokens = Tokens(0, {1, 2, 3, 4}, "abcd");
  AddRound(&tokens, 4, 2, 3);
  AddRound(&tokens, 0, 0, 1)->set_from_lookup(true);
  const OrderedJson json =
      TandemOf(tokens, {{1, "a"}, {2, "b"}, {3, "c"}, {4, "d"}});
  ASSERT_EQ(json["tokens"].size(), 4u);
  EXPECT_EQ(json["tokens"][0]["drafted"], true);
  EXPECT_EQ(json["tokens"][1]["drafted"], true);
  EXPECT_EQ(json["tokens"][2]["drafted"], false);
  EXPECT_EQ(json["tokens"][3]["drafted"], false);
  EXPECT_EQ(json["tokens"][1]["text"], "b");
  EXPECT_EQ(json["rounds"][0]["drafted"], 4);
  EXPECT_EQ(json["rounds"][0]["accepted"], 2);
  EXPECT_EQ(json["rounds"][1]["lookup"], true);
}

TEST(TandemOfTest, HeldBackTextStandsAtTheLastToken) {
  const OrderedJson json =
      TandemOf(Tokens(0, {1, 2}, "\xc3\xa9"), {{1, "\xef\xbf\xbd"}, {2, "x"}});
  EXPECT_EQ(json["tokens"][0]["text"], "");
  EXPECT_EQ(json["tokens"][1]["text"], "\xc3\xa9");
  EXPECT_FALSE(json["tokens"][0].contains("drafted")) << "no rounds are known";
  EXPECT_TRUE(json["rounds"].empty());
}

TEST(TandemOfTest, BeginningAndEnd) {
  const OrderedJson started = TandemOf(Started());
  EXPECT_EQ(started["session_id"], kSession);
  EXPECT_EQ(started["turn"], 2);
  EXPECT_EQ(started["seed"], 7);
  EXPECT_EQ(started["fingerprint"], "f00d");
  EXPECT_EQ(started["prompt_tokens"], 5);
  const OrderedJson ended = TandemOf(Ended(v1::FINISH_REASON_DEADLINE));
  EXPECT_EQ(ended["finish_reason"], "deadline");
  EXPECT_EQ(ended["speculation"]["rounds"], 2);
  EXPECT_EQ(ended["usage"]["generated_tokens"], 3);
}

}  // namespace
}  // namespace tandem::gateway
