// tandem batch: a turn for each line of a file.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/turn_conversion.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/generation_flags.h"
#include "tools/tandem/base/interrupt.h"
#include "tools/tandem/base/terminal.h"
#include "tools/tandem/turns/batch_input.h"
#include "tools/tandem/turns/batch_line.h"
#include "tools/tandem/turns/batch_output.h"
#include "tools/tandem/turns/parallel_turns.h"
#include "tools/tandem/turns/turn_commands.h"

namespace tandem::cli {
namespace {

// As many rows as a pass of a worker takes for little more than one.
constexpr int kConcurrencyDefault = 8;
constexpr int kConcurrencyMax = 256;
// Lines that are read and not written yet, for each turn at once: a turn that
// is this many times longer than others does not hold them up.
constexpr size_t kLinesAhead = 4;

struct BatchFlags {
  std::string input_path;
  std::string output_path;
  BatchDefaults defaults;
  int concurrency = kConcurrencyDefault;
};

// Shows how many of `total` lines are written.
class Progress {
 public:
  Progress(const std::string& name, int64_t total, const Io& io)
      : name_(name),
        total_(total),
        line_(io.err_is_terminal ? std::make_unique<StatusLine>(io.err)
                                 : nullptr),
        tell_tenths_(TellTenths(absl::StrCat("batch: ", name), io.err)) {}

  void Show(const BatchOutput& output) {
    const double part = total_ == 0 ? 1
                                    : static_cast<double>(output.lines()) /
                                          static_cast<double>(total_);
    if (line_ == nullptr) return tell_tenths_(part);
    line_->Show(absl::StrCat(
        ProgressBar(name_, part), " ", output.lines(), " of ", total_,
        output.failed() == 0 ? ""
                             : absl::StrCat(", ", output.failed(), " failed")));
  }

 private:
  const std::string name_;
  const int64_t total_;
  const std::unique_ptr<StatusLine> line_;
  const std::function<void(double)> tell_tenths_;
};

absl::StatusOr<int64_t> CountLines(const std::string& path) {
  TANDEM_ASSIGN_OR_RETURN(BatchInput input, BatchInput::Open(path));
  std::string line;
  while (input.Next(&line)) {
  }
  return input.lines();
}

// Lines whose turns run, in order.
class Run {
 public:
  Run(const BatchFlags& flags, Client* client, BatchInput input)
      : flags_(flags),
        client_(client),
        turns_(client, flags.concurrency),
        input_(std::move(input)) {}

  void Cancel() { turns_.Cancel(); }

  // Writes all lines. Errors end the batch, as does an interrupt.
  absl::Status WriteTo(BatchOutput* output, const Interrupt& interrupt,
                       Progress* progress) {
    progress->Show(*output);
    while (Fill()) {
      const absl::StatusOr<Json> line = Take();
      if (interrupt.came()) return InterruptedError();
      if (!line.ok()) {
        return Annotate(line.status(),
                        absl::StrCat("stopped after ", output->lines(),
                                     " lines, to be gone on with"));
      }
      TANDEM_RETURN_IF_ERROR(output->Add(*line));
      progress->Show(*output);
    }
    return absl::OkStatus();
  }

 private:
  // Begins turns of the next lines, as far as there is place; false where there
  // is none left to wait for.
  bool Fill() {
    const size_t most = kLinesAhead * static_cast<size_t>(flags_.concurrency);
    std::string line;
    while (pending_.size() < most && input_.Next(&line)) {
      BatchLine parsed = ParseBatchLine(line, input_.lines(), flags_.defaults);
      absl::Status status = parsed.turn.status();
      if (status.ok()) status = client_->CheckTurnBytes(*parsed.turn);
      if (status.ok()) turns_.Add(*std::move(parsed.turn));
      pending_.push_back(
          {.name = std::move(parsed.name), .error = std::move(status)});
    }
    return !pending_.empty();
  }

  // The output of the oldest line; waits for its turn. Errors end the batch.
  absl::StatusOr<Json> Take() {
    const Pending oldest = std::move(pending_.front());
    pending_.pop_front();
    if (!oldest.error.ok()) return ErrorLine(oldest.name, oldest.error);
    const absl::StatusOr<TurnRecord> record = turns_.Take();
    if (!record.ok()) {
      if (IsErrorOfLine(record.status())) {
        return ErrorLine(oldest.name, record.status());
      }
      return client_->Explain(record.status(), {});
    }
    if (!HasReceipt(record->ended.finish_reason())) {
      return absl::AbortedError(absl::StrCat(
          "the turn of line ", oldest.name.id.dump(), " was ended by ",
          FinishReasonName(record->ended.finish_reason())));
    }
    return ResultLine(oldest.name, *record);
  }

  struct Pending {
    BatchLineName name;
    absl::Status error;  // OK: its turn runs
  };

  const BatchFlags& flags_;
  Client* const client_;
  ParallelTurns turns_;
  BatchInput input_;
  std::deque<Pending> pending_;
};

absl::Status RunBatch(const BatchFlags& flags,
                      const ConnectionFlags& connection, const Io& io) {
  TANDEM_RETURN_IF_ERROR(CheckGenerationOptions(flags.defaults.options));
  TANDEM_ASSIGN_OR_RETURN(const int64_t total, CountLines(flags.input_path));
  TANDEM_ASSIGN_OR_RETURN(BatchInput input, BatchInput::Open(flags.input_path));
  TANDEM_ASSIGN_OR_RETURN(BatchOutput output,
                          BatchOutput::Open({.path = flags.output_path,
                                             .input_path = flags.input_path,
                                             .defaults = flags.defaults}));
  std::string done;
  while (input.lines() < output.lines()) input.Next(&done);
  Interrupt interrupt;
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  absl::Status status;
  {
    Progress progress(flags.output_path, total, io);
    Run run(flags, client.get(), std::move(input));
    interrupt.SetUnderWay([&run] { run.Cancel(); });
    status = run.WriteTo(&output, interrupt, &progress);
    interrupt.SetUnderWay(nullptr);
  }
  TANDEM_RETURN_IF_ERROR(status);
  TANDEM_RETURN_IF_ERROR(output.Sync());
  if (output.failed() == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      output.failed(), " of ", total, " lines failed: ", flags.output_path,
      " has an \"error\" for each"));
}

}  // namespace

void AddBatchCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<BatchFlags>();
  CLI::App* command = app->add_subcommand(
      "batch",
      "Runs a turn for each line of a file, several at once, and writes what "
      "came of them in the same order. Begun again it goes on where it "
      "stopped.");
  command
      ->add_option("IN", flags->input_path,
                   "The lines: objects with \"prompt\" or \"messages\" and, as "
                   "they need, \"id\", \"model_id\" and options, such as "
                   "\"max_tokens\"")
      ->required();
  command
      ->add_option("OUT", flags->output_path,
                   "A line for each: what came of it, or its \"error\"")
      ->required();
  command->add_option("--model", flags->defaults.model_id,
                      "Id of the model of lines without \"model_id\"");
  AddValue(command, "--concurrency", &flags->concurrency,
           WholeNumber(1, kConcurrencyMax), "Turns at once");
  AddGenerationFlags(command, &flags->defaults.options);
  SetExamples(command, {"tandem batch questions.jsonl answers.jsonl",
                        "tandem batch questions.jsonl answers.jsonl "
                        "--max-tokens 64 --temperature 0 --concurrency 32"});
  RunWhenChosen(command, flags, RunBatch, line);
}

}  // namespace tandem::cli
