// Messages of a conversation to the prompt that a model was trained on. Plain
// data of the program; any thread.
//
// A file's tokenizer.chat_template is a program (Jinja). It is never run:
// marker strings in it tell which family it belongs to, and the family's format
// stands in a table here. So a hostile template can choose a row, and no more.

#ifndef TANDEM_ENGINE_TOKENIZER_CHAT_TEMPLATE_H_
#define TANDEM_ENGINE_TOKENIZER_CHAT_TEMPLATE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"

namespace tandem {

inline constexpr char kChatTemplateKey[] = "tokenizer.chat_template";

enum class ChatRole { kSystem, kUser, kAssistant };

// "system", "user", "assistant".
absl::string_view ChatRoleName(ChatRole role);

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content;  // UTF-8; plain text whatever it looks like
};

// A part of a rendered prompt. A special one is the template's own marker, to
// be the token of that name; all else, every content among it, is plain text.
struct ChatSegment {
  std::string text;
  bool is_special = false;
};

// Where in a conversation messages stand.
enum class ChatPlace {
  kStart,       // nothing is before them
  kAfterReply,  // after a reply whose end is not yet in the prompt
};

// The format of a family. Text between braces is a marker.
struct ChatFormat {
  absl::string_view name;
  // All of these are in the family's templates; tried in the table's order.
  absl::Span<const absl::string_view> markers;
  // What stands before and after a content.
  absl::string_view system_begin;
  absl::string_view system_end;
  absl::string_view user_begin;
  absl::string_view user_end;
  // What the model goes on from.
  absl::string_view reply_begin;
  // Between reply_begin and the reply of an earlier assistant.
  absl::string_view reply_lead;
  absl::string_view reply_end;
  // The system's text where no message gives one.
  absl::string_view default_system;
  // The system's text stands inside the user's turn, before its content.
  bool system_in_user_turn = false;
  // White space around contents is dropped.
  bool trims_contents = false;
  // The family's tokenizers drop white space after special tokens.
  bool strips_after_special = false;
};

// A file's chat template: which format, and what else the prompt needs.
class ChatTemplate {
 public:
  // No template: Render fails.
  ChatTemplate() = default;
  // Of the template in a file, of any length.
  static ChatTemplate Recognize(absl::string_view source);

  // The family's name; "" where there is no template or none that is known.
  absl::string_view name() const { return format_ ? format_->name : ""; }
  bool is_known() const { return format_ != nullptr; }
  // The prompt of a new conversation begins with BOS.
  bool begins_with_bos() const { return begins_with_bos_; }
  bool strips_after_special() const {
    return format_ != nullptr && format_->strips_after_special;
  }

  // OK, or FAILED_PRECONDITION with UNSUPPORTED_CHAT_TEMPLATE, which says
  // whether there is none or an unknown one.
  absl::Status CheckKnown() const;

  // The prompt for the reply to `messages`: an optional system message, then
  // user and assistant in turn, first and last the user. BOS is not part of it.
  // kAfterReply: the end of the reply before comes first (EndOfReply).
  // is_known() and CheckChatMessages hold.
  std::vector<ChatSegment> Render(absl::Span<const ChatMessage> messages,
                                  ChatPlace place) const;

 private:
  void AppendSystem(absl::string_view content,
                    std::vector<ChatSegment>* segments) const;
  void AppendContent(absl::string_view content,
                     std::vector<ChatSegment>* segments) const;

  const ChatFormat* format_ = nullptr;
  bool has_source_ = false;
  bool begins_with_bos_ = false;
};

// More messages in one turn are refused.
inline constexpr size_t kChatMessagesMax = 1024;

// OK, or INVALID_ARGUMENT with INVALID_OPTIONS for messages that no template
// takes; fields are "[2].role", or "" for all.
absl::Status CheckChatMessages(absl::Span<const ChatMessage> messages);

// All formats, for tests and messages.
absl::Span<const ChatFormat> ChatFormats();

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_CHAT_TEMPLATE_H_
