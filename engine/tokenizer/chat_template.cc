#include "engine/tokenizer/chat_template.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

constexpr absl::string_view kPhi4Markers[] = {"<|im_start|>", "<|im_sep|>"};
constexpr absl::string_view kQwen25Markers[] = {
    "<|im_start|>", "You are Qwen, created by Alibaba Cloud."};
constexpr absl::string_view kSmolLm2Markers[] = {
    "<|im_start|>", "You are a helpful AI assistant named SmolLM"};
constexpr absl::string_view kQwen2Markers[] = {
    "<|im_start|>", "You are a helpful assistant.<|im_end|>"};
constexpr absl::string_view kQwen15Markers[] = {
    "<|im_start|>", "You are a helpful assistant<|im_end|>"};
constexpr absl::string_view kChatMlMarkers[] = {"<|im_start|>"};
constexpr absl::string_view kMistralV7Markers[] = {"[INST]",
                                                   "[SYSTEM_PROMPT] "};
constexpr absl::string_view kMistralV7TekkenMarkers[] = {"[INST]",
                                                         "[SYSTEM_PROMPT]"};
constexpr absl::string_view kMistralV3TekkenMarkers[] = {"[AVAILABLE_TOOLS]",
                                                         "\"[INST]\""};
constexpr absl::string_view kMistralV1ToolMarkers[] = {"[AVAILABLE_TOOLS]",
                                                       "' [INST] '"};
constexpr absl::string_view kMistralV3Markers[] = {"[AVAILABLE_TOOLS]",
                                                   "[INST]"};
constexpr absl::string_view kLlama2Markers[] = {"[INST]", "<<SYS>>"};
constexpr absl::string_view kMistralV1Markers[] = {"[INST]"};
constexpr absl::string_view kPhi4MiniMarkers[] = {
    "<|assistant|>", "<|end|>",
    "'<|' + message['role'] + '|>' + message['content'] + '<|end|>'"};
constexpr absl::string_view kPhi3Markers[] = {"<|assistant|>", "<|end|>"};
// Newlines stand in templates as such or escaped.
constexpr absl::string_view kZephyrMarkers[] = {
    "'<|user|>\n' + message['content'] + eos_token"};
constexpr absl::string_view kZephyrEscapedMarkers[] = {
    "'<|user|>\\n' + message['content'] + eos_token"};
constexpr absl::string_view kGemmaMarkers[] = {"<start_of_turn>"};
constexpr absl::string_view kLlama3Markers[] = {"<|start_header_id|>",
                                                "<|end_header_id|>"};
constexpr absl::string_view kGraniteMarkers[] = {"<|start_of_role|>",
                                                 "<|end_of_role|>"};
constexpr absl::string_view kDeepSeekR1Markers[] = {"<｜User｜>",
                                                    "<｜Assistant｜><think>"};
constexpr absl::string_view kDeepSeekV3Markers[] = {"<｜User｜>",
                                                    "<｜Assistant｜>"};
constexpr absl::string_view kDeepSeekCoderMarkers[] = {"### Instruction:",
                                                       "<|EOT|>"};
constexpr absl::string_view kDeepSeekV2Markers[] = {"'User: '",
                                                    "'Assistant:", "eos_token"};

constexpr ChatFormat ChatMl(absl::string_view name,
                            absl::Span<const absl::string_view> markers,
                            absl::string_view default_system) {
  return {.name = name,
          .markers = markers,
          .system_begin = "{<|im_start|>}system\n",
          .system_end = "{<|im_end|>}\n",
          .user_begin = "{<|im_start|>}user\n",
          .user_end = "{<|im_end|>}\n",
          .reply_begin = "{<|im_start|>}assistant\n",
          .reply_lead = "",
          .reply_end = "{<|im_end|>}\n",
          .default_system = default_system};
}

// The versions before v7 put the system's text into the user's turn.
constexpr ChatFormat Mistral(absl::string_view name,
                             absl::Span<const absl::string_view> markers,
                             absl::string_view user_begin,
                             absl::string_view user_end,
                             absl::string_view reply_lead) {
  return {.name = name,
          .markers = markers,
          .system_begin = "",
          .system_end = "\n\n",
          .user_begin = user_begin,
          .user_end = user_end,
          .reply_begin = "",
          .reply_lead = reply_lead,
          .reply_end = "{</s>}",
          .default_system = "",
          .system_in_user_turn = true};
}

constexpr ChatFormat MistralV7(absl::string_view name,
                               absl::Span<const absl::string_view> markers,
                               absl::string_view system_begin,
                               absl::string_view user_begin,
                               absl::string_view reply_lead) {
  return {.name = name,
          .markers = markers,
          .system_begin = system_begin,
          .system_end = "{[/SYSTEM_PROMPT]}",
          .user_begin = user_begin,
          .user_end = "{[/INST]}",
          .reply_begin = "",
          .reply_lead = reply_lead,
          .reply_end = "{</s>}",
          .default_system = ""};
}

// Also TinyLlama's chat model and StableLM Zephyr.
constexpr ChatFormat Zephyr(absl::Span<const absl::string_view> markers) {
  return {.name = "zephyr",
          .markers = markers,
          .system_begin = "{<|system|>}\n",
          .system_end = "{</s>}\n",
          .user_begin = "{<|user|>}\n",
          .user_end = "{</s>}\n",
          .reply_begin = "{<|assistant|>}\n",
          .reply_lead = "",
          .reply_end = "{</s>}\n",
          .default_system = ""};
}

constexpr ChatFormat DeepSeek(absl::string_view name,
                              absl::Span<const absl::string_view> markers,
                              absl::string_view reply_begin) {
  return {.name = name,
          .markers = markers,
          .system_begin = "",
          .system_end = "",
          .user_begin = "{<｜User｜>}",
          .user_end = "",
          .reply_begin = reply_begin,
          .reply_lead = "",
          .reply_end = "{<｜end▁of▁sentence｜>}",
          .default_system = ""};
}

// More specific markers stand first.
constexpr ChatFormat kFormats[] = {
    {.name = "phi4",
     .markers = kPhi4Markers,
     .system_begin = "{<|im_start|>}system{<|im_sep|>}",
     .system_end = "{<|im_end|>}",
     .user_begin = "{<|im_start|>}user{<|im_sep|>}",
     .user_end = "{<|im_end|>}",
     .reply_begin = "{<|im_start|>}assistant{<|im_sep|>}",
     .reply_lead = "",
     .reply_end = "{<|im_end|>}",
     .default_system = ""},
    ChatMl("qwen2.5", kQwen25Markers,
           "You are Qwen, created by Alibaba Cloud. You are a helpful "
           "assistant."),
    ChatMl("smollm2", kSmolLm2Markers,
           "You are a helpful AI assistant named SmolLM, trained by Hugging "
           "Face"),
    ChatMl("qwen2", kQwen2Markers, "You are a helpful assistant."),
    ChatMl("qwen1.5", kQwen15Markers, "You are a helpful assistant"),
    ChatMl("chatml", kChatMlMarkers, ""),
    MistralV7("mistral-v7", kMistralV7Markers, "{[SYSTEM_PROMPT]} ",
              "{[INST]} ", " "),
    MistralV7("mistral-v7-tekken", kMistralV7TekkenMarkers, "{[SYSTEM_PROMPT]}",
              "{[INST]}", ""),
    Mistral("mistral-v3-tekken", kMistralV3TekkenMarkers, "{[INST]}",
            "{[/INST]}", ""),
    Mistral("mistral-v1", kMistralV1ToolMarkers, " {[INST]} ", " {[/INST]}",
            " "),
    Mistral("mistral-v3", kMistralV3Markers, "{[INST]} ", "{[/INST]}", " "),
    {.name = "llama2",
     .markers = kLlama2Markers,
     .system_begin = "<<SYS>>\n",
     .system_end = "\n<</SYS>>\n\n",
     .user_begin = "{[INST]} ",
     .user_end = " {[/INST]}",
     .reply_begin = "",
     .reply_lead = " ",
     .reply_end = " {</s>}{<s>}",
     .default_system = "",
     .system_in_user_turn = true,
     .trims_contents = true},
    Mistral("mistral-v1", kMistralV1Markers, " {[INST]} ", " {[/INST]}", " "),
    {.name = "phi4-mini",
     .markers = kPhi4MiniMarkers,
     .system_begin = "{<|system|>}",
     .system_end = "{<|end|>}",
     .user_begin = "{<|user|>}",
     .user_end = "{<|end|>}",
     .reply_begin = "{<|assistant|>}",
     .reply_lead = "",
     .reply_end = "{<|end|>}",
     .default_system = ""},
    {.name = "phi3",
     .markers = kPhi3Markers,
     .system_begin = "{<|system|>}\n",
     .system_end = "{<|end|>}\n",
     .user_begin = "{<|user|>}\n",
     .user_end = "{<|end|>}\n",
     .reply_begin = "{<|assistant|>}\n",
     .reply_lead = "",
     .reply_end = "{<|end|>}\n",
     .default_system = "",
     .strips_after_special = true},
    Zephyr(kZephyrMarkers),
    Zephyr(kZephyrEscapedMarkers),
    {.name = "gemma",
     .markers = kGemmaMarkers,
     .system_begin = "",
     .system_end = "\n\n",
     .user_begin = "{<start_of_turn>}user\n",
     .user_end = "{<end_of_turn>}\n",
     .reply_begin = "{<start_of_turn>}model\n",
     .reply_lead = "",
     .reply_end = "{<end_of_turn>}\n",
     .default_system = "",
     .system_in_user_turn = true,
     .trims_contents = true},
    {.name = "llama3",
     .markers = kLlama3Markers,
     .system_begin = "{<|start_header_id|>}system{<|end_header_id|>}\n\n",
     .system_end = "{<|eot_id|>}",
     .user_begin = "{<|start_header_id|>}user{<|end_header_id|>}\n\n",
     .user_end = "{<|eot_id|>}",
     .reply_begin = "{<|start_header_id|>}assistant{<|end_header_id|>}\n\n",
     .reply_lead = "",
     .reply_end = "{<|eot_id|>}",
     .default_system = "",
     .trims_contents = true},
    {.name = "granite",
     .markers = kGraniteMarkers,
     .system_begin = "{<|start_of_role|>}system{<|end_of_role|>}",
     .system_end = "{<|end_of_text|>}\n",
     .user_begin = "{<|start_of_role|>}user{<|end_of_role|>}",
     .user_end = "{<|end_of_text|>}\n",
     .reply_begin = "{<|start_of_role|>}assistant{<|end_of_role|>}",
     .reply_lead = "",
     .reply_end = "{<|end_of_text|>}\n",
     .default_system = ""},
    DeepSeek("deepseek-r1", kDeepSeekR1Markers, "{<｜Assistant｜>}{<think>}\n"),
    DeepSeek("deepseek-v3", kDeepSeekV3Markers, "{<｜Assistant｜>}"),
    {.name = "deepseek-coder",
     .markers = kDeepSeekCoderMarkers,
     .system_begin = "",
     .system_end = "",
     .user_begin = "### Instruction:\n",
     .user_end = "\n",
     .reply_begin = "### Response:\n",
     .reply_lead = "",
     .reply_end = "\n{<|EOT|>}\n",
     .default_system =
         "You are an AI programming assistant, utilizing the Deepseek Coder "
         "model, developed by Deepseek Company, and you only answer questions "
         "related to computer science. For politically sensitive questions, "
         "security and privacy issues, and other non-computer science "
         "questions, you will refuse to answer\n"},
    {.name = "deepseek-v2",
     .markers = kDeepSeekV2Markers,
     .system_begin = "",
     .system_end = "\n\n",
     .user_begin = "User: ",
     .user_end = "\n\n",
     .reply_begin = "Assistant:",
     .reply_lead = " ",
     .reply_end = "{<｜end▁of▁sentence｜>}",
     .default_system = ""},
};

// Appends a part of a format, its markers as special segments.
void AppendFormat(absl::string_view part, std::vector<ChatSegment>* segments) {
  while (!part.empty()) {
    const bool is_special = part[0] == '{';
    if (is_special) part.remove_prefix(1);
    const size_t end = std::min(part.find(is_special ? '}' : '{'), part.size());
    segments->push_back(
        {.text = std::string(part.substr(0, end)), .is_special = is_special});
    part.remove_prefix(is_special ? end + 1 : end);
  }
}

absl::Status BadMessages(std::string field, std::string what) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.reason = kReasonInvalidOptions,
                    .violations = {{.field = field, .description = what}}},
                   absl::StrCat("messages", field, " ", what));
}

}  // namespace

absl::string_view ChatRoleName(ChatRole role) {
  switch (role) {
    case ChatRole::kSystem:
      return "system";
    case ChatRole::kUser:
      return "user";
    case ChatRole::kAssistant:
      return "assistant";
  }
  return "invalid";
}

absl::Span<const ChatFormat> ChatFormats() { return kFormats; }

ChatTemplate ChatTemplate::Recognize(absl::string_view source) {
  ChatTemplate found;
  found.has_source_ = true;
  found.begins_with_bos_ = absl::StrContains(source, "bos_token");
  for (const ChatFormat& format : kFormats) {
    const bool fits = std::all_of(
        format.markers.begin(), format.markers.end(),
        [source](absl::string_view m) { return absl::StrContains(source, m); });
    if (!fits) continue;
    found.format_ = &format;
    break;
  }
  return found;
}

absl::Status ChatTemplate::CheckKnown() const {
  if (is_known()) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      {.reason = kReasonUnsupportedChatTemplate, .violations = {}},
      absl::StrCat("the model's file ",
                   has_source_ ? "has a chat template of an unknown family"
                               : "has no chat template",
                   ": send a prompt as text or token ids instead of messages"));
}

void ChatTemplate::AppendContent(absl::string_view content,
                                 std::vector<ChatSegment>* segments) const {
  if (format_->trims_contents) content = absl::StripAsciiWhitespace(content);
  if (content.empty()) return;
  segments->push_back({.text = std::string(content), .is_special = false});
}

void ChatTemplate::AppendSystem(absl::string_view content,
                                std::vector<ChatSegment>* segments) const {
  AppendFormat(format_->system_begin, segments);
  AppendContent(content, segments);
  AppendFormat(format_->system_end, segments);
}

std::vector<ChatSegment> ChatTemplate::Render(
    absl::Span<const ChatMessage> messages, ChatPlace place) const {
  TANDEM_CHECK(is_known());
  std::vector<ChatSegment> segments;
  if (place == ChatPlace::kAfterReply) {
    AppendFormat(format_->reply_end, &segments);
  }
  // Its own or the default one; waits for the user's turn where it stands
  // inside that.
  absl::string_view system =
      place == ChatPlace::kStart ? format_->default_system : "";
  bool has_system = !system.empty();
  if (!messages.empty() && messages[0].role == ChatRole::kSystem) {
    system = messages[0].content;
    has_system = true;
    messages.remove_prefix(1);
  }
  if (has_system && !format_->system_in_user_turn) {
    AppendSystem(system, &segments);
    has_system = false;
  }
  for (const ChatMessage& message : messages) {
    if (message.role == ChatRole::kAssistant) {
      AppendFormat(format_->reply_begin, &segments);
      AppendFormat(format_->reply_lead, &segments);
      AppendContent(message.content, &segments);
      AppendFormat(format_->reply_end, &segments);
      continue;
    }
    AppendFormat(format_->user_begin, &segments);
    if (has_system) AppendSystem(system, &segments);
    has_system = false;
    AppendContent(message.content, &segments);
    AppendFormat(format_->user_end, &segments);
  }
  AppendFormat(format_->reply_begin, &segments);
  return segments;
}

absl::Status CheckChatMessages(absl::Span<const ChatMessage> messages) {
  if (messages.empty()) return BadMessages("", "must have a message");
  if (messages.size() > kChatMessagesMax) {
    return BadMessages("", absl::StrCat("must have at most ", kChatMessagesMax,
                                        " messages, has ", messages.size()));
  }
  const bool has_system = messages[0].role == ChatRole::kSystem;
  for (size_t i = has_system ? 1 : 0; i < messages.size(); ++i) {
    const bool is_users = (i % 2 == 0) != has_system;
    const ChatRole expected = is_users ? ChatRole::kUser : ChatRole::kAssistant;
    if (messages[i].role == expected) continue;
    return BadMessages(
        absl::StrCat("[", i, "].role"),
        absl::StrCat("must be ", ChatRoleName(expected), ", is ",
                     ChatRoleName(messages[i].role),
                     ": after an optional system message, user and assistant "
                     "take turns, beginning with the user"));
  }
  if (messages.back().role != ChatRole::kUser) {
    return BadMessages(absl::StrCat("[", messages.size() - 1, "].role"),
                       "must be user: the last message is what is answered");
  }
  return absl::OkStatus();
}

}  // namespace tandem
