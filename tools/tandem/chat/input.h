// Where the lines of a chat come from, and how its user reaches into a reply:
// a terminal, or standard input of another kind, of which each line is a
// message or a command. One thread; OnLost's function is for threads of gRPC.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_INPUT_H_
#define TANDEM_TOOLS_TANDEM_CHAT_INPUT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/client/turn_stream.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/chat/line_editor.h"

namespace tandem::cli {

class ChatInput {
 public:
  using Line = LineEditor::Line;

  virtual ~ChatInput() = default;

  // One message or command. Lines that end in a backslash are joined with the
  // next one by a newline.
  virtual Line Read() = 0;
  // Keeps a line for the history; an error that the user should see.
  virtual absl::Status Remember(const std::string& line) = 0;

  // Around the events of a reply.
  virtual void BeginReply() = 0;
  virtual void EndReply() = 0;
  // The turn's next event. Meanwhile the first Ctrl-C cancels the turn; a
  // second one leaves it. `on_lost` is called, by this thread, when its
  // connection was lost.
  virtual client::NextEvent Next(client::TurnStream* turn,
                                 const std::function<void()>& on_lost) = 0;
  // For CallOptions::on_lost of the turn.
  virtual std::function<void(const client::LostConnection&)> OnLost() = 0;
  // The chat is to end: SIGTERM, or Ctrl-C without a terminal.
  virtual bool is_terminated() const = 0;
};

// At a terminal. Make it before the threads of channels. `history_path`: "" for
// none.
absl::StatusOr<std::unique_ptr<ChatInput>> MakeTerminalInput(
    const std::string& history_path);

// `io` outlives it. Make it before the threads of channels.
std::unique_ptr<ChatInput> MakePipedInput(const Io& io);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_INPUT_H_
