// A conversation with a model: reads lines, runs turns, obeys commands. One
// thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_CHAT_H_
#define TANDEM_TOOLS_TANDEM_CHAT_CHAT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/chat/commands.h"
#include "tools/tandem/chat/conversation.h"
#include "tools/tandem/chat/figures.h"
#include "tools/tandem/chat/input.h"
#include "tools/tandem/chat/screen.h"
#include "tools/tandem/chat/settings.h"

namespace tandem::cli {

struct ChatSetup {
  ConversationOptions conversation = {};
  ChatSettings settings = {};
  // Somebody reads and types: an error is shown and the chat goes on. Else the
  // first one ends it.
  bool is_interactive = false;
};

class Chat {
 public:
  // What they point to outlives the chat.
  struct Parts {
    Client* client = nullptr;
    ChatInput* input = nullptr;
    Screen* screen = nullptr;
  };
  Chat(ChatSetup setup, const Parts& parts);

  // Until the user leaves.
  absl::Status Run();

 private:
  absl::Status Take(const std::string& text);
  absl::Status Obey(const ChatLine& line);
  absl::Status Set(absl::string_view text);
  absl::Status SetSystem(absl::string_view text);
  absl::Status ShowModel();
  absl::Status ShowStats();
  absl::Status Retry(absl::string_view seed);

  // Says `prompt`; an error where nothing of a reply came is the result, and
  // then the conversation is as before.
  absl::Status Say(const std::string& prompt,
                   const v1::GenerationOptions& options);
  // Runs a turn to its end, or to an error.
  absl::Status RunTurn(const v1::TurnRequest& request, ChatTurn* turn);
  void TakeEvent(const client::Event& event, ChatTurn* turn);
  void ShowEnd(const ChatTurn& turn);
  // `error` in the words of a chat.
  absl::Status Explain(const absl::Status& error,
                       const v1::TurnRequest& request) const;

  Conversation conversation_;
  ChatSettings settings_;
  const bool is_interactive_;
  const Parts parts_;
  PlainRounds plain_rounds_;
  std::optional<std::string> unanswered_;  // a prompt whose turn never began
  bool is_legend_shown_ = false;
  bool is_left_ = false;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_CHAT_H_
