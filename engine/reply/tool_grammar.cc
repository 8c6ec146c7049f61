#include "engine/reply/tool_grammar.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "engine/reply/json_scanner.h"

namespace tandem {
namespace {

// The schema of a tool's arguments, which are an object in all formats.
std::string ArgumentsSchema(const ChatTool& tool) {
  const absl::string_view schema = absl::StripAsciiWhitespace(tool.parameters);
  if (schema.empty()) {
    return R"({"type":"object","properties":{},"additionalProperties":false})";
  }
  if (!absl::StartsWith(schema, "{") || HasMember(schema, "type")) {
    return tool.parameters;
  }
  const absl::string_view members =
      absl::StripLeadingAsciiWhitespace(schema.substr(1));
  return absl::StrCat("{\"type\":\"object\"",
                      absl::StartsWith(members, "}") ? "" : ",", members);
}

int CallsMax(const CallMarks& marks, const ToolRules& rules) {
  int calls_max = kTagCountMax;
  if (rules.calls_max > 0) calls_max = std::min(calls_max, rules.calls_max);
  if (marks.calls_max > 0) calls_max = std::min(calls_max, marks.calls_max);
  return calls_max;
}

}  // namespace

void AllowReasoning(const ReplyFormat& format, StartsIn starts_in,
                    GrammarSource* source) {
  if (source->answer_begin.empty()) source->answer_begin = format.answer_begin;
  if (format.reasoning_end.empty()) return;
  source->preamble_end = format.reasoning_end;
  if (starts_in == StartsIn::kAnswer) {
    source->preamble_begin = format.reasoning_begin;
  }
}

GrammarSource ToolGrammar(const ReplyFormat& format,
                          absl::Span<const ChatTool> tools,
                          const ToolRules& rules, StartsIn starts_in) {
  TANDEM_CHECK(!format.tool_format.empty());
  const CallMarks& marks = format.calls;
  GrammarSource source = {.kind = GrammarSource::Kind::kTags};
  source.tags = {.trigger = marks.trigger,
                 .trigger_at_start = marks.is_at_start,
                 .section_begin = marks.section_begin,
                 .separator = marks.separator,
                 .section_end = marks.section_end};
  for (const ChatTool& tool : tools) {
    if (!rules.tool_name.empty() && tool.name != rules.tool_name) continue;
    source.tags.tags.push_back(
        {.begin =
             absl::StrCat(marks.name_begin, tool.name, marks.arguments_begin),
         .json_schema = ArgumentsSchema(tool),
         .end = marks.call_end});
  }
  source.tags.tags_min = rules.choice == ToolChoice::kRequired ? 1 : 0;
  source.tags.tags_max =
      rules.choice == ToolChoice::kNone ? 0 : CallsMax(marks, rules);
  AllowReasoning(format, starts_in, &source);
  return source;
}

}  // namespace tandem
