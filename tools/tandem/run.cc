// tandem run: one turn of a model in this process, streamed.

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/model/model_store.h"
#include "engine/session/inference_session.h"
#include "engine/template/chat_template.h"
#include "engine/tokenizer/chat_turn.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/options_conversion.h"
#include "services/common/turn_conversion.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/interrupt.h"
#include "tools/tandem/service_terms.h"
#include "tools/tandem/turn_flags.h"
#include "tools/tandem/turn_report.h"

namespace tandem::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kTarget[] = "model";
constexpr char kDraft[] = "draft";

struct RunFlags {
  std::string file;
  std::string draft_file;
  TurnFlags turn;
  std::string numerics;
  int threads = 0;
  int64_t context = 0;
};

int64_t MicrosSince(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() -
                                                               start)
      .count();
}

// A line on standard error while a model loads, where that is a terminal. It is
// taken away at the end.
class LoadingLine {
 public:
  LoadingLine(std::string name, const Io& io)
      : name_(std::move(name)), err_(io.err), is_shown_(io.err_is_terminal) {}
  ~LoadingLine() {
    if (percent_ >= 0) *err_ << "\r\x1b[K" << std::flush;
  }

  void Tell(double fraction) {
    const int percent = static_cast<int>(fraction * 100);
    if (!is_shown_ || percent == percent_) return;
    percent_ = percent;
    constexpr int kWidth = 30;
    const int full = percent * kWidth / 100;
    *err_ << "\rloading " << name_ << " [" << std::string(full, '#')
          << std::string(kWidth - full, '.') << "] " << percent << "%\x1b[K"
          << std::flush;
  }

 private:
  const std::string name_;
  std::ostream* const err_;
  const bool is_shown_;
  int percent_ = -1;  // shown; below 0: nothing
};

std::string ModelName(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

absl::Status CheckFlags(const RunFlags& flags) {
  std::error_code ignored;  // a missing file is told when it is opened
  const std::optional<std::string>& prompt = flags.turn.prompt.argument;
  if (prompt.has_value() && absl::EndsWith(*prompt, ".gguf") &&
      std::filesystem::exists(*prompt, ignored)) {
    return UsageError(absl::StrCat(
        "the prompt \"", *prompt,
        "\" is a model file: run takes one FILE; a "
        "draft model is given by --draft, a prompt of this name by standard "
        "input"));
  }
  if (!flags.draft_file.empty() &&
      std::filesystem::equivalent(flags.file, flags.draft_file, ignored)) {
    return UsageError(
        absl::StrCat("--draft ", flags.draft_file,
                     " is the model itself: a draft model is a smaller one"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Model>> LoadModel(const std::string& id,
                                                       const std::string& file,
                                                       const RunFlags& flags,
                                                       ModelStore* store,
                                                       const Io& io) {
  if (file.empty()) return UsageError("the name of the model's file is empty");
  LoadingLine line(std::filesystem::path(file).filename().string(), io);
  ModelOptions options;
  options.threads = flags.threads;
  // Called by this Get alone: a store without a bound loads once.
  options.progress = [&line](double fraction) { line.Tell(fraction); };
  options.numerics = ParseNumericsMode(flags.numerics);
  TANDEM_RETURN_IF_ERROR(store->AddFile(id, file, options));
  return store->Get(id);
}

// What is wrong with the models, the prompt or the options, in the terms of the
// command line.
absl::Status Explain(const absl::Status& status, const RunFlags& flags) {
  if (absl::IsResourceExhausted(status)) {
    return MakeError(
        status.code(), GetErrorDetail(status).value_or(ErrorDetail{}),
        absl::StrCat(flags.file, ": ", status.message(),
                     " (a smaller --max-tokens or --context takes less)"));
  }
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (detail.has_value() && detail->reason == kReasonVocabularyMismatch) {
    return Annotate(status, "--draft " + flags.draft_file);
  }
  if (detail.has_value() && detail->reason == kReasonContextExceeded) {
    return Annotate(status, flags.file);
  }
  const absl::Status told = InFlagTerms(status, {});
  if (detail.has_value() && detail->reason == kReasonInvalidOptions) {
    return UsageError(told.message());
  }
  return told;
}

struct EncodedInput {
  std::vector<TokenId> ids;
  std::string template_date = {};  // of a chat
};

absl::StatusOr<EncodedInput> EncodeInput(const TurnInput& input,
                                         const RunFlags& flags,
                                         const Tokenizer& tokenizer) {
  EncodedInput encoded;
  if (!input.messages.empty()) {
    const ChatRequest request = {.messages = input.messages,
                                 .options = input.template_options,
                                 .today = UtcDate(absl::Now())};
    absl::StatusOr<std::vector<TokenId>> ids =
        EncodeChatTurn(tokenizer, request, /*last=*/std::nullopt);
    if (!ids.ok()) return Explain(ids.status(), flags);
    encoded.ids = *std::move(ids);
    encoded.template_date = TemplateDate(request);
    return encoded;
  }
  encoded.ids = tokenizer.Encode(
      input.text,
      {.add_bos = tokenizer.adds_bos(), .parse_special = input.parse_special});
  if (encoded.ids.empty()) {
    return UsageError(
        "the prompt is empty, and the model has no token to begin with");
  }
  return encoded;
}

struct LoadedModels {
  std::shared_ptr<const Model> target;
  int64_t load_us = 0;
};

absl::StatusOr<LoadedModels> LoadModels(const RunFlags& flags,
                                        ModelStore* store, const Io& io) {
  const Clock::time_point began = Clock::now();
  LoadedModels loaded;
  TANDEM_ASSIGN_OR_RETURN(loaded.target,
                          LoadModel(kTarget, flags.file, flags, store, io));
  const Position context = loaded.target->config().context_length;
  if (flags.context > context) {
    return UsageError(absl::StrCat("--context ", flags.context,
                                   ": the model in ", flags.file, " has ",
                                   context, " at most"));
  }
  if (!flags.draft_file.empty()) {
    const absl::Status status =
        LoadModel(kDraft, flags.draft_file, flags, store, io).status();
    if (!status.ok()) return Annotate(status, "--draft");
  }
  loaded.load_us = MicrosSince(began);
  return loaded;
}

// Runs the turn to its end, printing its text as it comes.
absl::Status Stream(const RunFlags& flags, InferenceSession* session,
                    TurnRecord* record, const Io& io) {
  const Clock::time_point began = Clock::now();
  v1::SpeculationStats& stats = *record->ended.mutable_speculation();
  size_t printed = 0;
  absl::Status status;
  while (status.ok()) {
    absl::StatusOr<std::optional<SampledToken>> token = session->NextToken();
    status = token.status();
    if (status.ok() && token->has_value()) {
      if (record->tokens.token_ids().empty()) {
        stats.set_first_token_us(MicrosSince(began));
      }
      record->tokens.add_token_ids((*token)->id);
      if (flags.turn.generation.logprobs) {
        *record->tokens.add_logprobs() = LogprobsToProto(**token);
      }
    }
    const std::string& text = session->text();
    if (!flags.turn.json && printed < text.size()) {
      *io.out << absl::string_view(text).substr(printed) << std::flush;
    }
    printed = text.size();
    if (status.ok() && !token->has_value()) break;
  }
  if (!status.ok()) {
    if (!flags.turn.json && printed > 0) *io.out << "\n";
    return Explain(status, flags);
  }
  stats.set_total_us(MicrosSince(began));
  stats.set_draft_us(session->times().draft_us);
  stats.set_verify_us(session->times().verify_us);
  SetCounts(session->speculation(), &stats);
  record->started.set_seed(session->seed());
  record->started.set_fingerprint(session->fingerprint());
  record->tokens.set_text(session->text());
  record->ended.set_finish_reason(ToProto(*session->finish_reason()));
  *record->ended.mutable_usage() = ToProto(session->usage());
  return absl::OkStatus();
}

absl::Status RunRun(const RunFlags& flags, const Io& io) {
  TANDEM_RETURN_IF_ERROR(CheckFlags(flags));
  TANDEM_ASSIGN_OR_RETURN(const TurnInput input, ReadTurn(flags.turn, io));
  ModelStore store;
  TANDEM_ASSIGN_OR_RETURN(const LoadedModels models,
                          LoadModels(flags, &store, io));
  TANDEM_ASSIGN_OR_RETURN(
      const EncodedInput prompt,
      EncodeInput(input, flags, models.target->tokenizer()));

  // Until here Ctrl-C ends the process. The watcher stands before the engines'
  // threads; the session that it interrupts is there once they are.
  absl::Mutex mutex;
  InferenceSession* interruptible = nullptr;
  InterruptWatcher watcher([&mutex, &interruptible] {
    absl::MutexLock lock(&mutex);
    if (interruptible != nullptr) interruptible->Interrupt();
  });
  GenerateOptions options;
  options.generation = FromProto(input.options);
  if (!flags.draft_file.empty()) options.draft_model_id = kDraft;
  options.engine.threads = flags.threads;
  options.engine.context_max = flags.context;
  const absl::StatusOr<std::unique_ptr<InferenceSession>> session =
      InferenceSession::Create(store, kTarget, prompt.ids, options);
  if (!session.ok()) return Explain(session.status(), flags);
  {
    absl::MutexLock lock(&mutex);
    interruptible = session->get();
    if (watcher.interrupted()) interruptible->Interrupt();
  }
  TurnRecord record;
  record.in_process = true;
  if (flags.turn.echo && !flags.turn.json) *io.out << input.text << std::flush;
  record.started.set_model_id(ModelName(flags.file));
  record.started.set_template_date(prompt.template_date);
  const absl::Status status = Stream(flags, session->get(), &record, io);
  {
    absl::MutexLock lock(&mutex);
    interruptible = nullptr;
  }
  TANDEM_RETURN_IF_ERROR(status);
  PrintTurn(flags.turn, record, io);
  if (flags.turn.stats) {
    *io.err << absl::StreamFormat("models: loaded in %.2f s\n",
                                  static_cast<double>(models.load_us) / 1e6);
  }
  return watcher.interrupted() ? InterruptedError() : absl::OkStatus();
}

}  // namespace

void AddRunCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app->add_subcommand(
      "run",
      "Generates text with a model file, in this process and without a "
      "coordinator, printed as it comes. Ctrl-C ends the turn. The same model, "
      "options and seed give the text that a service gives.");
  command->add_option("FILE", flags->file, "The model: a GGUF file")
      ->required();
  AddTurnFlags(command, &flags->turn);
  command
      ->add_option("--draft", flags->draft_file,
                   "A smaller model of the same vocabulary that drafts: the "
                   "text stays, its speed changes")
      ->take_last();
  command
      ->add_option("--threads", flags->threads,
                   "Threads that compute; 0: one per CPU")
      ->take_last()
      ->check(WholeNumber(0, 1024))
      ->capture_default_str();
  command
      ->add_option("--context", flags->context,
                   "Tokens of prompt and text together, at most; 0: what the "
                   "model allows")
      ->take_last()
      ->check(WholeNumber(int64_t{0}, int64_t{1} << 31))
      ->capture_default_str();
  command
      ->add_option("--numerics", flags->numerics,
                   "Default: what suits the file")
      ->take_last()
      ->check(OneOf({"int8", "int8+float", "bf16", "f32"}));
  SetExamples(command,
              {"tandem run model.gguf 'Once upon a time' --max-tokens 40",
               "tandem run model.gguf --chat 'Why is the sky blue?' --stats",
               "tandem run model.gguf --draft small.gguf < letter.txt"});
  command->callback([flags, line] {
    line->run = [flags](const Io& io) { return RunRun(*flags, io); };
  });
}

}  // namespace tandem::cli
