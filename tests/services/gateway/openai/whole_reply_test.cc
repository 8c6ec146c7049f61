#include "services/gateway/openai/whole_reply.h"

#include <gtest/gtest.h>

#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

GatheredTurn Gather() {
  GatheredTurn turn;
  v1::ConverseResponse event;
  *event.mutable_started() = Started();
  turn.Add(event);
  *event.mutable_tokens() = WithLogprobs(Tokens(0, {1}, "a"));
  turn.Add(event);
  *event.mutable_tokens() = WithLogprobs(Tokens(1, {2}, ""));
  turn.Add(event);
  *event.mutable_ended() = Ended(v1::FINISH_REASON_LENGTH, "bc");
  turn.Add(event);
  return turn;
}

TEST(WholeReplyTest, Chat) {
  const OrderedJson json =
      WholeReply({.id = "chatcmpl-1", .created = 4}, Gather(), {{2, "b"}});
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["choices"][0]["message"]["content"], "abc");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["choices"][0]["logprobs"]["content"][1]["token"], "b");
  EXPECT_EQ(json["usage"]["total_tokens"], 8);
  EXPECT_EQ(json["system_fingerprint"], "f00d");
  EXPECT_FALSE(json.contains("tandem"));
}

TEST(WholeReplyTest, Completion) {
  const OrderedJson json =
      WholeReply({.api = ReplyFormat::Api::kCompletion, .with_tandem = true},
                 Gather(), {});
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(json["choices"][0]["text"], "abc");
  EXPECT_EQ(json["choices"][0]["logprobs"]["token_logprobs"].size(), 2u);
  EXPECT_EQ(json["tandem"]["seed"], 7);
  EXPECT_EQ(json["tandem"]["speculation"]["rounds"], 2);
}

TEST(WholeReplyTest, Response) {
  const OrderedJson json =
      WholeReply({.api = ReplyFormat::Api::kResponse}, Gather(), {});
  EXPECT_EQ(json["object"], "response");
  EXPECT_EQ(json["output"][0]["content"][0]["text"], "abc");
}

GatheredTurn GatherParts(const std::vector<v1::ReplyDelta>& parts) {
  GatheredTurn turn;
  v1::ConverseResponse event;
  *event.mutable_started() = Started();
  turn.Add(event);
  for (const v1::ReplyDelta& delta : parts) {
    *event.mutable_tokens() = Told(turn.tokens.token_ids_size(), "raw", delta);
    turn.Add(event);
  }
  *event.mutable_ended() = Ended(v1::FINISH_REASON_STOP_TOKEN);
  turn.Add(event);
  return turn;
}

TEST(WholeReplyTest, AMessageHasThePartsOfItsReply) {
  const OrderedJson json = WholeReply({},
                                      GatherParts({Reasoning("s"),
                                                   Reasoning("o"),
                                                   {},
                                                   Call(0, "f", ""),
                                                   Call(0, "", "{}"),
                                                   Call(1, "g", "{\"a\":1}")}),
                                      {});
  EXPECT_EQ(json["choices"][0]["message"].dump(),
            R"({"role":"assistant","content":null,"refusal":null,)"
            R"("reasoning_content":"so","tool_calls":[)"
            R"({"id":"call_0","type":"function",)"
            R"("function":{"name":"f","arguments":"{}"}},)"
            R"({"id":"call_1","type":"function",)"
            R"("function":{"name":"g","arguments":"{\"a\":1}"}}]})");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "tool_calls");
}

TEST(WholeReplyTest, ContentStandsBesideCalls) {
  const OrderedJson both = WholeReply(
      {}, GatherParts({Content("Let me see."), Call(0, "f", "{}")}), {});
  EXPECT_EQ(both["choices"][0]["message"]["content"], "Let me see.");
  EXPECT_FALSE(both["choices"][0]["message"].contains("reasoning_content"));
  const OrderedJson none = WholeReply({}, GatherParts({{}}), {});
  EXPECT_EQ(none["choices"][0]["message"]["content"], "");
  EXPECT_FALSE(none["choices"][0]["message"].contains("tool_calls"));
  EXPECT_EQ(none["choices"][0]["finish_reason"], "stop");
}

TEST(WholeReplyTest, EachChoiceHasItsOwnCalls) {
  const OrderedJson json = ReplyOfChoices(
      {}, {GatherParts({Call(0, "f", "{}")}), GatherParts({Content("No.")})},
      {});
  EXPECT_EQ(json["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_EQ(json["choices"][1]["finish_reason"], "stop");
  EXPECT_EQ(json["choices"][1]["message"]["content"], "No.");
}

TEST(WholeReplyTest, AResponseHasThePartsAsItems) {
  const OrderedJson json =
      WholeReply({.api = ReplyFormat::Api::kResponse},
                 GatherParts({Reasoning("so"), Call(0, "f", "{"),
                              Call(0, "", "}"), Call(1, "g", "{}")}),
                 {});
  ASSERT_EQ(json["output"].size(), 3u);
  EXPECT_EQ(json["output"][0]["type"], "reasoning");
  EXPECT_EQ(json["output"][1]["arguments"], "{}");
  EXPECT_EQ(json["output"][2]["call_id"], "call_1");
  EXPECT_EQ(json["status"], "completed");
}

GatheredTurn GatherEcho() {
  GatheredTurn turn = Gather();
  v1::ConverseResponse event;
  *event.mutable_prompt() = Scored({3});
  turn.Add(event);
  *event.mutable_prompt() = Scored({4, 5});
  turn.Add(event);
  return turn;
}

TEST(WholeReplyTest, AnEchoStandsBeforeTheReply) {
  ReplyFormat format = {.api = ReplyFormat::Api::kCompletion,
                        .echo = Echo{.text = "xyz", .logprobs = 1}};
  const TokenTexts texts = {{1, "a"}, {3, "x"}, {4, "y"}, {5, "z"}};
  const OrderedJson json = WholeReply(format, GatherEcho(), texts);
  EXPECT_EQ(json["choices"][0]["text"], "xyzabc");
  const OrderedJson& logprobs = json["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"].dump(), R"(["x","y","z","a",""])");
  EXPECT_EQ(logprobs["token_logprobs"].dump(), "[null,-0.5,-0.5,-0.5,-0.5]");
  EXPECT_EQ(logprobs["text_offset"].dump(), "[0,1,2,3,4]");
  // Without log-probabilities.
  format.echo->logprobs.reset();
  GatheredTurn plain;
  plain.tokens = Tokens(0, {1}, "abc");
  const OrderedJson text = WholeReply(format, plain, {});
  EXPECT_EQ(text["choices"][0]["text"], "xyzabc");
  EXPECT_TRUE(text["choices"][0]["logprobs"].is_null());
}

TEST(WholeReplyTest, AnEchoAloneHasNoReply) {
  GatheredTurn turn = GatherEcho();
  turn.tokens.clear_logprobs();
  turn.ended.set_finish_reason(v1::FINISH_REASON_STOP_TOKEN);
  const ReplyFormat format = {
      .api = ReplyFormat::Api::kCompletion,
      .with_tandem = true,
      .echo = Echo{.text = "xyz", .logprobs = 1, .is_alone = true}};
  const OrderedJson json = WholeReply(format, turn, {});
  EXPECT_EQ(json["choices"][0]["text"], "xyz");
  EXPECT_EQ(json["choices"][0]["logprobs"]["tokens"].size(), 3u);
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["completion_tokens"], 0);
  EXPECT_EQ(json["tandem"]["usage"]["generated_tokens"], 0);
  const OrderedJson both = ReplyOfChoices(format, {turn, turn}, {});
  EXPECT_EQ(both["usage"]["completion_tokens"], 0);
}

TEST(WholeReplyTest, EachChoiceHasThePromptOfTheFirst) {
  const ReplyFormat format = {.api = ReplyFormat::Api::kCompletion,
                              .echo = Echo{.text = "xyz", .logprobs = 1}};
  const OrderedJson json = ReplyOfChoices(format, {GatherEcho(), Gather()}, {});
  EXPECT_EQ(json["choices"][1]["index"], 1);
  EXPECT_EQ(json["choices"][1]["text"], "xyzabc");
  EXPECT_EQ(json["choices"][1]["logprobs"], json["choices"][0]["logprobs"]);
}

TEST(WholeReplyTest, SeveralChoicesHaveTheUsageOfAll) {
  GatheredTurn other = Gather();
  other.tokens.set_text("xyz");
  const OrderedJson one = WholeReply({}, Gather(), {});
  const OrderedJson json = ReplyOfChoices({}, {Gather(), other}, {{2, "b"}});
  ASSERT_EQ(json["choices"].size(), 2u);
  EXPECT_EQ(json["choices"][0]["index"], 0);
  EXPECT_EQ(json["choices"][0]["message"]["content"], "abc");
  EXPECT_EQ(json["choices"][1]["index"], 1);
  EXPECT_EQ(json["choices"][1]["message"]["content"], "xyz");
  EXPECT_EQ(json["choices"][1]["logprobs"]["content"][1]["token"], "b");
  EXPECT_EQ(json["usage"]["prompt_tokens"], one["usage"]["prompt_tokens"]);
  EXPECT_EQ(json["usage"]["completion_tokens"].get<int>(),
            2 * one["usage"]["completion_tokens"].get<int>());
}

}  // namespace
}  // namespace tandem::gateway
