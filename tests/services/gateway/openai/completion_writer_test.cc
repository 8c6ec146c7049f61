// MakeCompletionWriter.

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
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

ReplyFormat Echoing(Echo echo) {
  return {.api = ReplyFormat::Api::kCompletion, .echo = std::move(echo)};
}

TEST(CompletionWriterTest, AnEchoIsTheFirstChunk) {
  const std::unique_ptr<StreamWriter> writer =
      MakeCompletionWriter(Echoing({.text = "Once"}));
  EXPECT_FALSE(writer->WantsPrompt());
  const std::vector<Json> first = Data(writer->Started(Started()));
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0]["choices"][0]["text"], "Once");
  EXPECT_TRUE(first[0]["choices"][0]["logprobs"].is_null());
  EXPECT_EQ(writer->Prompt(Scored({1}), {}), "") << "was not asked for";
  const std::vector<Json> next =
      Data(writer->Tokens(Tokens(0, {2}, " upon"), {}));
  EXPECT_EQ(next[0]["choices"][0]["text"], " upon");
}

TEST(CompletionWriterTest, AnEchoWaitsForItsLogprobs) {
  ReplyFormat format = Echoing({.text = "Once", .logprobs = 1});
  format.with_tandem = true;
  const std::unique_ptr<StreamWriter> writer = MakeCompletionWriter(format);
  EXPECT_TRUE(writer->WantsPrompt());
  EXPECT_EQ(writer->Started(Started()), "");
  const std::string events =
      writer->Prompt(Scored({1, 4}), {{1, "<s>"}, {4, "Once"}});
  const std::vector<Json> first = Data(events);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_EQ(first[0]["choices"][0]["text"], "Once");
  EXPECT_EQ(first[0]["choices"][0]["logprobs"]["token_logprobs"].dump(),
            "[null,-0.5]");
  EXPECT_EQ(first[0]["tandem"]["turn"], 2);
  EXPECT_EQ(Lines(events, "id")[0], absl::StrCat(kSession, "-2-0-4"));
  EXPECT_FALSE(writer->WantsPrompt());
  const std::vector<Json> next =
      Data(writer->Tokens(WithLogprobs(Tokens(0, {2}, " a")), {{2, " a"}}));
  EXPECT_EQ(next[0]["choices"][0]["logprobs"]["text_offset"][0], 4);
}

TEST(CompletionWriterTest, WhoHasThePromptDoesNotGetItAgain) {
  const ReplyFormat format = Echoing({.text = "Once", .logprobs = 1});
  const StreamPosition name = {.session_id = kSession, .turn = 2};
  for (const int64_t bytes : {0, 3}) {
    const std::unique_ptr<StreamWriter> writer = MakeCompletionWriter(format);
    StreamPosition from = name;
    from.text_bytes = bytes;
    const StreamPosition begin = writer->Resume(from);
    EXPECT_EQ(begin.text_bytes, 0);
    EXPECT_TRUE(writer->WantsPrompt());
  }
  const std::unique_ptr<StreamWriter> writer = MakeCompletionWriter(format);
  StreamPosition from = name;
  from.tokens = 2;
  from.text_bytes = 9;
  const StreamPosition begin = writer->Resume(from);
  EXPECT_EQ(begin.tokens, 2);
  EXPECT_EQ(begin.text_bytes, 5) << "of the reply";
  EXPECT_FALSE(writer->WantsPrompt());
  EXPECT_EQ(writer->Started(Started()), "");
  const std::string events =
      writer->Tokens(WithLogprobs(Tokens(2, {2}, " a")), {{2, " a"}});
  EXPECT_EQ(Data(events)[0]["choices"][0]["logprobs"]["text_offset"][0], 9);
  EXPECT_EQ(Lines(events, "id")[0], absl::StrCat(kSession, "-2-3-11"));
}

TEST(CompletionWriterTest, AnEchoAloneHasNoReply) {
  ReplyFormat format = Echoing({.text = "Once", .is_alone = true});
  format.include_usage = true;
  const std::unique_ptr<StreamWriter> writer = MakeCompletionWriter(format);
  EXPECT_EQ(Data(writer->Started(Started())).size(), 1u);
  EXPECT_EQ(writer->Tokens(Tokens(0, {2}, " upon"), {}), "");
  const std::vector<Json> last =
      Data(writer->Ended(Ended(v1::FINISH_REASON_STOP_TOKEN, " a")));
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(last[0]["choices"][0]["text"], "");
  EXPECT_EQ(last[0]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(last[1]["usage"]["completion_tokens"], 0);
  EXPECT_EQ(last[1]["usage"]["total_tokens"], 5);
}

TEST(CompletionWriterTest, ATurnMayEndBeforeItsPromptWasScored) {
  const std::unique_ptr<StreamWriter> writer =
      MakeCompletionWriter(Echoing({.text = "Once", .logprobs = 0}));
  writer->Started(Started());
  const std::vector<Json> last =
      Data(writer->Ended(Ended(v1::FINISH_REASON_DEADLINE)));
  ASSERT_EQ(last.size(), 2u);
  EXPECT_EQ(last[0]["choices"][0]["text"], "Once");
  EXPECT_TRUE(last[0]["choices"][0]["logprobs"]["tokens"].empty());
}

}  // namespace
}  // namespace tandem::gateway
