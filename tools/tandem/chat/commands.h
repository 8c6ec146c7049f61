// What a line of a chat is: a message to the model, or a command of the chat's
// own, which begins with "/". Pure functions; any thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_COMMANDS_H_
#define TANDEM_TOOLS_TANDEM_CHAT_COMMANDS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tandem::cli {

enum class ChatCommand {
  kHelp,
  kModel,
  kNew,
  kQuit,
  kRetry,
  kSave,
  kSet,
  kStats,
  kSystem,
};

struct ChatLine {
  std::optional<ChatCommand> command = {};  // none: a message
  bool overwrites = false;                  // "/save! FILE"
  // The message, or what stands after the command, without the spaces around
  // it.
  std::string text = {};
};

// "//" begins a message that begins with "/". A usage error names the nearest
// command for an unknown one, and what a command takes for a wrong use of it.
absl::StatusOr<ChatLine> ParseChatLine(absl::string_view line);

// A line for each command, and one for messages.
std::string ChatHelp();

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_COMMANDS_H_
