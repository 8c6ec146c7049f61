#include "engine/reply/mark_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/reply/reply_test_util.h"

namespace tandem {
namespace {

// The parts of `text`, symbol by symbol, which must be those of it at once.
ReplyParts Parse(const ReplyFormat& format, absl::string_view text,
                 const MarkParser::Options& options = {.has_tools = true}) {
  const std::vector<ReplySymbol> symbols = SymbolsOf(text, format.controls);
  ReplyParts parts;
  MarkParser parser(format, options);
  for (const ReplySymbol symbol : symbols) {
    ReplyParts more;
    parser.Read({&symbol, 1}, &more);
    AddParts(more, &parts);
  }
  ReplyParts last;
  parser.Finish(&last);
  AddParts(last, &parts);

  ReplyParts whole;
  MarkParser at_once(format, options);
  at_once.Read(symbols, &whole);
  at_once.Finish(&whole);
  ReplyParts joined;
  AddParts(whole, &joined);
  EXPECT_EQ(joined, parts) << text;
  return parts;
}

ReplyFormat Format(absl::string_view name) {
  return FormatOf(name, *AllMarksTokenizer());
}

// The way of Mistral that has a list of calls.
ReplyFormat ListFormat() {
  ReplyFormat format = Format("mistral");
  for (const KnownCalls& known : AllKnownCalls()) {
    if (known.name == "mistral" && !known.marks.section_end.empty()) {
      format.calls = known.marks;
    }
  }
  return format;
}

std::vector<CallDelta> Calls(const std::vector<std::string>& names,
                             const std::string& arguments) {
  std::vector<CallDelta> calls;
  for (const std::string& name : names) {
    const int index = static_cast<int>(calls.size());
    calls.push_back({index, CallId("", index), name, arguments});
  }
  return calls;
}

std::string Hermes(absl::string_view name, absl::string_view arguments) {
  return absl::StrCat("<tool_call>\n{\"name\": \"", name,
                      "\", \"arguments\": ", arguments, "}\n</tool_call>");
}

TEST(MarkParserTest, TextsAreContentAtOnce) {
  const ReplyFormat format = Format("hermes");
  MarkParser parser(format, {.has_tools = true});
  ReplyParts parts;
  parser.Read(SymbolsOf("A < B", {}), &parts);
  EXPECT_EQ(parts.content, "A < B");
  // A mark may begin here, and white space may stand before one.
  parts = {};
  parser.Read(SymbolsOf(" \n<tool", {}), &parts);
  EXPECT_TRUE(parts.empty());
  parser.Read(SymbolsOf("s", {}), &parts);
  EXPECT_EQ(parts.content, " \n<tools");
  parts = {};
  parser.Read(SymbolsOf("\n", {}), &parts);
  EXPECT_TRUE(parts.empty());
  parser.Finish(&parts);
  EXPECT_EQ(parts.content, "\n");
}

TEST(MarkParserTest, CallsHaveNameAndArguments) {
  const std::string arguments = R"({"a": "</tool_call> \" }", "b": [{}]})";
  EXPECT_EQ(Parse(Format("hermes"),
                  absl::StrCat("Let me look.\n\n", Hermes("f", arguments), "\n",
                               Hermes("g-1.x", arguments), "\n")),
            (ReplyParts{.content = "Let me look.",
                        .calls = Calls({"f", "g-1.x"}, arguments)}));
}

TEST(MarkParserTest, ArgumentsAreGivenOutAsTheyCome) {
  const ReplyFormat format = Format("hermes");
  MarkParser parser(format, {.has_tools = true, .call_id_seed = "seed"});
  ReplyParts parts;
  parser.Read(SymbolsOf("<tool_call>\n{\"name\": \"f", {}), &parts);
  EXPECT_TRUE(parts.empty());
  parser.Read(SymbolsOf("\", \"arguments\": {\"a", {}), &parts);
  EXPECT_EQ(parts.calls,
            (std::vector<CallDelta>{{0, CallId("seed", 0), "f", "{\"a"}}));
  parts = {};
  parser.Read(SymbolsOf("\": 1", {}), &parts);
  EXPECT_EQ(parts.calls,
            (std::vector<CallDelta>{{.index = 0, .arguments = "\": 1"}}));
}

TEST(MarkParserTest, SpacingMayBeAnother) {
  EXPECT_EQ(Parse(Format("hermes"),
                  "<tool_call>{\"name\":\"f\",\"arguments\":\n{}}</tool_call>"),
            (ReplyParts{.calls = Calls({"f"}, "{}")}));
}

TEST(MarkParserTest, BrokenCallsAreContent) {
  const ReplyFormat format = Format("hermes");
  for (const std::string text :
       {"<tool_call>\nf({})\n</tool_call>",
        "<tool_call>\n{\"name\": \"\", \"arguments\": {}}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"arguments\": []}\n</tool_call>",
        "<tool_call>\n{\"name\": \"f\", \"parameters\": {}}\n</tool_call>",
        "<tool_call>\n{\"arguments\": {}, \"name\": \"f\"}\n</tool_call>",
        "<tool_call", "<tool_call>\n{\"name\": \"f\", \"argum",
        "</tool_call>"}) {
    EXPECT_EQ(Parse(format, text), (ReplyParts{.content = text}));
    // A later one is a call all the same.
    EXPECT_EQ(Parse(format, text + "!\n" + Hermes("g", "{}")),
              (ReplyParts{.content = text + "!", .calls = Calls({"g"}, "{}")}));
  }
  const std::string name(65, 'n');
  EXPECT_EQ(Parse(format, Hermes(name, "{}")).content, Hermes(name, "{}"));
  EXPECT_EQ(Parse(format, Hermes(name.substr(1), "{}")).calls.size(), 1u);
}

TEST(MarkParserTest, WhatFollowsBrokenArgumentsOrEndsIsContent) {
  const ReplyFormat format = Format("hermes");
  EXPECT_EQ(Parse(format, Hermes("f", R"({"a": <b>})")),
            (ReplyParts{.content = "<b>}}\n</tool_call>",
                        .calls = Calls({"f"}, R"({"a": )")}));
  EXPECT_EQ(
      Parse(format, "<tool_call>{\"name\": \"f\", \"arguments\": {}} Bye."),
      (ReplyParts{.content = "} Bye.", .calls = Calls({"f"}, "{}")}));
}

TEST(MarkParserTest, ACutReplyGivesWhatThereIs) {
  const std::string text = Hermes("f", R"({"a": 1})");
  for (size_t bytes = 0; bytes <= text.size(); ++bytes) {
    const ReplyParts parts = Parse(Format("hermes"), text.substr(0, bytes));
    const size_t begin = text.find("{\"a");
    if (bytes <= begin) {
      EXPECT_EQ(parts, (ReplyParts{.content = text.substr(0, bytes)}));
      continue;
    }
    const size_t length = std::min<size_t>(8, bytes - begin);
    EXPECT_EQ(parts,
              (ReplyParts{.calls = Calls({"f"}, text.substr(begin, length))}));
  }
}

TEST(MarkParserTest, WithoutToolsMarksOfCallsAreContent) {
  const std::string text = Hermes("f", "{}") + "\n ";
  EXPECT_EQ(Parse(Format("hermes"), text, {}), (ReplyParts{.content = text}));
  // Control tokens have no text.
  EXPECT_EQ(Parse(ListFormat(), "[TOOL_CALLS][{}]", {}).content, "[{}]");
}

TEST(MarkParserTest, SectionsHoldCalls) {
  EXPECT_EQ(Parse(ListFormat(),
                  R"(Hm. [TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}, )"
                  R"({"name":"g","arguments":{"a": 1}}])"),
            (ReplyParts{.content = "Hm.",
                        .calls = Calls({"f", "g"}, R"({"a": 1})")}));
  // Ids that the model writes are passed over.
  EXPECT_EQ(
      Parse(ListFormat(),
            R"([TOOL_CALLS][{"name": "f", "arguments": {}, "id": "12a"})"
            R"(, {"name": "g", "arguments": {}, "id": "34b"}]<|im_end|>)"),
      (ReplyParts{.calls = Calls({"f", "g"}, "{}")}));
}

TEST(MarkParserTest, SectionsThatBreakAreContentFromThere) {
  const std::string call = R"([TOOL_CALLS][{"name": "f", "arguments": {}})";
  EXPECT_EQ(Parse(ListFormat(), call + ", 5]"),
            (ReplyParts{.content = ", 5]", .calls = Calls({"f"}, "{}")}));
  EXPECT_EQ(
      Parse(ListFormat(), call + ", {\"name\": \"g"),
      (ReplyParts{.content = ", {\"name\": \"g", .calls = Calls({"f"}, "{}")}));
  EXPECT_EQ(Parse(ListFormat(), call + "<|im_end|>"),
            (ReplyParts{.calls = Calls({"f"}, "{}")}));
  // A text that looks like the control token is none.
  ReplyFormat format = ListFormat();
  ReplyParts parts;
  MarkParser parser(format, {.has_tools = true});
  parser.Read(SymbolsOf(call, {}), &parts);
  parser.Finish(&parts);
  EXPECT_EQ(parts, (ReplyParts{.content = call}));
}

TEST(MarkParserTest, NamesStandBeforeArgumentsInOneWayOfMistral) {
  EXPECT_EQ(Parse(Format("mistral"),
                  "[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]g[ARGS]{\"a\": 1}"
                  "<|im_end|>"),
            (ReplyParts{.calls = Calls({"f", "g"}, "{\"a\": 1}")}));
}

TEST(MarkParserTest, DeepSeekWritesCodeBlocks) {
  const auto call = [](absl::string_view name) {
    return absl::StrCat("<｜tool▁call▁begin｜>function<｜tool▁sep｜>", name,
                        "\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>");
  };
  EXPECT_EQ(
      Parse(Format("deepseek"),
            absl::StrCat("</think>", "Hm.\n<｜tool▁calls▁begin｜>", call("f"),
                         "\n", call("g"), "<｜tool▁calls▁end｜><|im_end|>"),
            {.has_tools = true, .starts_in_reasoning = true}),
      (ReplyParts{.content = "Hm.", .calls = Calls({"f", "g"}, "{\"a\": 1}")}));
}

TEST(MarkParserTest, Llama3CallsAreTheWholeReply) {
  const std::string call = R"({"name": "f", "parameters": {"a": 1}})";
  for (const std::string begin : {"", "\n ", "<|python_tag|>"}) {
    EXPECT_EQ(Parse(Format("llama3"), begin + call + "\n<|im_end|>"),
              (ReplyParts{.calls = Calls({"f"}, "{\"a\": 1}")}));
  }
  EXPECT_EQ(Parse(Format("llama3"), "Call " + call).content, "Call " + call);
  EXPECT_EQ(Parse(Format("llama3"), call + "; " + call),
            (ReplyParts{.content = "; " + call,
                        .calls = Calls({"f"}, "{\"a\": 1}")}));
}

TEST(MarkParserTest, ReasoningStandsBetweenItsMarks) {
  const ReplyFormat format = Format("hermes");
  EXPECT_EQ(Parse(format, "\n<think>\n\nA\n\nB <b>\n</think>\n\nC\n"),
            (ReplyParts{.content = "C\n", .reasoning = "A\n\nB <b>"}));
  EXPECT_EQ(Parse(format, "<think>\n\n</think>\n\n" + Hermes("f", "{}")),
            (ReplyParts{.calls = Calls({"f"}, "{}")}));
  EXPECT_EQ(Parse(format, "\nA\n</think>\nB",
                  {.has_tools = true, .starts_in_reasoning = true}),
            (ReplyParts{.content = "B", .reasoning = "A"}));
  // Cut: what was held back is the reasoning's.
  EXPECT_EQ(Parse(format, "<think>A\n</thi"),
            (ReplyParts{.reasoning = "A\n</thi"}));
  EXPECT_EQ(Parse(format, "<think>A\n"), (ReplyParts{.reasoning = "A\n"}));
  // A call in the reasoning is none.
  EXPECT_EQ(Parse(format, "<think>" + Hermes("f", "{}")).reasoning,
            Hermes("f", "{}"));
}

TEST(MarkParserTest, MarksOfReasoningElsewhereAreContent) {
  for (const std::string text :
       {"A <think>B</think>", "</think>A", " <thin", " \n"}) {
    EXPECT_EQ(Parse(Format("hermes"), text), (ReplyParts{.content = text}));
  }
  ReplyFormat none = Format("hermes");
  none.reasoning_begin.clear();
  none.reasoning_end.clear();
  EXPECT_EQ(Parse(none, "<think>A</think>").content, "<think>A</think>");
}

TEST(MarkParserTest, ControlTokensMayBeMarksOfReasoning) {
  ReplyFormat format = Format("mistral");
  format.reasoning_begin = "[THINK]";
  format.reasoning_end = "[/THINK]";
  EXPECT_EQ(Parse(format, "[THINK]A[/THINK]B"),
            (ReplyParts{.content = "B", .reasoning = "A"}));
}

}  // namespace
}  // namespace tandem
