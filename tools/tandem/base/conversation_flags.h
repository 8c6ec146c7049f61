// The flags of a conversation that is more than a prompt: --messages, --tools,
// --tool-choice and --split-reply. The files are JSON as OpenAI's API has it.

#ifndef TANDEM_TOOLS_TANDEM_BASE_CONVERSATION_FLAGS_H_
#define TANDEM_TOOLS_TANDEM_BASE_CONVERSATION_FLAGS_H_

#include <string>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

struct ConversationFlags {
  std::string messages_file = {};  // "-": standard input; empty: none
  std::string tools_file = {};     // empty: none
  std::string tool_choice = {};    // empty: not given
  bool split_reply = false;
};

// `flags` outlives `command`.
void AddConversationFlags(CLI::App* command, ConversationFlags* flags);

// Sets what the flags say of a turn, reading their files: messages, tools,
// which of them are called, and whether the reply is split. A usage error names
// the flag, the file, and the place in it.
absl::Status ReadChat(const ConversationFlags& flags, const Io& io,
                      v1::TurnRequest* turn);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_CONVERSATION_FLAGS_H_
