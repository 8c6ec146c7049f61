// tandem generate: one turn, streamed.

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "engine/base/status.h"
#include "engine/sampling/gen_options.h"
#include "services/client/joined_reply.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/conversation_flags.h"
#include "tools/tandem/base/interrupt.h"
#include "tools/tandem/base/reply_printer.h"
#include "tools/tandem/base/terminal_text.h"
#include "tools/tandem/base/turn_flags.h"
#include "tools/tandem/base/turn_report.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/turns/samples.h"

namespace tandem::cli {
namespace {

// The text may stand in mid-line on the same terminal.
constexpr char kLost[] =
    "\ntandem: the connection is lost; the text goes on when it is back\n";
constexpr char kStoreAway[] =
    "\ntandem: the service's store is away; the turn goes on when it is back\n";

struct GenerateFlags {
  TurnFlags turn;
  std::string model_id;
  std::string session_id;
  int samples = 1;
  std::optional<int> prompt_logprobs;
};

absl::Status CheckPromptLogprobs(const GenerateFlags& flags) {
  if (!flags.prompt_logprobs.has_value()) return absl::OkStatus();
  if (!flags.turn.json) {
    return UsageError(
        "--prompt-logprobs is printed with --json only: add --json");
  }
  if (flags.samples > 1) {
    return UsageError(
        "--prompt-logprobs is the same for all samples: leave "
        "--samples away");
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::TurnRequest> MakeTurn(const GenerateFlags& flags,
                                         const Io& io) {
  TANDEM_RETURN_IF_ERROR(CheckPromptLogprobs(flags));
  TANDEM_ASSIGN_OR_RETURN(TurnInput input, ReadTurn(flags.turn, io));
  v1::TurnRequest turn = ToRequest(std::move(input));
  turn.set_model_id(flags.model_id);
  turn.set_session_id(flags.session_id);
  turn.set_timeout_ms(flags.turn.timeout_ms);
  if (flags.prompt_logprobs.has_value()) {
    turn.set_prompt_logprobs(*flags.prompt_logprobs);
  }
  if (flags.samples > 1) {
    TANDEM_RETURN_IF_ERROR(CheckSamples(flags.turn, turn));
  }
  return turn;
}

void PrintSession(const GenerateFlags& flags, const TurnRecord& record,
                  const Io& io) {
  // A script reads neither this nor anything else but an error there.
  const bool is_news = record.started.turn() == 1 && !flags.turn.json;
  if (flags.turn.stats || (io.err_is_terminal && is_news)) {
    *io.err << SessionLine(record);
  }
}

absl::Status RunSeveral(const GenerateFlags& flags, const v1::TurnRequest& turn,
                        Client* client, Interrupt* interrupt, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const TurnRecord first,
                          RunSamples({.flags = flags.turn,
                                      .turn = turn,
                                      .count = flags.samples,
                                      .client = client,
                                      .interrupt = interrupt},
                                     io));
  PrintSession(flags, first, io);
  return interrupt->came() ? InterruptedError() : absl::OkStatus();
}

absl::Status RunGenerate(const GenerateFlags& flags,
                         const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const v1::TurnRequest turn, MakeTurn(flags, io));
  Interrupt interrupt;
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  if (flags.samples > 1) {
    return RunSeveral(flags, turn, client.get(), &interrupt, io);
  }
  interrupt.SetUnderWay([&client] { client->CancelTurn(); });
  TurnRecord record;
  record.is_chat = turn.has_messages();
  ReplyPrinter printer(io, ReplyPrinter::ColourFor(io));
  const auto ended = client->RunTurn(
      turn, {.on_started =
                 [&record, &flags, &turn, &io](const v1::TurnStarted& started) {
                   record.started = started;
                   if (flags.turn.echo && !flags.turn.json) {
                     PrintText(turn.text(), io);
                   }
                 },
             .on_tokens =
                 [&](const v1::TokensGenerated& tokens) {
                   Append(tokens, &record);
                   if (!flags.turn.json) {
                     printer.Print(client::PartsOf(tokens));
                   }
                 },
             .on_lost =
                 [&io](const client::LostConnection& lost) {
                   if (!io.err_is_terminal || lost.attempt > 1) return;
                   const auto detail = GetErrorDetail(lost.error);
                   const bool is_store =
                       detail.has_value() &&
                       detail->reason == kReasonStoreUnavailable;
                   *io.err << (is_store ? kStoreAway : kLost) << std::flush;
                 },
             .on_prompt =
                 [&record](const v1::PromptScored& prompt) {
                   Append(prompt, &record);
                 }});
  interrupt.SetUnderWay(nullptr);
  if (!ended.ok()) {
    if (!flags.turn.json && !record.tokens.text().empty()) *io.out << "\n";
    return ended.status();
  }
  End(*ended, &record);
  if (!flags.turn.json) printer.Print(client::PartsOf(*ended));
  const absl::Status status = PrintTurn(flags.turn, record, io);
  PrintSession(flags, record, io);
  return interrupt.came() ? InterruptedError() : status;
}

}  // namespace

void AddGenerateCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = app->add_subcommand(
      "generate",
      "Generates text after a prompt, printed as it comes. Ctrl-C ends the "
      "turn.");
  AddTurnFlags(command, &flags->turn);
  AddConversationFlags(command, &flags->turn.conversation);
  AddModelFlag(command, &flags->model_id);
  command->add_option(
      "--session", flags->session_id,
      "Id of a session to continue (--stats and --json show it)");
  command
      ->add_option("--prompt-logprobs", flags->prompt_logprobs,
                   "With --json: log-probabilities of the prompt's tokens, and "
                   "of this many alternatives to each")
      ->check(WholeNumber(0, kLogprobsLimit))
      ->take_last();
  AddValue(command, "-n,--samples", &flags->samples,
           WholeNumber(1, kChoicesLimit),
           "Replies to the prompt under one seed; the first is that of 1, and "
           "the only one in the session. With --temperature 0 all are the "
           "same. With --json one object a line");
  SetExamples(
      command,
      {"tandem generate 'Once upon a time'",
       "tandem generate --chat --system 'Answer briefly.' 'Why is the "
       "sky blue?'",
       "tandem generate --chat --tools tools.json --json 'What time is it?'",
       "tandem generate --messages conversation.json --tools tools.json "
       "--tool-choice required --json",
       "tandem generate --prompt-file letter.txt --max-tokens 100 "
       "--temperature 0",
       "tandem generate 'Once upon a time' --seed 7 --stats",
       "tandem generate 'Once upon a time' --samples 4 --max-tokens 40",
       "tandem generate 'Once upon a time' --receipt receipt.json",
       "tandem generate 'An animal as JSON: ' --json-schema animal.json",
       "tandem generate 'Is it so? ' --choice yes --choice no",
       "tandem generate ' And then' --session "
       "0123456789abcdef0123456789abcdef"});
  RunWhenChosen(command, flags, RunGenerate, line);
}

}  // namespace tandem::cli
