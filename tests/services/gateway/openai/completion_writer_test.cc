// MakeCompletionWriter.

#include <gtest/gtest.h>

#include "services/gateway/openai/stream_writer.h"
#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

TEST(CompletionWriterTest, ChunksAreOpenAis) {
  const std::unique_ptr<StreamWriter> writer =
      MakeCompletionWriter({.include_usage = true, .id = "cmpl-1"});
  EXPECT_EQ(writer->Started(Started()), "") << "text comes first";
  const std::vector<Json> text =
      Data(writer->Tokens(Tokens(0, {1}, "Once"), {}));
  ASSERT_EQ(text.size(), 1u);
  EXPECT_EQ(text[0]["id"], "cmpl-1");
  EXPECT_EQ(text[0]["object"], "text_completion");
  EXPECT_EQ(text[0]["choices"][0]["text"], "Once");
  const std::vector<Json> last =
      Data(writer->Ended(Ended(v1::FINISH_REASON_LENGTH)));
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(last[0]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(last[1]["usage"]["completion_tokens"], 3);
}

TEST(CompletionWriterTest, OffsetsCountFromTheTurnsStart) {
  const std::unique_ptr<StreamWriter> writer =
      MakeCompletionWriter({.with_tandem = true});
  EXPECT_EQ(Data(writer->Started(Started()))[0]["tandem"]["turn"], 2);
  writer->Tokens(Tokens(0, {1}, "abc"), {});
  const std::vector<Json> text =
      Data(writer->Tokens(WithLogprobs(Tokens(1, {2}, "de")), {{2, "de"}}));
  EXPECT_EQ(text[0]["choices"][0]["logprobs"]["text_offset"][0], 3);
  EXPECT_EQ(text[0]["tandem"]["tokens"][0]["text"], "de");
}

}  // namespace
}  // namespace tandem::gateway
