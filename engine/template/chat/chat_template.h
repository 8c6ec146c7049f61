// A file's chat templates: messages of a conversation to the text that the
// model was trained on. The file's own template is run (template_program.h);
// nothing is guessed. Immutable after Parse; a value; any thread.
//
// What messages and options bring in is marked as content, so whoever makes
// ids of the result can keep special tokens out of it.

#ifndef TANDEM_ENGINE_TEMPLATE_CHAT_CHAT_TEMPLATE_H_
#define TANDEM_ENGINE_TEMPLATE_CHAT_CHAT_TEMPLATE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/template/chat/chat_request.h"
#include "engine/template/chat/chat_values.h"
#include "engine/template/chat/template_options.h"
#include "engine/template/marked_text.h"
#include "engine/template/template_program.h"
#include "engine/template/template_value.h"

namespace tandem {

// The name of the template that has none.
inline constexpr char kDefaultChatTemplate[] = "default";

// Templates of a file that can be asked for; later ones are not read, nor those
// whose names are not letters, digits, "_", "-" and ".".
inline constexpr size_t kChatTemplatesMax = 32;
// Bytes of their sources together: parsed, a byte takes up to some 140. The
// templates of a file in use have up to 40 KiB.
inline constexpr size_t kChatTemplatesBytesMax = 512 << 10;

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
  // is kept as its error. `reply_ends`: the texts of tokens that end a reply.
  static ChatTemplate Parse(absl::Span<const Source> sources,
                            TokenTexts token_texts,
                            std::vector<std::string> reply_ends = {});

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
  // and these, so it depends on `request` alone. Where messages of tools come
  // first, that reply called them. Errors: as Render; UNSUPPORTED_CHAT_TEMPLATE
  // where what follows a reply depends on the reply or on what was said before
  // it; INVALID_OPTIONS for a system message of which the template takes
  // nothing, and for a tool's message without an id or a name that the template
  // writes.
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
  // A request and what is made of it once.
  struct Job;
  // What stands before the new messages of a later turn.
  struct EarlierTurn;

  absl::StatusOr<Job> MakeJob(const ChatRequest& request) const;
  // Renders `messages`, which are values, instead of the request's.
  absl::StatusOr<std::vector<TextPart>> Run(
      const Job& job, std::vector<TemplateValue> messages) const;
  // The form in which the template writes calls of tools, found by trying.
  ChatForm FindForm(const Job& job) const;
  // What follows a reply; the words of what stands before the new messages come
  // from `salt`.
  absl::StatusOr<std::vector<TextPart>> Tail(const Job& job,
                                             absl::string_view salt) const;
  // `tail`, which follows the last word of calls of tools, without the rest of
  // the calls.
  absl::StatusOr<std::vector<TextPart>> TakeCallsAway(
      const EarlierTurn& earlier, std::vector<TextPart> tail) const;
  // INVALID_OPTIONS that names the first system message without an effect.
  // `tail` is what the job gives.
  absl::Status CheckSystemIsTaken(const Job& job,
                                  const std::vector<TextPart>& tail) const;

  std::vector<Entry> entries_;
  TokenTexts token_texts_;
  std::vector<std::string> reply_ends_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_CHAT_CHAT_TEMPLATE_H_
