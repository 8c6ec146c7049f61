// tandem replay: a turn again, by its receipt.

#include <memory>
#include <string>
#include <utility>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/interrupt.h"
#include "tools/tandem/base/json_input.h"
#include "tools/tandem/base/receipt_file.h"
#include "tools/tandem/base/text_input.h"
#include "tools/tandem/base/turn_flags.h"
#include "tools/tandem/turns/replay_verdict.h"
#include "tools/tandem/turns/turn_commands.h"

namespace tandem::cli {
namespace {

struct ReplayFlags {
  std::string receipt_file;
  PromptFlags prompt;
  std::string ids_file;
  std::string model_id;
  int64_t timeout_ms = 0;
  bool json = false;
};

bool HasDate(const TurnInput& input) {
  for (const TemplateOption& option : input.template_options) {
    if (option.name == "date") return true;
  }
  return false;
}

// {"token_ids": [...]}, as `tokenize --json` prints it.
absl::StatusOr<v1::TurnRequest> ReadPromptIds(const std::string& path,
                                              const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(
      const std::string text,
      ReadText({.file = path}, {.what = "ids", .file_flag = "--prompt-ids"},
               io));
  const absl::StatusOr<Json> json = ParseJsonObject(text);
  if (!json.ok()) return UsageError(Annotate(json.status(), path).message());
  const auto ids = ReadTokenIds(json->value("token_ids", Json()), "token_ids");
  if (!ids.ok()) return UsageError(Annotate(ids.status(), path).message());
  v1::TurnRequest turn;
  turn.mutable_tokens()->mutable_ids()->Add(ids->begin(), ids->end());
  return turn;
}

absl::StatusOr<v1::TurnRequest> ReadPromptOf(const ReplayFlags& flags,
                                             const ReceiptFile& file,
                                             const Io& io) {
  if (!flags.ids_file.empty()) return ReadPromptIds(flags.ids_file, io);
  TANDEM_ASSIGN_OR_RETURN(TurnInput input, ReadPrompt(flags.prompt, io));
  if (!input.messages.empty() && !file.template_date.empty() &&
      !HasDate(input)) {
    input.template_options.push_back(
        {.name = "date", .value = file.template_date});
  }
  return ToRequest(std::move(input));
}

absl::Status RunReplay(const ReplayFlags& flags,
                       const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const ReceiptFile file,
                          ReadReceipt(flags.receipt_file));
  TANDEM_ASSIGN_OR_RETURN(v1::TurnRequest turn, ReadPromptOf(flags, file, io));
  *turn.mutable_options() = file.receipt.options();
  turn.set_model_id(flags.model_id.empty() ? file.receipt.model_id()
                                           : flags.model_id);
  turn.set_timeout_ms(flags.timeout_ms);
  Interrupt interrupt;
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  interrupt.SetUnderWay([&client] { client->CancelTurn(); });
  TurnRecord record;
  const auto ended =
      client->RunTurn(turn, {.on_started = [](const v1::TurnStarted&) {},
                             .on_tokens =
                                 [&record](const v1::TokensGenerated& tokens) {
                                   Append(tokens, &record);
                                 }});
  interrupt.SetUnderWay(nullptr);
  TANDEM_RETURN_IF_ERROR(ended.status());
  if (interrupt.came()) return InterruptedError();
  record.ended = *ended;
  if (!record.ended.has_receipt()) {
    return absl::FailedPreconditionError(
        absl::StrCat("nothing to compare: the turn was ended by ",
                     FinishReasonName(record.ended.finish_reason()),
                     ", or the service is of a version without receipts"));
  }
  const ReplayVerdict verdict = JudgeReplay(file, record);
  if (flags.json) PrintJson(VerdictJson(verdict), io.out);
  if (!verdict.has_same_prompt || !verdict.has_same_tokens) {
    return absl::FailedPreconditionError(verdict.summary);
  }
  if (!flags.json) *io.out << verdict.summary << "\n";
  return absl::OkStatus();
}

}  // namespace

void AddReplayCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<ReplayFlags>();
  CLI::App* command = app->add_subcommand(
      "replay",
      "Runs a turn again by its receipt and prompt, and says \"equal\", or "
      "what differs and why, with exit code 1.");
  command
      ->add_option("RECEIPT", flags->receipt_file,
                   "File of `generate --receipt`, or what `generate --json` "
                   "printed")
      ->required();
  AddPromptFlags(command, &flags->prompt);
  command
      ->add_option("--prompt-ids", flags->ids_file,
                   "In place of a prompt: a file with all token ids before the "
                   "reply, as `tokenize --json` prints them")
      ->take_last();
  command->add_option("--model", flags->model_id,
                      "Id of the model where it is not the receipt's");
  command->add_flag("--json", flags->json, "Prints one object");
  AddTimeoutFlag(command, &flags->timeout_ms);
  SetExamples(command,
              {"tandem replay receipt.json 'Once upon a time'",
               "tandem replay receipt.json --chat 'Why is the sky blue?'",
               "tandem replay receipt.json --prompt-file letter.txt --json"});
  RunWhenChosen(command, flags, RunReplay, line);
}

}  // namespace tandem::cli
