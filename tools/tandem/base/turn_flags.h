// What `generate`, `run` and `replay` share: the flags of a prompt and of a
// turn, and what was given to them.

#ifndef TANDEM_TOOLS_TANDEM_BASE_TURN_FLAGS_H_
#define TANDEM_TOOLS_TANDEM_BASE_TURN_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/template/chat/chat_template.h"
#include "tandem/v1/generation.pb.h"
#include "tandem/v1/types.pb.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/conversation_flags.h"
#include "tools/tandem/base/generation_flags.h"
#include "tools/tandem/base/response_format_flags.h"
#include "tools/tandem/base/text_input.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {

struct PromptFlags {
  TextSource prompt = {};
  bool chat = false;
  std::optional<std::string> system = {};
  std::vector<std::string> template_options = {};  // "NAME=VALUE"
  bool special = false;
  ConversationFlags conversation = {};  // of commands that have its flags
};

struct TurnFlags : PromptFlags {
  v1::GenerationOptions generation = {};
  ResponseFormatFlags response_format = {};
  std::string receipt_file = {};  // empty: none is written
  bool echo = false;
  bool json = false;
  bool stats = false;
  int64_t timeout_ms = 0;  // 0: none
};

// Parts of them that `chat` has too. `values` and `timeout_ms` outlive
// `command`. `condition` begins the help: "With --chat: ", or nothing.
void AddTemplateOptionFlag(CLI::App* command, const std::string& condition,
                           std::vector<std::string>* values);
void AddModelFlag(CLI::App* command, std::string* model_id);
void AddTimeoutFlag(CLI::App* command, int64_t* timeout_ms);

// What --template-option was given, each as "NAME=VALUE".
absl::StatusOr<std::vector<TemplateOption>> ParseTemplateOptions(
    absl::Span<const std::string> values);
void SetTemplateOptions(const std::vector<TemplateOption>& options,
                        v1::TurnRequest* turn);

// `flags` outlives `command`. The prompt is the command's next positional.
void AddPromptFlags(CLI::App* command, PromptFlags* flags);
// Those of the prompt too.
void AddTurnFlags(CLI::App* command, TurnFlags* flags);

struct TurnInput {
  v1::GenerationOptions options;
  // The prompt: those of the conversation, or these messages, or where there
  // are none a text.
  std::vector<ChatMessage> messages = {};
  std::vector<TemplateOption> template_options = {};  // of messages
  std::string text = {};
  bool parse_special = false;
  // What ConversationFlags say; where it has messages there are no others.
  v1::TurnRequest conversation = {};
};

// Checks the flags, then reads the prompt from where they say. Without options.
absl::StatusOr<TurnInput> ReadPrompt(const PromptFlags& flags, const Io& io);
absl::StatusOr<TurnInput> ReadTurn(const TurnFlags& flags, const Io& io);
// The turn that a service is asked for.
v1::TurnRequest ToRequest(TurnInput input);

// Prints what --json and --stats ask for; else what follows the reply, which a
// ReplyPrinter has printed. Writes the receipt of --receipt.
absl::Status PrintTurn(const TurnFlags& flags, const TurnRecord& record,
                       const Io& io);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_TURN_FLAGS_H_
