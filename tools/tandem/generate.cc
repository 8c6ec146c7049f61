// tandem generate: one turn, streamed.

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "tools/tandem/client.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/generation_flags.h"
#include "tools/tandem/interrupt.h"
#include "tools/tandem/json_output.h"
#include "tools/tandem/text_input.h"
#include "tools/tandem/turn_report.h"

namespace tandem::cli {
namespace {

struct GenerateFlags {
  TextSource prompt;
  GenerationFlags generation;
  bool chat = false;
  std::optional<std::string> system;
  bool special = false;
  std::string model_id;
  std::string session_id;
  int64_t timeout_ms = 0;
  bool json = false;
  bool stats = false;
};

void AddMessage(v1::ChatRole role, std::string content, v1::TurnRequest* turn) {
  v1::ChatMessage* message = turn->mutable_messages()->add_messages();
  message->set_role(role);
  message->set_content(std::move(content));
}

absl::StatusOr<v1::TurnRequest> MakeTurn(const GenerateFlags& flags,
                                         const Io& io) {
  if (flags.generation.logprobs && !flags.json) {
    return UsageError("--logprobs is printed with --json only: add --json");
  }
  v1::TurnRequest turn;
  TANDEM_ASSIGN_OR_RETURN(*turn.mutable_options(),
                          ToGenerationOptions(flags.generation));
  TANDEM_ASSIGN_OR_RETURN(
      std::string prompt,
      ReadText(flags.prompt, {.what = "prompt", .file_flag = "--prompt-file"},
               io));
  TANDEM_RETURN_IF_ERROR(CheckUtf8(prompt, "prompt"));
  if (flags.system.has_value()) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(*flags.system, "text of --system"));
    AddMessage(v1::CHAT_ROLE_SYSTEM, *flags.system, &turn);
  }
  if (flags.chat || flags.system.has_value()) {
    AddMessage(v1::CHAT_ROLE_USER, std::move(prompt), &turn);
  } else {
    turn.set_text(std::move(prompt));
    turn.set_parse_special(flags.special);
  }
  turn.set_model_id(flags.model_id);
  turn.set_session_id(flags.session_id);
  turn.set_timeout_ms(flags.timeout_ms);
  return turn;
}

void PrintTurn(const GenerateFlags& flags, const TurnRecord& record,
               const Io& io) {
  if (flags.json) {
    PrintJson(TurnJson(record), io.out);
  } else {
    // A shell's prompt belongs on a line of its own.
    const std::string& text = record.tokens.text();
    if (text.empty() || text.back() != '\n') *io.out << "\n";
    io.out->flush();
  }
  if (flags.stats) *io.err << TurnStats(record);
}

absl::Status RunGenerate(const GenerateFlags& flags,
                         const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const v1::TurnRequest turn, MakeTurn(flags, io));
  // The watcher stands before the channel's threads; the client it cancels is
  // there once the channel is.
  absl::Mutex mutex;
  Client* cancellable = nullptr;
  bool cancelled = false;
  InterruptWatcher watcher([&mutex, &cancellable, &cancelled] {
    absl::MutexLock lock(&mutex);
    cancelled = true;
    if (cancellable != nullptr) cancellable->CancelTurn();
  });
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  {
    absl::MutexLock lock(&mutex);
    cancellable = client.get();
    if (cancelled) client->CancelTurn();
  }
  TurnRecord record;
  const auto ended = client->RunTurn(
      turn, {.on_started =
                 [&record](const v1::TurnStarted& started) {
                   record.started = started;
                 },
             .on_tokens =
                 [&record, &flags, &io](const v1::TokensGenerated& tokens) {
                   Append(tokens, &record);
                   if (!flags.json) *io.out << tokens.text() << std::flush;
                 }});
  {
    absl::MutexLock lock(&mutex);
    cancellable = nullptr;
  }
  if (!ended.ok()) {
    if (!flags.json && !record.tokens.text().empty()) *io.out << "\n";
    return ended.status();
  }
  record.ended = *ended;
  record.tokens.mutable_text()->append(ended->text());
  if (!flags.json) *io.out << ended->text();
  PrintTurn(flags, record, io);
  return watcher.interrupted() ? InterruptedError() : absl::OkStatus();
}

}  // namespace

void AddGenerateCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = app->add_subcommand(
      "generate",
      "Generates text after a prompt, printed as it comes. Ctrl-C ends the "
      "turn.");
  command->add_option("prompt", flags->prompt.argument,
                      "The prompt; \"-\" or absent: standard input, byte for "
                      "byte");
  command->add_option("--prompt-file", flags->prompt.file,
                      "Reads the prompt from a file, byte for byte");
  CLI::Option* special = command->add_flag(
      "--special", flags->special,
      "Names of special tokens in the prompt become these tokens");
  command
      ->add_flag("--chat", flags->chat,
                 "Sends the prompt as a user's message, formatted by the "
                 "model's chat template")
      ->excludes(special);
  command
      ->add_option("--system", flags->system,
                   "With --chat, which it implies: the system's message")
      ->take_last()
      ->excludes(special);
  command
      ->add_option("--model", flags->model_id,
                   "Id of the model; may be absent where there is one")
      ->take_last();
  command
      ->add_option("--session", flags->session_id,
                   "Id of a session to continue (--json shows it)")
      ->take_last();
  command
      ->add_option("--timeout-ms", flags->timeout_ms,
                   "Ends the turn after this time; 0: never")
      ->take_last();
  command->add_flag("--json", flags->json,
                    "Prints one object at the end instead of text");
  command->add_flag("--stats", flags->stats,
                    "Prints speed, acceptance and time split to standard "
                    "error");
  AddGenerationFlags(command, &flags->generation);
  command->callback([flags, line] {
    line->run = [flags, line](const Io& io) {
      return RunGenerate(*flags, line->connection, io);
    };
  });
}

}  // namespace tandem::cli
