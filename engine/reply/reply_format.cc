#include "engine/reply/reply_format.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/reply/channel_names.h"
#include "engine/template/chat/chat_template.h"

namespace tandem {
namespace {

// Pairs of marks that models write reasoning between.
constexpr absl::string_view kReasoningMarks[][2] = {
    {"<think>", "</think>"},
    {"[THINK]", "[/THINK]"},
};
// Tokens at the end of a prompt that StartsInReasoning looks at: a mark may be
// several, and white space follows.
constexpr size_t kPromptTokensSeen = 32;
constexpr char kProbeDay[] = "2026-01-01";

absl::Status UnsupportedTools(absl::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.reason = kReasonUnsupportedTools}, message);
}

bool IsSpecial(const Tokenizer& tokenizer, TokenId id) {
  return tokenizer.TokenText(id, /*skip_special=*/true).empty();
}

// The token of the text or name `text`.
std::optional<TokenId> FindToken(const Tokenizer& tokenizer,
                                 absl::string_view text) {
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.TokenText(id, /*skip_special=*/false) == text) return id;
  }
  return std::nullopt;
}

bool HasToken(const Tokenizer& tokenizer, absl::string_view text) {
  return FindToken(tokenizer, text).has_value();
}

std::string Join(absl::Span<const TextPart> parts) {
  return absl::StrJoin(parts, "", [](std::string* out, const TextPart& part) {
    absl::StrAppend(out, part.text);
  });
}

// What the template makes of `request`, with a system message before it where
// it fails without; "" where it refuses it at all.
std::string RenderOrEmpty(const Tokenizer& tokenizer, ChatRequest request) {
  request.today = kProbeDay;
  auto parts = tokenizer.chat_template().Render(request);
  if (parts.ok()) return Join(*parts);
  ChatMessage system;
  system.role = ChatRole::kSystem;
  system.content = "tandem0system";
  request.messages.insert(request.messages.begin(), std::move(system));
  parts = tokenizer.chat_template().Render(request);
  return parts.ok() ? Join(*parts) : std::string();
}

ChatMessage Message(ChatRole role, std::string content) {
  ChatMessage message;
  message.role = role;
  message.content = std::move(content);
  return message;
}

// A question with a tool.
ChatRequest ToolQuestion() {
  ChatRequest request;
  request.messages = {Message(ChatRole::kUser, kProbeQuestion)};
  ChatTool tool;
  tool.name = kProbeTool;
  tool.description = "tandem0description";
  tool.parameters =
      R"({"type": "object", "properties": {"tandem_field": {"type": "string",)"
      R"( "description": "tandem0field"}}, "required": ["tandem_field"]})";
  request.tools = {std::move(tool)};
  return request;
}

// The same, with the tool called under each of `names` and the results.
ChatRequest ToolCalls(absl::Span<const std::string> names) {
  ChatRequest request = ToolQuestion();
  ChatMessage reply = Message(ChatRole::kAssistant, "");
  std::vector<ChatMessage> results;
  for (const std::string& name : names) {
    ChatToolCall call;
    // The first is kProbeCallId.
    call.id = absl::StrCat("tandem", reply.tool_calls.size(), "id");
    call.name = name;
    call.arguments = kProbeArguments;
    ChatMessage result = Message(ChatRole::kTool, "tandem0result");
    result.tool_call_id = call.id;
    result.name = name;
    results.push_back(std::move(result));
    reply.tool_calls.push_back(std::move(call));
  }
  request.messages.push_back(std::move(reply));
  request.messages.insert(request.messages.end(), results.begin(),
                          results.end());
  return request;
}

RenderedCalls RenderCalls(const Tokenizer& tokenizer) {
  return {
      .prompt = RenderOrEmpty(tokenizer, ToolQuestion()),
      .one = RenderOrEmpty(tokenizer, ToolCalls({kProbeCall})),
      .two = RenderOrEmpty(tokenizer, ToolCalls({kProbeCall, kProbeNextCall}))};
}

// Conversations in which templates may write marks of reasoning: with a thought
// in a reply, and prompts with the options that turn reasoning on and off.
std::vector<std::string> RenderThoughts(const Tokenizer& tokenizer) {
  std::vector<std::string> texts;
  ChatRequest called = ToolCalls({kProbeCall});
  called.messages[1].reasoning = "tandem0thought";
  texts.push_back(RenderOrEmpty(tokenizer, called));
  ChatRequest plain;
  plain.messages = {Message(ChatRole::kUser, kProbeQuestion),
                    Message(ChatRole::kAssistant, "tandem0answer"),
                    Message(ChatRole::kUser, kProbeQuestion)};
  plain.messages[1].reasoning = "tandem0thought";
  texts.push_back(RenderOrEmpty(tokenizer, plain));
  for (const char* name : {"enable_thinking", "thinking"}) {
    for (const bool value : {true, false}) {
      ChatRequest prompt;
      prompt.messages = {Message(ChatRole::kUser, kProbeQuestion)};
      prompt.options = {{name, value}};
      texts.push_back(RenderOrEmpty(tokenizer, prompt));
    }
  }
  return texts;
}

// True where the template takes what stands before `mark` out of an earlier
// reply, and does not without the mark.
bool SplitsAt(const Tokenizer& tokenizer, absl::string_view mark) {
  const auto render = [&tokenizer](std::string reply) {
    ChatRequest request;
    request.messages = {Message(ChatRole::kUser, kProbeQuestion),
                        Message(ChatRole::kAssistant, std::move(reply)),
                        Message(ChatRole::kUser, kProbeQuestion)};
    return RenderOrEmpty(tokenizer, std::move(request));
  };
  const std::string split =
      render(absl::StrCat("tandem0thought", mark, "tandem0answer"));
  return absl::StrContains(split, "tandem0answer") &&
         !absl::StrContains(split, "tandem0thought") &&
         absl::StrContains(render("tandem0thought tandem0answer"),
                           "tandem0thought");
}

// OK where replies can be in channels.
absl::Status CheckChannelMarks(const Tokenizer& tokenizer) {
  for (const absl::string_view mark : kChannelMarks) {
    const std::optional<TokenId> id = FindToken(tokenizer, mark);
    if (id.has_value() && IsSpecial(tokenizer, *id)) continue;
    return UnsupportedTools(
        absl::StrCat("the model's vocabulary has no control token ", mark,
                     ", which replies in the format harmony have"));
  }
  return absl::OkStatus();
}

// Whether a reply is over with its first message.
bool EndsWithMessage(const Tokenizer& tokenizer) {
  const std::optional<TokenId> end = FindToken(tokenizer, kEndMark);
  return end.has_value() && tokenizer.IsEndOfGeneration(*end);
}

// A format in channels, without tools. Where a reply is over with its first
// message, a grammar can not let reasoning come before the answer.
ReplyFormat ChannelFormat(const Tokenizer& tokenizer) {
  ReplyFormat format = {.answer_begin = kFinalBegin, .has_channels = true};
  if (!EndsWithMessage(tokenizer)) {
    format.reasoning_begin = kAnalysisBegin;
    format.reasoning_end = kAnalysisEnd;
  }
  return format;
}

void DeriveReasoning(const Tokenizer& tokenizer, const RenderedCalls& rendered,
                     ReplyFormat* format) {
  const std::vector<std::string> texts = RenderThoughts(tokenizer);
  const auto is_written = [&texts](absl::string_view mark) {
    return absl::c_any_of(texts, [mark](const std::string& text) {
      return absl::StrContains(text, mark);
    });
  };
  const bool has_channels =
      is_written(kChannelMark) || absl::StrContains(rendered.one, kChannelMark);
  if (has_channels && CheckChannelMarks(tokenizer).ok()) {
    *format = ChannelFormat(tokenizer);
    return;
  }
  for (const auto& [begin, end] : kReasoningMarks) {
    if (!HasToken(tokenizer, begin) || !HasToken(tokenizer, end)) continue;
    if (!is_written(begin) && !is_written(end) && !SplitsAt(tokenizer, end)) {
      continue;
    }
    format->reasoning_begin = std::string(begin);
    format->reasoning_end = std::string(end);
    return;
  }
}

// OK where the model sees tools.
absl::Status CheckToolsAreShown(const Tokenizer& tokenizer,
                                const RenderedCalls& rendered) {
  const absl::Status status = tokenizer.chat_template().Check({});
  if (!status.ok()) {
    return UnsupportedTools(absl::StrCat(
        "tools need a chat template in the model's file: ", status.message()));
  }
  if (!absl::StrContains(rendered.prompt, kProbeTool)) {
    return UnsupportedTools(
        "the model's chat template does not show tools to the model");
  }
  return absl::OkStatus();
}

// OK where replies of `format` can have calls in the way `name`.
absl::Status CheckWayFits(const Tokenizer& tokenizer, const ReplyFormat& format,
                          absl::string_view name) {
  if (format.has_channels && name != kHarmony) {
    return UnsupportedTools(absl::StrCat(
        "the model's replies are in channels, but its chat template writes "
        "calls in the way of ",
        name));
  }
  if (name != kHarmony) return absl::OkStatus();
  TANDEM_RETURN_IF_ERROR(CheckChannelMarks(tokenizer));
  if (EndsWithMessage(tokenizer)) {
    return UnsupportedTools(absl::StrCat(
        "in the model's vocabulary ", kEndMark,
        " ends replies, and in the format harmony it stands before calls"));
  }
  return absl::OkStatus();
}

// Which control tokens the marks have.
void FindControls(const Tokenizer& tokenizer, ReplyFormat* format) {
  const CallMarks& calls = format->calls;
  std::vector<std::string> marks = {
      format->reasoning_begin, format->reasoning_end, format->answer_begin,
      calls.section_begin,     calls.name_begin,      calls.arguments_begin,
      calls.call_end,          calls.separator,       calls.section_end};
  if (format->has_channels) {
    for (const absl::string_view mark : kChannelMarks) marks.emplace_back(mark);
  }
  format->controls.clear();
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!IsSpecial(tokenizer, id)) continue;
    const absl::string_view name =
        tokenizer.TokenText(id, /*skip_special=*/false);
    if (name.empty()) continue;
    if (absl::c_any_of(marks, [name](const std::string& mark) {
          return absl::StrContains(mark, name);
        })) {
      format->controls.push_back({.name = std::string(name), .id = id});
    }
  }
}

// The known way of that name that fits the vocabulary.
const KnownCalls* FindKnown(const Tokenizer& tokenizer,
                            absl::string_view name) {
  for (const KnownCalls& known : AllKnownCalls()) {
    if (known.name != name) continue;
    if (known.token.empty() || HasToken(tokenizer, known.token)) return &known;
  }
  return nullptr;
}

// The format that `rendered` shows.
ReplyFormat Derive(const Tokenizer& tokenizer, const RenderedCalls& rendered) {
  ReplyFormat format;
  DeriveReasoning(tokenizer, rendered, &format);
  format.tools_error = CheckToolsAreShown(tokenizer, rendered);
  if (format.tools_error.ok()) {
    absl::StatusOr<KnownCalls> calls = ReadCalls(rendered);
    format.tools_error = calls.ok()
                             ? CheckWayFits(tokenizer, format, calls->name)
                             : calls.status();
    if (format.tools_error.ok()) {
      format.tool_format = calls->name;
      format.calls = calls->marks;
    }
  }
  FindControls(tokenizer, &format);
  return format;
}

}  // namespace

ReplyFormat DeriveReplyFormat(const Tokenizer& tokenizer) {
  return Derive(tokenizer, RenderCalls(tokenizer));
}

std::string ReplyFormatNames() {
  std::set<std::string> names;
  for (const KnownCalls& known : AllKnownCalls()) names.insert(known.name);
  return absl::StrJoin(names, ", ");
}

absl::StatusOr<ReplyFormat> NamedReplyFormat(absl::string_view name,
                                             const Tokenizer& tokenizer) {
  const KnownCalls* const known = FindKnown(tokenizer, name);
  if (known == nullptr) {
    return InvalidField("reply_format",
                        absl::StrCat("must be one of ", ReplyFormatNames()));
  }
  const bool is_harmony = name == kHarmony;
  if (is_harmony) TANDEM_RETURN_IF_ERROR(CheckChannelMarks(tokenizer));
  const RenderedCalls rendered = RenderCalls(tokenizer);
  ReplyFormat format = Derive(tokenizer, rendered);
  if (format.tool_format == name) return format;
  if (is_harmony) {
    format = ChannelFormat(tokenizer);
  } else if (format.has_channels) {
    format = {};
  }
  format.tool_format.clear();
  format.calls = {};
  format.tools_error = CheckToolsAreShown(tokenizer, rendered);
  if (format.tools_error.ok()) {
    format.tools_error = CheckWayFits(tokenizer, format, name);
  }
  if (format.tools_error.ok()) {
    format.tool_format = known->name;
    format.calls = known->marks;
  }
  FindControls(tokenizer, &format);
  return format;
}

bool StartsInReasoning(const ReplyFormat& format, const Tokenizer& tokenizer,
                       absl::Span<const TokenId> prompt) {
  if (format.reasoning_begin.empty()) return false;
  std::string text;
  for (const TokenId id :
       prompt.last(std::min(prompt.size(), kPromptTokensSeen))) {
    absl::StrAppend(&text, tokenizer.TokenText(id, /*skip_special=*/false));
  }
  return absl::EndsWith(absl::StripTrailingAsciiWhitespace(text),
                        format.reasoning_begin);
}

}  // namespace tandem
