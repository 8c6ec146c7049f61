#include "services/coordinator/client/split_reply.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

absl::Span<const ChatTool> ToolsOf(const PromptSource& source) {
  const auto* const chat = std::get_if<ChatRequest>(&source);
  return chat == nullptr ? absl::Span<const ChatTool>() : chat->tools;
}

ToolChoice FromProto(v1::ToolChoice choice) {
  switch (choice) {
    case v1::TOOL_CHOICE_NONE:
      return ToolChoice::kNone;
    case v1::TOOL_CHOICE_REQUIRED:
      return ToolChoice::kRequired;
    default:
      return ToolChoice::kAuto;
  }
}

v1::ReplyDelta ToProto(ReplyParts parts) {
  v1::ReplyDelta delta;
  delta.set_content(std::move(parts.content));
  delta.set_reasoning(std::move(parts.reasoning));
  for (CallDelta& call : parts.calls) {
    v1::ToolCallDelta& added = *delta.add_tool_calls();
    added.set_index(call.index);
    added.set_id(std::move(call.id));
    added.set_name(std::move(call.name));
    added.set_arguments(std::move(call.arguments));
  }
  return delta;
}

ReplySplitter MakeSplitter(const TurnRunner& runner) {
  const TurnSetup& setup = runner.setup();
  return ReplySplitter(
      setup.tokenizer, *setup.reply_split->format,
      {.has_tools = setup.reply_split->has_tools,
       .starts_in_reasoning = setup.reply_split->starts_in_reasoning,
       .call_id_seed = absl::StrCat(setup.session_id, " ", setup.number)});
}

// Index of the tool that tag `tag` is of.
size_t ToolOfTag(size_t tag, absl::Span<const ChatTool> tools,
                 const SplitRules& rules) {
  if (rules.tools.tool_name.empty()) return tag;
  for (size_t i = 0; i < tools.size(); ++i) {
    if (tools[i].name == rules.tools.tool_name) return i;
  }
  return tag;
}

}  // namespace

bool HasTools(const PromptSource& source) { return !ToolsOf(source).empty(); }

SplitRules ParseSplitRules(const v1::TurnRequest& turn) {
  // Who names the tool wants that one call.
  const int calls_max = turn.tool_name().empty() ? turn.tool_calls_max() : 1;
  return {.is_split = turn.split_reply() || turn.tools_size() > 0,
          .tools = {.choice = FromProto(turn.tool_choice()),
                    .tool_name = turn.tool_name(),
                    .calls_max = calls_max}};
}

absl::Status CheckTools(const PromptSource& source, const ReplyFormat* format) {
  if (!HasTools(source)) return absl::OkStatus();
  if (format == nullptr) {
    return MakeError(absl::StatusCode::kFailedPrecondition,
                     {.reason = kReasonUnsupportedTools},
                     "the model's replies have no known format");
  }
  return format->tool_format.empty() ? format->tools_error : absl::OkStatus();
}

std::optional<GrammarSource> FormatOfReply(const PromptSource& source,
                                           const GenOptions& options,
                                           const SplitPlace& place) {
  const absl::Span<const ChatTool> tools = ToolsOf(source);
  const StartsIn starts_in =
      place.starts_in_reasoning ? StartsIn::kReasoning : StartsIn::kAnswer;
  if (!tools.empty()) {
    return ToolGrammar(place.format, tools, place.rules.tools, starts_in);
  }
  std::optional<GrammarSource> format = options.response_format;
  if (format.has_value() && format->preamble_end.empty()) {
    AllowReasoning(place.format, starts_in, &*format);
  }
  return format;
}

absl::Status InToolsWords(const absl::Status& status,
                          const PromptSource& source, const SplitRules& rules) {
  const absl::Span<const ChatTool> tools = ToolsOf(source);
  absl::string_view message = status.message();
  const size_t begin = message.find("tags[");
  size_t tag = 0;
  if (tools.empty() || begin == absl::string_view::npos) return status;
  message.remove_prefix(begin);
  const size_t end = message.find("].json_schema: ");
  if (!absl::ConsumePrefix(&message, "tags[") ||
      end == absl::string_view::npos ||
      !absl::SimpleAtoi(message.substr(0, end - 5), &tag)) {
    return status;
  }
  message.remove_prefix(message.find(": ") + 2);
  return InvalidField(
      absl::StrCat("tools[", ToolOfTag(tag, tools, rules), "].parameters"),
      std::string(message));
}

SplitReply::SplitReply(const TurnRunner& runner)
    : splitter_(MakeSplitter(runner)) {}

ReplyParts SplitReply::Take(const TurnRunner& runner, const TurnProgress& to) {
  const absl::Span<const TokenId> generated = runner.turn().generated();
  const int64_t from = std::exchange(tokens_, std::max(tokens_, to.tokens));
  return splitter_.Add(generated.subspan(static_cast<size_t>(from),
                                         static_cast<size_t>(tokens_ - from)),
                       to.text_bytes);
}

v1::ReplyDelta SplitReply::Between(const TurnRunner& runner,
                                   const TurnProgress& from,
                                   const TurnProgress& to) {
  // A client that resumes has what came before.
  if (tokens_ < from.tokens) (void)Take(runner, from);
  return ToProto(Take(runner, to));
}

v1::ReplyDelta SplitReply::Rest(const TurnRunner& runner,
                                const TurnProgress& from) {
  if (tokens_ < from.tokens) (void)Take(runner, from);
  return ToProto(splitter_.Finish(runner.turn().text().size()));
}

}  // namespace tandem
