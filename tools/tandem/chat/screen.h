// What a chat prints: replies, with what was drafted shaded; what the model
// thinks and lines of its own, dim; errors. Where standard output is no
// terminal it has answers and what commands were asked to print, and nothing
// else. One thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_SCREEN_H_
#define TANDEM_TOOLS_TANDEM_CHAT_SCREEN_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/chat/settings.h"

namespace tandem::cli {

class Screen {
 public:
  enum class Colour { kNo, kYes };

  // `io` outlives it.
  Screen(const Io& io, Colour colour) : io_(io), colour_(colour) {}

  // More of a reply. What the model thinks before it answers is dim, after
  // "thinking: ", and on a terminal only.
  void Reply(const v1::TokensGenerated& event, Shade shade);
  void Reply(const v1::TurnEnded& event);
  // Ends the line that a reply has left open.
  void EndReply();
  // Whether text has been shaded since the last call.
  bool TakeShaded();

  // A line about the chat itself, on a terminal only.
  void Note(absl::string_view line);
  // What a command was asked for: whole lines.
  void Print(absl::string_view lines);
  // "tandem: ...", on standard error.
  void Error(const absl::Status& error);

 private:
  // `style`: an escape sequence, or "" for none.
  void Write(absl::string_view text, absl::string_view style);
  void WriteThought(absl::string_view text);
  // Below a thought, if there is one.
  void WriteAnswer(absl::string_view text, absl::string_view style);

  const Io& io_;
  const Colour colour_;
  bool is_line_open_ = false;
  bool is_shaded_ = false;
  bool is_thinking_ = false;  // the last of the reply was a thought
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_SCREEN_H_
