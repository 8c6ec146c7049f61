// tandem run: one turn of a model in this process, streamed.

#include <algorithm>
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
#include "absl/time/clock.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/model/memory_account.h"
#include "engine/model/model_store.h"
#include "engine/sampling/gen_options.h"
#include "engine/session/inference_session.h"
#include "engine/template/chat/chat_template.h"
#include "engine/tokenizer/chat_turn.h"
#include "engine/tokenizer/tokenizer.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/options_conversion.h"
#include "services/common/turn_conversion.h"
#include "tools/tandem/base/interrupt.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/service_terms.h"
#include "tools/tandem/base/terminal.h"
#include "tools/tandem/base/terminal_text.h"
#include "tools/tandem/base/turn_flags.h"
#include "tools/tandem/base/turn_report.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/model_files.h"

namespace tandem::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr char kTarget[] = "model";
constexpr char kDraft[] = "draft";
constexpr char kWhatHelps[] =
    "a smaller --max-tokens or --context, a smaller file (tandem quantize "
    "makes one), or more memory (limit of the container, --memory-max-bytes)";

struct RunFlags {
  std::string file;
  std::string draft_file;
  TurnFlags turn;
  std::string numerics;
  int threads = 0;
  int64_t context = 0;
  int64_t memory_bytes_max = 0;
};

int64_t MicrosSince(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() -
                                                               start)
      .count();
}

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
  return absl::OkStatus();
}

absl::Status LoadModel(const std::string& id, const std::string& file,
                       const RunFlags& flags, ModelStore* store, const Io& io) {
  StatusLine line(io.err);
  ModelOptions options;
  options.threads = flags.threads;
  // Called by this Get alone: a store without a bound loads once.
  options.progress = [&line, &io, &file, shown = -1](double fraction) mutable {
    const int percent = static_cast<int>(fraction * 100);
    if (!io.err_is_terminal || percent == shown) return;
    shown = percent;
    line.Show(ProgressBar(
        absl::StrCat("loading ",
                     std::filesystem::path(file).filename().string()),
        fraction));
  };
  options.numerics = ParseNumericsMode(flags.numerics);
  TANDEM_RETURN_IF_ERROR(store->AddFile(id, file, options));
  return store->Get(id).status();
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

// Opens the models and checks the flags against them.
absl::StatusOr<OpenedModels> OpenAll(const RunFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(
      OpenedModels models,
      OpenModels({.target = flags.file, .draft = flags.draft_file}));
  const Position context = models.target.config.context_length;
  if (flags.context > context) {
    return UsageError(absl::StrCat("--context ", flags.context,
                                   ": the model in ", flags.file, " has ",
                                   context, " at most"));
  }
  return models;
}

// A turn that can be run, as far as that is known before weights are read.
struct PreparedTurn {
  EncodedInput prompt;
  GenerateOptions options;
  Position context_max = 0;
};

// Reserves memory for the weights and for the KV of `turn`.
absl::Status ReserveMemory(const RunFlags& flags, const OpenedModels& models,
                           const PreparedTurn& turn, MemoryAccount* memory) {
  EngineOptions options = turn.options.engine;
  // As much as the session will ask for.
  options.kv_tokens = std::min<int64_t>(
      turn.context_max, static_cast<int64_t>(turn.prompt.ids.size()) +
                            turn.options.generation.max_tokens);
  const std::optional<NumericsMode> numerics =
      ParseNumericsMode(flags.numerics);
  std::vector<ModelNeeds> needs(1);
  TANDEM_ASSIGN_OR_RETURN(needs[0],
                          NeedsOf(*models.target.file, numerics, options));
  if (models.draft.has_value()) {
    options.context_max = std::min<Position>(
        turn.context_max, models.draft->config.context_length);
    options.kv_tokens =
        std::min<int64_t>(options.kv_tokens, options.context_max);
    absl::StatusOr<ModelNeeds> draft =
        NeedsOf(*models.draft->file, numerics, options);
    if (!draft.ok()) return Annotate(draft.status(), "--draft");
    needs.push_back(*std::move(draft));
  }
  return memory->Take(needs).status();
}

// Finds out what is wrong with files, flags, prompt or memory.
absl::StatusOr<PreparedTurn> PrepareTurn(const RunFlags& flags,
                                         const TurnInput& input,
                                         MemoryAccount* memory) {
  TANDEM_ASSIGN_OR_RETURN(const OpenedModels models, OpenAll(flags));
  const Tokenizer& tokenizer = *models.target.tokenizer;
  PreparedTurn turn;
  TANDEM_ASSIGN_OR_RETURN(turn.prompt, EncodeInput(input, flags, tokenizer));
  turn.options.generation = FromProto(input.options);
  if (!turn.options.generation.seed.has_value()) {
    turn.options.generation.seed = DrawSeed();
  }
  if (!flags.draft_file.empty()) turn.options.draft_model_id = kDraft;
  turn.options.engine.threads = flags.threads;
  turn.options.engine.context_max = flags.context;
  turn.context_max =
      flags.context > 0 ? flags.context : models.target.config.context_length;
  const absl::Status checked =
      CheckTurn(tokenizer, {.prompt = turn.prompt.ids,
                            .options = turn.options.generation,
                            .context_max = turn.context_max});
  if (!checked.ok()) return Explain(checked, flags);
  const absl::Status compiled =
      CompileResponseFormat(tokenizer, turn.options.generation).status();
  if (!compiled.ok()) return Explain(compiled, flags);
  TANDEM_RETURN_IF_ERROR(ReserveMemory(flags, models, turn, memory));
  return turn;
}

// Microseconds that it took.
absl::StatusOr<int64_t> LoadModels(const RunFlags& flags, ModelStore* store,
                                   const Io& io) {
  const Clock::time_point began = Clock::now();
  TANDEM_RETURN_IF_ERROR(LoadModel(kTarget, flags.file, flags, store, io));
  if (!flags.draft_file.empty()) {
    const absl::Status status =
        LoadModel(kDraft, flags.draft_file, flags, store, io);
    if (!status.ok()) return Annotate(status, "--draft");
  }
  return MicrosSince(began);
}

// Runs the turn to its end, printing its text as it comes.
absl::Status Stream(const RunFlags& flags, const PreparedTurn& turn,
                    InferenceSession* session, TurnRecord* record,
                    const Io& io) {
  const Clock::time_point began = Clock::now();
  if (flags.turn.timeout_ms > 0) {
    session->SetDeadline(began +
                         std::chrono::milliseconds(flags.turn.timeout_ms));
  }
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
      if (flags.turn.generation.has_logprobs()) {
        *record->tokens.add_logprobs() = LogprobsToProto(**token);
      }
    }
    const std::string& text = session->text();
    if (!flags.turn.json && printed < text.size()) {
      PrintText(absl::string_view(text).substr(printed), io);
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
  const SpeculationCounts counts = session->speculation();
  SetCounts(counts, &stats);
  stats.set_no_draft_reason(WhyNoDraft(
      {.options = turn.options.generation,
       .room = turn.context_max - static_cast<int64_t>(turn.prompt.ids.size()),
       .has_drafter = !flags.draft_file.empty(),
       .counts = counts}));
  record->started.set_seed(session->seed());
  record->started.set_fingerprint(session->fingerprint());
  record->tokens.set_text(session->text());
  record->ended.set_finish_reason(ToProto(*session->finish_reason()));
  *record->ended.mutable_usage() = ToProto(session->usage());
  if (HasReceipt(record->ended.finish_reason())) {
    *record->ended.mutable_receipt() =
        MakeReceipt({.model_id = record->started.model_id(),
                     .fingerprint = record->started.fingerprint(),
                     .prompt = turn.prompt.ids,
                     .options = turn.options.generation,
                     .generated = record->tokens.token_ids()});
  }
  return absl::OkStatus();
}

absl::Status RunRun(const RunFlags& flags,
                    const ConnectionFlags& /*connection*/, const Io& io) {
  TANDEM_RETURN_IF_ERROR(CheckFlags(flags));
  TANDEM_ASSIGN_OR_RETURN(const TurnInput input, ReadTurn(flags.turn, io));
  MemoryAccount memory(
      {.process_bytes_max = flags.memory_bytes_max,
       .what_helps = absl::StrCat(
           flags.draft_file.empty() ? "" : "no --draft, ", kWhatHelps)});
  TANDEM_ASSIGN_OR_RETURN(const PreparedTurn turn,
                          PrepareTurn(flags, input, &memory));
  ModelStore store;
  TANDEM_ASSIGN_OR_RETURN(const int64_t load_us, LoadModels(flags, &store, io));

  // Until here Ctrl-C ends the process.
  Interrupt interrupt;
  const absl::StatusOr<std::unique_ptr<InferenceSession>> session =
      InferenceSession::Create(store, kTarget, turn.prompt.ids, turn.options);
  if (!session.ok()) return Explain(session.status(), flags);
  interrupt.SetUnderWay([running = session->get()] { running->Interrupt(); });
  TurnRecord record;
  record.in_process = true;
  if (flags.turn.echo && !flags.turn.json) PrintText(input.text, io);
  record.started.set_model_id(ModelName(flags.file));
  record.started.set_template_date(turn.prompt.template_date);
  const absl::Status status = Stream(flags, turn, session->get(), &record, io);
  interrupt.SetUnderWay(nullptr);
  TANDEM_RETURN_IF_ERROR(status);
  const absl::Status printed = PrintTurn(flags.turn, record, io);
  if (flags.turn.stats) {
    *io.err << absl::StreamFormat("models: loaded in %.2f s\n",
                                  static_cast<double>(load_us) / 1e6);
  }
  return interrupt.came() ? InterruptedError() : printed;
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
  AddValue(command, "--threads", &flags->threads, WholeNumber(0, 1024),
           "Threads that compute; 0: one per CPU");
  AddValue(command, "--context", &flags->context,
           WholeNumber(int64_t{0}, int64_t{1} << 31),
           "Tokens of prompt and text together, at most; 0: what the "
           "model allows");
  AddValue(command, "--memory-max-bytes", &flags->memory_bytes_max,
           WholeNumber(int64_t{0}, int64_t{1} << 50),
           "Memory of the process at most: weights, KV for the prompt "
           "and --max-tokens, and the rest; 0: what a container's "
           "limit and the machine leave");
  command
      ->add_option("--numerics", flags->numerics,
                   "Default: what suits the file")
      ->take_last()
      ->check(OneOf(NumericsModeNames()));
  SetExamples(command,
              {"tandem run model.gguf 'Once upon a time' --max-tokens 40",
               "tandem run model.gguf --chat 'Why is the sky blue?' --stats",
               "tandem run model.gguf --draft small.gguf < letter.txt"});
  RunWhenChosen(command, flags, RunRun, line);
}

}  // namespace tandem::cli
