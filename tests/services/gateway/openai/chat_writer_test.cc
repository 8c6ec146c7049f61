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

TEST(ChatWriterTest, TokensWithoutTextAreShownToThoseWhoAskForTokens) {
  EXPECT_TRUE(MakeChatWriter({})->Tokens(Tokens(0, {1}, ""), {}).empty());
  EXPECT_EQ(Data(MakeChatWriter({.with_tandem = true})
                     ->Tokens(Tokens(0, {1}, ""), {}))[0]["tandem"]["tokens"]
                .size(),
            1u);
}

}  // namespace
}  // namespace tandem::gateway
