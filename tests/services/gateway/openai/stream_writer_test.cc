#include "services/gateway/openai/stream_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(EventIdTest, IsReadAsWritten) {
  const StreamPosition position = {
      .session_id = kSession, .turn = 3, .tokens = 40, .text_bytes = 123};
  const std::string id = WriteEventId(position);
  EXPECT_EQ(id, absl::StrCat(kSession, "-3-40-123"));
  const std::optional<StreamPosition> read = ParseEventId(id);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(WriteEventId(*read), id);
  for (const std::string& text :
       {std::string(""), absl::StrCat(kSession, "-3-40"),
        absl::StrCat(kSession, "-3-40--1"), absl::StrCat(kSession, "-3-x-1"),
        absl::StrCat(kSession, "-3-40-1-x"),
        absl::StrCat(kSession, "-3-40-1-1-1"),
        absl::StrCat(kSession, "-3-40-99999999999999999999")}) {
    EXPECT_FALSE(ParseEventId(text).has_value()) << text;
  }
}

TEST(EventIdTest, CountsCallsWhereThereAreSome) {
  const StreamPosition position = {.session_id = kSession,
                                   .turn = 3,
                                   .tokens = 40,
                                   .text_bytes = 123,
                                   .calls = 2};
  const std::string id = WriteEventId(position);
  EXPECT_EQ(id, absl::StrCat(kSession, "-3-40-123-2"));
  EXPECT_EQ(ParseEventId(id)->calls, 2);
  EXPECT_EQ(ParseEventId(absl::StrCat(kSession, "-3-40-123"))->calls, 0);
}

TEST(StreamWriterTest, IdsCountWhatTheClientHas) {
  const std::unique_ptr<StreamWriter> writer = MakeStreamWriter({});
  EXPECT_THAT(Lines(writer->Started(Started()), "id"),
              ElementsAre(absl::StrCat(kSession, "-2-0-0")));
  EXPECT_THAT(Lines(writer->Tokens(Tokens(0, {1, 2}, "ab"), {}), "id"),
              ElementsAre(absl::StrCat(kSession, "-2-2-2")));
  EXPECT_EQ(writer->Tokens(Tokens(2, {3}, ""), {}), "")
      << "nothing to show yet";
  EXPECT_THAT(Lines(writer->Ended(Ended(v1::FINISH_REASON_LENGTH, "cd")), "id"),
              ElementsAre(absl::StrCat(kSession, "-2-3-4"),
                          absl::StrCat(kSession, "-2-3-4")));
}

TEST(StreamWriterTest, AResumedStreamCountsOn) {
  const std::unique_ptr<StreamWriter> writer = MakeStreamWriter({});
  const StreamPosition from = {
      .session_id = kSession, .turn = 2, .tokens = 5, .text_bytes = 9};
  EXPECT_EQ(writer->Resume(from).tokens, 5);
  writer->Started(Started());
  EXPECT_THAT(Lines(writer->Tokens(Tokens(5, {1}, "xy"), {}), "id"),
              ElementsAre(absl::StrCat(kSession, "-2-6-11")));
}

TEST(StreamWriterTest, IdsCountCallsAndBytesOfTheWholeText) {
  const std::unique_ptr<StreamWriter> writer = MakeStreamWriter({});
  writer->Started(Started());
  EXPECT_THAT(Lines(writer->Tokens(Told(0, "<b>b", Content("b")), {}), "id"),
              ElementsAre(absl::StrCat(kSession, "-2-1-4")));
  EXPECT_THAT(
      Lines(writer->Tokens(Told(1, "call", Call(0, "f", "{")), {}), "id"),
      ElementsAre(absl::StrCat(kSession, "-2-2-8-1")));
  EXPECT_THAT(Lines(writer->Tokens(Told(2, "}", Call(0, "", "}")), {}), "id"),
              ElementsAre(absl::StrCat(kSession, "-2-3-9-1")));
}

TEST(StreamWriterTest, AChoiceHasItsIndexAndTheLastOneTheEndOfAll) {
  const std::unique_ptr<StreamWriter> writer = MakeStreamWriter(
      {.include_usage = true, .resumable = false, .choices = 2, .choice = 1});
  EXPECT_THAT(Lines(writer->Started(Started()), "id"), ElementsAre());
  const std::string tokens = writer->Tokens(Tokens(0, {1}, "a"), {});
  EXPECT_EQ(Data(tokens)[0]["choices"][0]["index"], 1);
  const v1::TurnEnded ended = Ended(v1::FINISH_REASON_LENGTH, "");
  const std::string first = writer->EndedChoice(ended);
  EXPECT_EQ(Data(first).size(), 1u);
  EXPECT_THAT(first, Not(HasSubstr("[DONE]")));
  v1::Usage of_all = ended.usage();
  AddChoice(ended.usage(), &of_all);
  const std::string last = writer->Ended(ended, of_all);
  ASSERT_EQ(Data(last).size(), 2u);
  EXPECT_EQ(Data(last)[1]["usage"]["completion_tokens"],
            2 * ended.usage().generated_tokens());
  EXPECT_THAT(last, HasSubstr("data: [DONE]"));
}

TEST(StreamWriterTest, ErrorsEndTheStreamInTheClientsTerms) {
  const std::unique_ptr<StreamWriter> writer = MakeStreamWriter({});
  const std::string lines =
      writer->Failed(InvalidField("start.options.stop_strings[0]", "is long"));
  EXPECT_THAT(lines, HasSubstr("\"param\":\"stop[0]\""));
  EXPECT_THAT(lines, HasSubstr("data: [DONE]\n\n"));
}

TEST(StreamWriterTest, TextsAreAskedForWhereTheyAreShown) {
  const v1::TokensGenerated two = Tokens(0, {1, 2}, "ab");
  EXPECT_TRUE(MakeStreamWriter({})->TextsFor(two).empty());
  EXPECT_EQ(MakeStreamWriter({.with_tandem = true})->TextsFor(two).size(), 2u);
  EXPECT_TRUE(MakeStreamWriter({.with_tandem = true})
                  ->TextsFor(Tokens(0, {1}, "a"))
                  .empty());
  EXPECT_EQ(MakeStreamWriter({})->TextsFor(WithLogprobs(two)).size(), 4u);
  EXPECT_TRUE(MakeStreamWriter({.api = ReplyFormat::Api::kResponse})
                  ->TextsFor(WithLogprobs(two))
                  .empty());
}

}  // namespace
}  // namespace tandem::gateway
