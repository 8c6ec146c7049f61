#include "engine/reply/reply_splitter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/tokenizer/stream_decoder.h"
#include "tests/engine/reply/reply_test_util.h"

namespace tandem {
namespace {

// A random reply of pieces of all formats.
std::vector<TokenId> RandomReply(const Tokenizer& tokenizer,
                                 std::mt19937_64* random) {
  constexpr absl::string_view kPieces[] = {"<tool_call>",
                                           "</tool_call>",
                                           "<think>",
                                           "</think>",
                                           "\n",
                                           " ",
                                           "{",
                                           "}",
                                           "[",
                                           "]",
                                           "\"name\": \"f\"",
                                           "\"arguments\": ",
                                           "{\"a\": 1}",
                                           "\", \"",
                                           "\", \"arguments\": ",
                                           "{\"name\": \"f",
                                           "\"parameters\": ",
                                           "[TOOL_CALLS]",
                                           "[ARGS]",
                                           "<|tool_call|>",
                                           "<｜tool▁calls▁begin｜>",
                                           "<｜tool▁calls▁end｜>",
                                           "<｜tool▁call▁begin｜>",
                                           "<｜tool▁call▁end｜>",
                                           "<｜tool▁sep｜>",
                                           "function",
                                           "```json\n",
                                           "```",
                                           ", ",
                                           "é",
                                           "\xc3",
                                           "<",
                                           "<|start|>",
                                           "<|channel|>",
                                           "<|message|>",
                                           "<|end|>",
                                           "<|constrain|>",
                                           "analysis",
                                           "final",
                                           "commentary",
                                           " to=functions.f",
                                           "assistant"};
  std::vector<TokenId> ids;
  const size_t pieces = (*random)() % 24;
  for (size_t i = 0; i < pieces; ++i) {
    const absl::string_view piece = kPieces[(*random)() % std::size(kPieces)];
    for (const TokenId id : ReplyIds(tokenizer, piece)) ids.push_back(id);
  }
  return ids;
}

// Calls of each format as its marks are, so that random ones meet them too.
std::vector<TokenId> WrittenReply(const Tokenizer& tokenizer,
                                  const ReplyFormat& format) {
  const CallMarks& marks = format.calls;
  const std::string call =
      absl::StrCat(marks.name_begin, "f", marks.arguments_begin,
                   "{\"a\": \"é }\"}", marks.call_end);
  const std::string text =
      format.has_channels
          ? absl::StrCat(format.reasoning_begin, "é", format.reasoning_end,
                         call)
          : absl::StrCat("<think>\né\n</think>\n\n",
                         marks.is_at_start ? "" : "A \n", marks.section_begin,
                         call, marks.separator, call, marks.section_end);
  return ReplyIds(tokenizer, text);
}

// What a splitter gives in random groups, with a random part of the text
// decided after each, must be what it gives at once.
void ExpectTheSameInGroups(const ReplyFormat& format,
                           const ReplySplitter::Options& options,
                           const std::vector<TokenId>& ids,
                           std::mt19937_64* random) {
  const auto tokenizer = AllMarksTokenizer();
  StreamDecoder decoder(tokenizer.get(), {});
  ReplySplitter splitter(tokenizer, format, options);
  ReplyParts parts;
  size_t decided = 0;
  for (size_t at = 0; at < ids.size();) {
    const size_t count = std::min(ids.size() - at, (*random)() % 4);
    for (size_t i = 0; i < count; ++i) decoder.Push(ids[at + i]);
    const size_t more = decoder.decided().size() - decided;
    decided += (*random)() % 2 == 0 ? more : (*random)() % (more + 1);
    AddParts(splitter.Add(absl::MakeConstSpan(ids).subspan(at, count), decided),
             &parts);
    at += count;
  }
  decoder.Finish();
  const size_t end = (*random)() % 4 == 0 ? decided : decoder.decided().size();
  AddParts(splitter.Finish(end), &parts);

  ReplySplitter at_once(tokenizer, format, options);
  ReplyParts whole;
  AddParts(at_once.Add(ids, end), &whole);
  AddParts(at_once.Finish(end), &whole);
  EXPECT_EQ(parts, whole);
  EXPECT_TRUE(splitter.Finish(end).empty());
  EXPECT_TRUE(splitter.Add(ids, end + 1).empty());
}

TEST(ReplySplitterTest, PartsAreTheSameInAllGroups) {
  std::mt19937_64 random(7);
  const auto tokenizer = AllMarksTokenizer();
  for (const ReplyFormat& format : AllReplyFormats(*tokenizer)) {
    for (int i = 0; i < 400; ++i) {
      const ReplySplitter::Options options = {
          .has_tools = random() % 4 != 0,
          .starts_in_reasoning = random() % 3 == 0,
          .call_id_seed = "seed"};
      ExpectTheSameInGroups(format, options,
                            i % 4 == 0 ? WrittenReply(*tokenizer, format)
                                       : RandomReply(*tokenizer, &random),
                            &random);
    }
  }
}

// A reply in channels that comes in two groups, cut between any two tokens.
TEST(ReplySplitterTest, ChannelsAreTheSameAtEveryCut) {
  const auto tokenizer = AllMarksTokenizer();
  for (const ReplyFormat& format : AllReplyFormats(*tokenizer)) {
    if (!format.has_channels) continue;
    const std::string arguments = "{\"a\": \"é }\"}";
    const std::vector<TokenId> ids = ReplyIds(
        *tokenizer,
        absl::StrCat(format.reasoning_begin, "Why? é", format.reasoning_end,
                     format.calls.name_begin, "f-1.x",
                     format.calls.arguments_begin, arguments, "<|call|>"));
    const ReplyParts all = {.reasoning = "Why? é",
                            .calls = {{0, CallId("", 0), "f-1.x", arguments}}};
    for (size_t cut = 0; cut <= ids.size(); ++cut) {
      StreamDecoder decoder(tokenizer.get(), {});
      ReplySplitter splitter(tokenizer, format, {.has_tools = true});
      ReplyParts parts;
      const auto add = [&](size_t from, size_t to) {
        for (size_t i = from; i < to; ++i) decoder.Push(ids[i]);
        AddParts(splitter.Add(absl::MakeConstSpan(ids).subspan(from, to - from),
                              decoder.decided().size()),
                 &parts);
      };
      add(0, cut);
      // Text that is not all can only be the beginning.
      EXPECT_EQ(parts.content, "") << cut;
      EXPECT_TRUE(absl::StartsWith(all.reasoning, parts.reasoning)) << cut;
      add(cut, ids.size());
      decoder.Finish();
      AddParts(splitter.Finish(decoder.decided().size()), &parts);
      EXPECT_EQ(parts, all) << format.calls.name_begin << " " << cut;
    }
  }
}

TEST(ReplySplitterTest, AnAnswerOfJsonStandsInTheFinalChannel) {
  const auto tokenizer = AllMarksTokenizer();
  const ReplyFormat format = FormatOf("harmony", *tokenizer);
  const std::string json = "{\"a\": [\"<|call|\"]}";
  EXPECT_EQ(SplitReply(
                tokenizer, format, {.has_tools = true},
                ReplyIds(*tokenizer, absl::StrCat("<|channel|>final<|message|>",
                                                  json, "<|return|>"))),
            (ReplyParts{.content = json}));
  EXPECT_EQ(SplitReply(
                tokenizer, format, {.starts_in_reasoning = true},
                ReplyIds(*tokenizer, absl::StrCat("Hm.<|end|><|start|>assistant"
                                                  "<|channel|>final<|message|>",
                                                  json, "<|return|>"))),
            (ReplyParts{.content = json, .reasoning = "Hm."}));
}

// Without marks nothing is taken away.
TEST(ReplySplitterTest, WithoutFormatTheAnswerIsTheText) {
  std::mt19937_64 random(8);
  const auto tokenizer = AllMarksTokenizer();
  for (int i = 0; i < 200; ++i) {
    const std::vector<TokenId> ids = RandomReply(*tokenizer, &random);
    StreamDecoder decoder(tokenizer.get(), {});
    for (const TokenId id : ids) decoder.Push(id);
    decoder.Finish();
    EXPECT_EQ(SplitReply(tokenizer, ReplyFormat(), {.has_tools = true}, ids),
              (ReplyParts{.content = decoder.decided()}));
  }
}

// What is no mark is in one of the parts: a reply without control tokens, whose
// marks of calls are broken, comes out whole.
TEST(ReplySplitterTest, NothingOfBrokenCallsIsLost) {
  std::mt19937_64 random(9);
  const auto tokenizer = AllMarksTokenizer();
  for (ReplyFormat& format : AllReplyFormats(*tokenizer)) {
    format.reasoning_begin.clear();
    format.reasoning_end.clear();
    for (int i = 0; i < 200; ++i) {
      const std::vector<TokenId> ids = RandomReply(*tokenizer, &random);
      if (format.has_channels) continue;
      const ReplyParts parts =
          SplitReply(tokenizer, format, {.has_tools = true}, ids);
      if (!parts.calls.empty()) continue;
      StreamDecoder decoder(tokenizer.get(), {});
      for (const TokenId id : ids) decoder.Push(id);
      decoder.Finish();
      EXPECT_EQ(parts.content, decoder.decided());
    }
  }
}

TEST(ReplySplitterTest, TextThatIsNotDecidedIsHeldBack) {
  const auto tokenizer = AllMarksTokenizer();
  const std::vector<TokenId> ids = ReplyIds(*tokenizer, "One two");
  ReplySplitter splitter(tokenizer, FormatOf("hermes", *tokenizer), {});
  EXPECT_EQ(splitter.Add(ids, 3).content, "One");
  // Decided by what came later, and less than that at the end.
  EXPECT_EQ(splitter.Add({}, 5).content, " t");
  EXPECT_EQ(splitter.Add({}, 2).content, "");
  EXPECT_EQ(splitter.Finish(6).content, "w");
}

TEST(ReplySplitterTest, AControlTokenBehindTheCutIsNotRead) {
  const auto tokenizer = AllMarksTokenizer();
  const ReplyFormat format = FormatOf("mistral", *tokenizer);
  const std::vector<TokenId> ids =
      ReplyIds(*tokenizer, "Stop here[TOOL_CALLS]f[ARGS]{}");
  ReplySplitter splitter(tokenizer, format, {.has_tools = true});
  ReplyParts parts = splitter.Add(ids, 4);
  AddParts(splitter.Finish(4), &parts);
  EXPECT_EQ(parts, (ReplyParts{.content = "Stop"}));
}

TEST(ReplySplitterTest, AnUnfinishedCharacterIsReplacedAtTheEnd) {
  const auto tokenizer = AllMarksTokenizer();
  const std::vector<TokenId> ids = {'a', 0xc3};
  EXPECT_EQ(SplitReply(tokenizer, FormatOf("hermes", *tokenizer), {}, ids),
            (ReplyParts{.content = "a\ufffd"}));
}

TEST(ReplySplitterTest, IdsOfCallsComeFromTheSeed) {
  const auto tokenizer = AllMarksTokenizer();
  const ReplyFormat format = FormatOf("mistral", *tokenizer);
  const std::vector<TokenId> ids =
      ReplyIds(*tokenizer, "[TOOL_CALLS]f[ARGS]{}");
  const ReplyParts parts = SplitReply(
      tokenizer, format, {.has_tools = true, .call_id_seed = "turn 1"}, ids);
  ASSERT_EQ(parts.calls.size(), 1u);
  EXPECT_EQ(parts.calls[0].id, CallId("turn 1", 0));
}

}  // namespace
}  // namespace tandem
