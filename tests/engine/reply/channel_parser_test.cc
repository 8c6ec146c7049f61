#include "engine/reply/channel_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/reply/reply_test_util.h"

namespace tandem {
namespace {

// The parts of `text`, however its symbols are grouped.
ReplyParts Parse(absl::string_view text,
                 const ChannelParser::Options& options = {.has_tools = true}) {
  const ReplyFormat format = AllReplyFormats(*AllMarksTokenizer()).back();
  const std::vector<ReplySymbol> symbols = SymbolsOf(text, format.controls);
  std::vector<ReplyParts> results;
  for (const size_t group : {size_t{1}, size_t{3}, symbols.size() + 1}) {
    ReplyParts parts;
    ChannelParser parser(format, options);
    for (size_t at = 0; at < symbols.size(); at += group) {
      ReplyParts more;
      parser.Read(absl::MakeConstSpan(symbols).subspan(at, group), &more);
      AddParts(more, &parts);
    }
    ReplyParts last;
    parser.Finish(&last);
    AddParts(last, &parts);
    results.push_back(parts);
  }
  EXPECT_EQ(results[0], results[1]) << text;
  EXPECT_EQ(results[0], results[2]) << text;
  return results[0];
}

std::vector<CallDelta> Call(const std::string& name,
                            const std::string& arguments) {
  return {{0, CallId("", 0), name, arguments}};
}

TEST(ChannelParserTest, AnalysisIsReasoningAndFinalTheAnswer) {
  EXPECT_EQ(
      Parse("<|channel|>analysis<|message|>They say hello.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Hello\n!"
            "<|return|>"),
      (ReplyParts{.content = "Hello\n!", .reasoning = "They say hello."}));
}

TEST(ChannelParserTest, CommentaryToAFunctionIsACall) {
  for (const char* header :
       {"<|channel|>commentary to=functions.f <|constrain|>json<|message|>",
        "<|channel|>commentary to=functions.f<|constrain|>json<|message|>",
        "<|channel|>commentary to=functions.f<|message|>",
        " to=functions.f<|channel|>commentary json<|message|>",
        "<|start|>assistant to=functions.f<|channel|>commentary<|message|>"}) {
    EXPECT_EQ(Parse(std::string(header) + " {\"a\": 1}<|call|>"),
              (ReplyParts{.calls = Call("f", "{\"a\": 1}")}))
        << header;
  }
}

// A grammar lets white space stand between its parts.
TEST(ChannelParserTest, WhiteSpaceMayStandAroundHeaders) {
  EXPECT_EQ(
      Parse("\n <|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
            "\n\n to=functions.f<|channel|>commentary json<|message|>{}"),
      (ReplyParts{.reasoning = "Hm.", .calls = Call("f", "{}")}));
  EXPECT_EQ(
      Parse("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant \n"
            "<|channel|>final<|message|>Yes."),
      (ReplyParts{.content = "Yes.", .reasoning = "Hm."}));
  EXPECT_EQ(Parse("\n  to functions"),
            (ReplyParts{.content = "\n  to functions"}));
  EXPECT_EQ(Parse(" "), (ReplyParts{.content = " "}));
}

TEST(ChannelParserTest, AReplyMayGoOnWithReasoning) {
  EXPECT_EQ(Parse("They ask.<|end|><|start|>assistant to=functions.f<|channel|>"
                  "commentary json<|message|>{}<|call|>",
                  {.has_tools = true, .starts_in_reasoning = true}),
            (ReplyParts{.reasoning = "They ask.", .calls = Call("f", "{}")}));
  EXPECT_EQ(Parse("assistant", {.starts_in_reasoning = true}),
            (ReplyParts{.reasoning = "assistant"}));
}

TEST(ChannelParserTest, OtherCommentaryIsContent) {
  EXPECT_EQ(Parse("<|channel|>commentary<|message|>I look.<|end|><|start|>"
                  "assistant<|channel|>final<|message|>Yes."),
            (ReplyParts{.content = "I look.\nYes."}));
  EXPECT_EQ(Parse("<|channel|>commentary to=browser.open<|message|>{}").content,
            "{}");
  EXPECT_EQ(Parse("<|channel|>commentary to=functions.f<|message|>{}", {}),
            (ReplyParts{.content = "{}"}));
}

TEST(ChannelParserTest, BrokenArgumentsAreContent) {
  const std::string header = "<|channel|>commentary to=functions.f<|message|>";
  EXPECT_EQ(Parse(header + "f(1)"), (ReplyParts{.content = "f(1)"}));
  EXPECT_EQ(Parse(header + "{\"a\": <}"),
            (ReplyParts{.content = "<}", .calls = Call("f", "{\"a\": ")}));
  EXPECT_EQ(Parse(header + "{} x"),
            (ReplyParts{.content = "x", .calls = Call("f", "{}")}));
  EXPECT_EQ(Parse(header + "{\"a"), (ReplyParts{.calls = Call("f", "{\"a")}));
}

TEST(ChannelParserTest, TextWithoutAHeaderIsContent) {
  EXPECT_EQ(Parse("Hello").content, "Hello");
  EXPECT_EQ(Parse("assist").content, "assist");
  EXPECT_EQ(Parse("assistants help").content, "assistants help");
  EXPECT_EQ(Parse("<|channel|>final<|message|>A<|end|>B").content, "A\nB");
  const std::string name(300, 'c');
  EXPECT_EQ(Parse("<|channel|>" + name).content, name);
}

TEST(ChannelParserTest, ACutHeaderSaysNothing) {
  for (const char* text : {"<|channel|>ana", "<|start|>assis", "<|start|>"}) {
    EXPECT_EQ(Parse(text), ReplyParts()) << text;
  }
}

}  // namespace
}  // namespace tandem
