// MakeChatWriter.

#include <gtest/gtest.h>

#include "services/gateway/openai/stream_writer.h"
#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

TEST(ChatWriterTest, ChunksAreOpenAis) {
  const std::unique_ptr<StreamWriter> writer = MakeChatWriter(
      {.include_usage = true, .id = "chatcmpl-1", .created = 99});
  const std::vector<Json> begin = Data(writer->Started(Started()));
  ASSERT_EQ(begin.size(), 1u);
  EXPECT_EQ(begin[0]["id"], "chatcmpl-1");
  EXPECT_EQ(begin[0]["object"], "chat.completion.chunk");
  EXPECT_EQ(begin[0]["created"], 99);
  EXPECT_EQ(begin[0]["model"], "tales");
  EXPECT_EQ(begin[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_TRUE(begin[0]["usage"].is_null());
  EXPECT_FALSE(begin[0].contains("tandem"));
  const std::vector<Json> text =
      Data(writer->Tokens(Tokens(0, {1}, "Once"), {}));
  ASSERT_EQ(text.size(), 1u);
  EXPECT_EQ(text[0]["choices"][0]["delta"], Json({{"content", "Once"}}));
  EXPECT_TRUE(text[0]["choices"][0]["finish_reason"].is_null());
  const std::string end =
      writer->Ended(Ended(v1::FINISH_REASON_STOP_STRING, " end"));
  const std::vector<Json> last = Data(end);
  ASSERT_EQ(last.size(), 3u);
  EXPECT_EQ(last[0]["choices"][0]["delta"]["content"], " end");
  EXPECT_EQ(last[1]["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(last[1]["choices"][0]["delta"].empty());
  EXPECT_TRUE(last[2]["choices"].empty());
  EXPECT_EQ(last[2]["usage"]["total_tokens"], 8);
  EXPECT_EQ(Lines(end, "data").back(), "[DONE]");
}

TEST(ChatWriterTest, LogprobsAndTandem) {
  const std::unique_ptr<StreamWriter> writer =
      MakeChatWriter({.with_tandem = true});
  EXPECT_EQ(Data(writer->Started(Started()))[0]["tandem"]["seed"], 7);
  const std::vector<Json> text = Data(writer->Tokens(
      WithLogprobs(Tokens(0, {1, 2}, "ab")), {{1, "a"}, {2, "b"}, {9, "x"}}));
  EXPECT_EQ(text[0]["choices"][0]["logprobs"]["content"][1]["token"], "b");
  EXPECT_EQ(text[0]["tandem"]["tokens"][1]["id"], 2);
  const std::vector<Json> last =
      Data(writer->Ended(Ended(v1::FINISH_REASON_LENGTH)));
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0]["tandem"]["finish_reason"], "length");
}

TEST(ChatWriterTest, PartsOfAReplyAreDeltas) {
  const std::unique_ptr<StreamWriter> writer = MakeChatWriter({});
  writer->Started(Started());
  const auto delta = [&writer](int64_t first, const std::string& text,
                               const v1::ReplyDelta& parts) {
    const std::vector<Json> chunks =
        Data(writer->Tokens(Told(first, text, parts), {}));
    EXPECT_EQ(chunks.size(), 1u);
    return chunks.empty() ? Json() : chunks[0]["choices"][0]["delta"];
  };
  EXPECT_EQ(delta(0, "<think>so", Reasoning("so")),
            Json({{"reasoning_content", "so"}}));
  // The order of their keys is that in which the model wrote them.
  v1::ReplyDelta both = Reasoning("!");
  both.set_content("Yes");
  EXPECT_EQ(
      Lines(writer->Tokens(Told(1, "!</think>Yes", both), {}), "data")
              .back()
              .find(R"("delta":{"reasoning_content":"!","content":"Yes"})") !=
          std::string::npos,
      true);
  EXPECT_EQ(writer->Tokens(Told(2, "<call>", {}), {}), "")
      << "the text of the marker is no content";
  EXPECT_EQ(delta(3, "f", Call(0, "f", "")),
            Json::parse(R"({"tool_calls": [{"index": 0, "id": "call_0",
                "type": "function",
                "function": {"name": "f", "arguments": ""}}]})"));
  EXPECT_EQ(delta(4, "{", Call(0, "", "{")), Json::parse(R"({"tool_calls":
                [{"index": 0, "function": {"arguments": "{"}}]})"));
  // Two of an event are one where they are of one call.
  v1::ReplyDelta several = Call(0, "", "}");
  several.MergeFrom(Call(1, "g", ""));
  several.MergeFrom(Call(1, "", "{}"));
  const Json calls = delta(5, "...", several)["tool_calls"];
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0]["function"], Json({{"arguments", "}"}}));
  EXPECT_EQ(calls[1]["id"], "call_1");
  EXPECT_EQ(calls[1]["function"]["arguments"], "{}");
  const std::vector<Json> last =
      Data(writer->Ended(Ended(v1::FINISH_REASON_STOP_TOKEN)));
  ASSERT_EQ(last.size(), 1u);
  EXPECT_EQ(last[0]["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_EQ(last[0]["choices"][0]["delta"], Json::object());
}

TEST(ChatWriterTest, TheEndHasTheRestOfTheParts) {
  const std::unique_ptr<StreamWriter> writer = MakeChatWriter({});
  writer->Started(Started());
  v1::TurnEnded ended = Ended(v1::FINISH_REASON_GRAMMAR_END);
  *ended.mutable_reply() = Call(0, "f", "{}");
  const std::vector<Json> last = Data(writer->Ended(ended));
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(last[0]["choices"][0]["delta"]["tool_calls"][0]["id"], "call_0");
  EXPECT_EQ(last[1]["choices"][0]["finish_reason"], "tool_calls");
}

TEST(ChatWriterTest, AResumedStreamKnowsThatThereWereCalls) {
  const std::unique_ptr<StreamWriter> first = MakeChatWriter({});
  first->Started(Started());
  const std::string id =
      Lines(first->Tokens(Told(0, "...", Call(1, "g", "{}")), {}), "id")[0];
  const std::optional<StreamPosition> from = ParseEventId(id);
  ASSERT_TRUE(from.has_value()) << id;
  const std::unique_ptr<StreamWriter> second = MakeChatWriter({});
  EXPECT_EQ(second->Resume(*from).text_bytes, 3);
  second->Started(Started());
  const std::string end = second->Ended(Ended(v1::FINISH_REASON_STOP_TOKEN));
  EXPECT_EQ(Data(end)[0]["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_EQ(Lines(end, "id")[0], id);
}

TEST(ChatWriterTest, LogprobsAndTokensStandWithTheirEvent) {
  const std::unique_ptr<StreamWriter> writer =
      MakeChatWriter({.with_tandem = true});
  writer->Started(Started());
  const std::vector<Json> chunks = Data(writer->Tokens(
      WithLogprobs(Told(0, "<call>", {})), {{1, "<call>"}, {9, "x"}}));
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0]["choices"][0]["delta"], Json::object());
  EXPECT_EQ(chunks[0]["choices"][0]["logprobs"]["content"][0]["token"],
            "<call>");
  EXPECT_EQ(chunks[0]["tandem"]["tokens"][0]["text"], "<call>");
}

TEST(ChatWriterTest, TokensWithoutTextAreShownToThoseWhoAskForTokens) {
  EXPECT_TRUE(MakeChatWriter({})->Tokens(Tokens(0, {1}, ""), {}).empty());
  EXPECT_EQ(Data(MakeChatWriter({.with_tandem = true})
                     ->Tokens(Tokens(0, {1}, ""), {}))[0]["tandem"]["tokens"]
                .size(),
            1u);
}

}  // namespace
}  // namespace tandem::gateway
