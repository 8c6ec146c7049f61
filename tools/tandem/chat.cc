// tandem chat: a conversation at the terminal.

#include "tools/tandem/chat/chat.h"

#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "services/common/signals.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/terminal.h"
#include "tools/tandem/base/text_input.h"
#include "tools/tandem/base/turn_flags.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

struct ChatFlags {
  v1::GenerationOptions generation = {};
  std::string model_id;
  std::string session_id;
  std::optional<std::string> system;
  std::vector<std::string> template_options;
  int64_t timeout_ms = 0;
  bool plain = false;
  bool no_history = false;
};

absl::Status CheckFlags(const ChatFlags& flags) {
  if (flags.plain && flags.system.has_value()) {
    return UsageError(
        "--system does not go with --plain: a plain text has no roles");
  }
  if (flags.plain && !flags.template_options.empty()) {
    return UsageError("--template-option does not go with --plain");
  }
  if (flags.system.has_value()) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(*flags.system, "text of --system"));
  }
  return CheckGenerationOptions(flags.generation);
}

absl::StatusOr<ChatSetup> MakeSetup(const ChatFlags& flags, const Io& io) {
  TANDEM_RETURN_IF_ERROR(CheckFlags(flags));
  ChatSetup setup;
  setup.is_interactive = io.in_is_terminal && io.out_is_terminal;
  setup.settings.generation = flags.generation;
  setup.conversation.system = flags.system;
  setup.conversation.session_id = flags.session_id;
  setup.conversation.is_plain = flags.plain;
  v1::TurnRequest* const base = &setup.conversation.base;
  base->set_model_id(flags.model_id);
  base->set_timeout_ms(flags.timeout_ms);
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TemplateOption> options,
                          ParseTemplateOptions(flags.template_options));
  SetTemplateOptions(options, base);
  return setup;
}

absl::Status CheckTemplate(const v1::ModelInfo& model) {
  if (!model.chat_template().empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the model ", model.model_id(), " has no chat template that can be run",
      model.chat_template_error().empty()
          ? ""
          : absl::StrCat(" (", model.chat_template_error(), ")"),
      ": --plain goes on without one, from the texts as they are"));
}

// Finds the model, which a session that is gone on with has already.
absl::Status FindModel(Client* client, Screen* screen,
                       ConversationOptions* conversation) {
  if (!conversation->session_id.empty()) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(const v1::ModelInfo model,
                          client->FindModel(conversation->base.model_id()));
  if (!conversation->is_plain) TANDEM_RETURN_IF_ERROR(CheckTemplate(model));
  conversation->base.set_model_id(model.model_id());
  screen->Note(absl::StrCat("(", model.model_id(), ", ", model.numerics(),
                            ", context of ", model.context_max(),
                            " tokens; /help lists commands, Ctrl-D leaves)"));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ChatInput>> MakeInput(const ChatFlags& flags,
                                                     const ChatSetup& setup,
                                                     const Io& io) {
  if (!setup.is_interactive) return MakePipedInput(io);
  return MakeTerminalInput(flags.no_history ? "" : DefaultHistoryPath());
}

absl::Status RunChat(const ChatFlags& flags, const ConnectionFlags& connection,
                     const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(ChatSetup setup, MakeSetup(flags, io));
  // Before the threads of the channel: signals are blocked in them too.
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<ChatInput> input,
                          MakeInput(flags, setup, io));
  Screen screen(io, io.out_is_terminal && MayColour(STDOUT_FILENO)
                        ? Screen::Colour::kYes
                        : Screen::Colour::kNo);
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  {
    // The input takes Ctrl-C only while it is asked; nobody waits longer.
    std::optional<SignalWatcher> watcher;
    if (setup.is_interactive) {
      watcher.emplace(
          SignalOptions{.on_first = [] { _exit(kExitInterrupted); }});
    }
    TANDEM_RETURN_IF_ERROR(
        FindModel(client.get(), &screen, &setup.conversation));
  }
  Chat chat(std::move(setup),
            {.client = client.get(), .input = input.get(), .screen = &screen});
  return chat.Run();
}

}  // namespace

void AddChatCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = app->add_subcommand(
      "chat",
      "A conversation at the terminal: line editing, history, and commands "
      "that /help lists. Of standard input that is no terminal each line is a "
      "message.");
  AddModelFlag(command, &flags->model_id);
  command->add_option("--session", flags->session_id,
                      "Id of a session to go on with (/stats and `tandem "
                      "generate --stats` show it)");
  command->add_option("--system", flags->system, "The system's message")
      ->take_last();
  command->add_flag("--plain", flags->plain,
                    "Without the model's chat template: each message is put "
                    "after the text so far as it is");
  command->add_flag("--no-history", flags->no_history,
                    "Neither reads nor writes the file with the lines of "
                    "earlier chats");
  AddTemplateOptionFlag(command, "", &flags->template_options);
  AddTimeoutFlag(command, &flags->timeout_ms);
  AddChatOptions(command, &flags->generation);
  SetExamples(command, {"tandem chat",
                        "tandem chat --system 'Answer briefly.' --max-tokens "
                        "200",
                        "tandem chat --plain --temperature 0 < lines.txt",
                        "tandem chat --session "
                        "0123456789abcdef0123456789abcdef"});
  RunWhenChosen(command, flags, RunChat, line);
}

}  // namespace tandem::cli
