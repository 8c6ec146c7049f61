// A file's chat templates: messages of a conversation to the text that the
// model was trained on. The file's own template is run (template_program.h);
// nothing is guessed. Immutable after Parse; a value; any thread.
//
// What messages and options bring in is marked as content, so whoever makes
// ids of the result can keep special tokens out of it.

#ifndef TANDEM_ENGINE_TEMPLATE_CHAT_TEMPLATE_H_
#define TANDEM_ENGINE_TEMPLATE_CHAT_TEMPLATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/template/marked_text.h"
#include "engine/template/template_program.h"

namespace tandem {

enum class ChatRole { kSystem, kUser, kAssistant };

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::string content;  // UTF-8; plain text whatever it looks like
};

// A variable that the template may read. Two names are ours: "date" and
// "template" (see ChatRequest).
struct TemplateOption {
  std::string name;
  std::variant<bool, int64_t, double, std::string> value;
};

// What a prompt is made of.
struct ChatRequest {
  std::vector<ChatMessage> messages;
  // Of option "template": the name of the template in the file; "default", or
  // without this option, the one without a name.
  std::vector<TemplateOption> options;
  // What strftime_now tells, "YYYY-MM-DD", where option "date" does not say
  // another day. The time of day is always 0:00.
  std::string today;
};

// The name of the template that has none.
inline constexpr char kDefaultChatTemplate[] = "default";

// Limits of a request; more is refused.
inline constexpr size_t kChatMessagesMax = 1024;
inline constexpr size_t kTemplateOptionsMax = 32;
inline constexpr size_t kTemplateOptionsBytesMax = 4096;  // names and values
// Templates of a file that can be asked for; later ones are not read, nor those
// whose names are not letters, digits, "_", "-" and ".".
inline constexpr size_t kChatTemplatesMax = 32;
// Bytes of their sources together: parsed, a byte takes up to some 140. The
// templates of a file in use have up to 40 KiB.
inline constexpr size_t kChatTemplatesBytesMax = 512 << 10;

// OK, or INVALID_ARGUMENT with INVALID_OPTIONS for messages that no template
// gets: none or too many, or the assistant's as the last one. Fields are
// "messages", "messages[2].role".
absl::Status CheckChatMessages(absl::Span<const ChatMessage> messages);

// OK, or INVALID_ARGUMENT with INVALID_OPTIONS for options over the limits, a
// name that is no identifier or stands for something else in templates, a
// number that is not finite, a "date" that is none. Fields are
// "template_options.NAME".
absl::Status CheckTemplateOptions(absl::Span<const TemplateOption> options);

// The day of `time` in UTC, "YYYY-MM-DD".
std::string UtcDate(absl::Time time);

// The day that strftime_now tells for `request`.
std::string TemplateDate(const ChatRequest& request);

class ChatTemplate {
 public:
  struct Source {
    std::string name;  // "" for the one without a name
    std::string text;
  };
  // Variables that templates know a vocabulary's special tokens by
  // ("bos_token"), and their texts.
  using TokenTexts = std::vector<std::pair<std::string, std::string>>;

  // No template: rendering fails.
  ChatTemplate() = default;
  // A template that can not be parsed, or is beyond the limit of their bytes,
  // is kept as its error.
  static ChatTemplate Parse(absl::Span<const Source> sources,
                            TokenTexts token_texts);

  // OK where the template that `options` choose can be run, else
  // FAILED_PRECONDITION with UNSUPPORTED_CHAT_TEMPLATE, which says what is
  // wrong and where, or INVALID_OPTIONS for a name that the file does not have.
  absl::Status Check(absl::Span<const TemplateOption> options) const;
  // What option "template" may name; "default" first where it is there.
  std::vector<std::string> names() const;

  // The prompt of a new conversation. Errors: those of the checks above;
  // INVALID_OPTIONS with the template's own words where it refuses the messages
  // (raise_exception); UNSUPPORTED_CHAT_TEMPLATE, with line and column, where
  // it fails or does not end within its limits.
  absl::StatusOr<std::vector<TextPart>> Render(
      const ChatRequest& request) const;

  // What goes on from a reply: the end of it, then the prompt. It is what
  // follows the reply in the rendering of a conversation of two other messages
  // and these, so it depends on `request` alone. Errors: as Render;
  // UNSUPPORTED_CHAT_TEMPLATE where what follows a reply depends on the reply
  // or on what was said before it; INVALID_OPTIONS for a system message of
  // which the template takes nothing.
  absl::StatusOr<std::vector<TextPart>> RenderAfterReply(
      const ChatRequest& request) const;

 private:
  struct Entry {
    std::string name;
    absl::StatusOr<std::shared_ptr<const TemplateProgram>> program;
  };

  // The one that `options` choose.
  absl::StatusOr<const TemplateProgram*> Choose(
      absl::Span<const TemplateOption> options) const;
  absl::StatusOr<std::vector<TextPart>> Run(
      const TemplateProgram& program, const ChatRequest& request,
      absl::Span<const ChatMessage> messages) const;
  // What follows a reply; the words of what stands before the new messages come
  // from `salt`.
  absl::StatusOr<std::vector<TextPart>> Tail(const TemplateProgram& program,
                                             const ChatRequest& request,
                                             absl::string_view salt) const;
  // INVALID_OPTIONS that names the first system message without an effect.
  // `tail` is what `request` gives.
  absl::Status CheckSystemIsTaken(const TemplateProgram& program,
                                  const ChatRequest& request,
                                  const std::vector<TextPart>& tail) const;

  std::vector<Entry> entries_;
  TokenTexts token_texts_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_CHAT_TEMPLATE_H_
