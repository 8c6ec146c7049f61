#include "tools/bench/model_bench.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/cpu_features.h"
#include "engine/engine.h"
#include "engine/gguf/gguf_file.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/model.h"
#include "engine/session/inference_session.h"
#include "tools/bench/machine_limits.h"

namespace tandem::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Prompt of the passes of a few rows: their attention costs next to nothing.
constexpr Position kShallow = 64;
constexpr int kSpeculativePromptTokens = 32;
// Rows of one Step in a prompt, as a worker has them.
constexpr int kChunkRows = 256;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + middle, values.end());
  return values[middle];
}

class NoRows : public RowConsumer {
 public:
  void OnRow(size_t /*item*/, size_t /*row*/,
             absl::Span<float> /*logits*/) override {}
};

// Ids that are neither special nor alike in a row.
std::vector<TokenId> RandomTokens(int64_t count, int vocab_size,
                                  uint32_t seed) {
  std::vector<TokenId> tokens(count);
  const uint32_t first = vocab_size > 512 ? 259 : 0;
  for (TokenId& token : tokens) {
    seed = seed * 1664525u + 1013904223u;
    token = static_cast<TokenId>(first + (seed >> 8) % (vocab_size - first));
  }
  return tokens;
}

absl::StatusOr<std::shared_ptr<const Model>> LoadModel(
    const std::string& path, const ModelBenchOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<GgufFile> file, GgufFile::Open(path));
  return Model::Load(std::move(file), {.numerics = options.numerics,
                                       .threads = options.threads,
                                       .progress = {}});
}

class Bench {
 public:
  explicit Bench(const ModelBenchOptions& options) : options_(options) {}

  absl::StatusOr<ModelBenchReport> Run();

 private:
  void Say(absl::string_view what) const {
    if (options_.progress) options_.progress(what);
  }
  absl::Status Check() const;
  absl::Status Load();
  void MeasureMachine();
  absl::Status MeasurePasses();
  absl::Status MeasurePrompt();
  absl::Status MeasureDepths();
  absl::StatusOr<SpeculativeFigure> MeasureSpeculation(
      const GenOptions& generation);

  // Seconds of one pass of tokens [position, position + count).
  absl::StatusOr<double> Pass(SequenceId sequence, Position position,
                              int64_t count, WantedRows rows);
  absl::Status Prefill(SequenceId sequence, Position count);
  // What a sequence to decode at `depth` holds in the end.
  Position DepthTokens(Position depth) const {
    return depth + options_.passes + 1;
  }
  // Tokens per second of one generation; the session keeps the figures.
  absl::StatusOr<double> Generate(InferenceSession* session,
                                  const GenOptions& generation);

  const ModelBenchOptions& options_;
  ModelBenchReport report_;
  std::shared_ptr<const Model> model_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Engine> draft_;
  std::vector<TokenId> tokens_;  // of every pass
  std::unique_ptr<ReadBandwidth> reader_;
  std::unique_ptr<ThreadTeam> team_;
  std::vector<double> read_samples_;
  std::vector<double> peak_samples_;
};

absl::Status Bench::Check() const {
  const auto wrong = [](absl::string_view what) {
    return absl::InvalidArgumentError(what);
  };
  if (options_.runs < 1 || options_.passes < 1 ||
      options_.speculative_runs < 1 || options_.generated_tokens < 1) {
    return wrong("runs, passes and generated tokens must be at least 1");
  }
  for (const int rows : options_.rows) {
    if (rows < 1 || rows > kChunkRows) return wrong("rows must be 1 to 256");
  }
  for (const Position depth : options_.depths) {
    if (depth < 1) return wrong("a depth must be at least 1");
  }
  return absl::OkStatus();
}

absl::Status Bench::Load() {
  Say("loading the model");
  const Clock::time_point start = Clock::now();
  TANDEM_ASSIGN_OR_RETURN(model_, LoadModel(options_.model, options_));
  report_.load_seconds = SecondsSince(start);
  Position tokens = kShallow + kChunkRows;
  tokens = std::max<Position>(tokens, options_.prompt_tokens);
  tokens = std::max<Position>(
      tokens, kSpeculativePromptTokens + options_.generated_tokens + 1);
  // All depths at once, so that they are measured in turns.
  Position kv_tokens = 0;
  for (const Position depth : options_.depths) {
    tokens = std::max(tokens, DepthTokens(depth));
    kv_tokens += DepthTokens(depth) + kKvPageTokens;
  }
  if (tokens > model_->config().context_length) {
    return absl::InvalidArgumentError(absl::StrCat(
        options_.model, ": has a context of ", model_->config().context_length,
        " tokens, the figures asked for need ", tokens));
  }
  const EngineOptions engine_options = {
      .threads = options_.threads,
      .context_max = tokens,
      .kv_tokens = std::max(tokens, kv_tokens),
      .rows_max = kChunkRows,
      .sequences_max = std::max(1, static_cast<int>(options_.depths.size())),
      .prefix_cache = false};
  TANDEM_ASSIGN_OR_RETURN(engine_, Engine::Load(model_, engine_options));
  tokens_ = RandomTokens(tokens, engine_->info().vocab_size, 1);
  if (!options_.draft.empty()) {
    Say("loading the draft model");
    TANDEM_ASSIGN_OR_RETURN(std::shared_ptr<const Model> draft,
                            LoadModel(options_.draft, options_));
    TANDEM_ASSIGN_OR_RETURN(draft_,
                            Engine::Load(std::move(draft), engine_options));
  }
  return absl::OkStatus();
}

void Bench::MeasureMachine() {
  read_samples_.push_back(reader_->Measure(team_.get()));
  TANDEM_CHECK(EffectiveSimdLevel().ok());  // the engine has loaded with it
  peak_samples_.push_back(Int8Peak(*EffectiveSimdLevel(), team_.get()));
}

absl::StatusOr<double> Bench::Pass(SequenceId sequence, Position position,
                                   int64_t count, WantedRows rows) {
  NoRows consumer;
  const StepItem item = {
      .sequence = sequence,
      .position = position,
      .tokens = absl::MakeConstSpan(tokens_).subspan(position, count),
      .rows = rows};
  const Clock::time_point start = Clock::now();
  TANDEM_RETURN_IF_ERROR(
      engine_->Step(absl::MakeConstSpan(&item, 1), &consumer));
  return SecondsSince(start);
}

absl::Status Bench::Prefill(SequenceId sequence, Position count) {
  for (Position at = 0; at < count; at += kChunkRows) {
    const int64_t rows = std::min<int64_t>(kChunkRows, count - at);
    const WantedRows wanted =
        at + rows == count ? WantedRows::kLast : WantedRows::kNone;
    TANDEM_RETURN_IF_ERROR(Pass(sequence, at, rows, wanted).status());
  }
  return absl::OkStatus();
}

absl::Status Bench::MeasurePasses() {
  Say("passes of a few rows");
  TANDEM_ASSIGN_OR_RETURN(const SequenceId sequence,
                          engine_->Open({.tokens_max = kShallow + kChunkRows}));
  TANDEM_RETURN_IF_ERROR(Prefill(sequence, kShallow));
  std::vector<std::vector<double>> samples(options_.rows.size());
  for (int run = 0; run < options_.runs; ++run) {
    MeasureMachine();
    for (size_t i = 0; i < options_.rows.size(); ++i) {
      for (int pass = 0; pass < options_.passes; ++pass) {
        TANDEM_ASSIGN_OR_RETURN(
            const double seconds,
            Pass(sequence, kShallow, options_.rows[i], WantedRows::kAll));
        samples[i].push_back(seconds);
      }
    }
  }
  engine_->Close(sequence);
  for (size_t i = 0; i < options_.rows.size(); ++i) {
    const double seconds = Median(samples[i]);
    report_.rows.push_back({.rows = options_.rows[i],
                            .seconds_per_pass = seconds,
                            .tokens_per_second = options_.rows[i] / seconds});
  }
  return absl::OkStatus();
}

absl::Status Bench::MeasurePrompt() {
  if (options_.prompt_tokens < 1) return absl::OkStatus();
  Say("the prompt");
  std::vector<double> samples;
  TANDEM_ASSIGN_OR_RETURN(
      const SequenceId sequence,
      engine_->Open({.tokens_max = options_.prompt_tokens}));
  for (int run = 0; run < options_.runs; ++run) {
    const Clock::time_point start = Clock::now();
    TANDEM_RETURN_IF_ERROR(Prefill(sequence, options_.prompt_tokens));
    samples.push_back(SecondsSince(start));
  }
  engine_->Close(sequence);
  const double seconds = Median(samples);
  report_.prompt = {.rows = options_.prompt_tokens,
                    .seconds_per_pass = seconds,
                    .tokens_per_second = options_.prompt_tokens / seconds};
  return absl::OkStatus();
}

absl::Status Bench::MeasureDepths() {
  const size_t count = options_.depths.size();
  std::vector<SequenceId> sequences(count);
  std::vector<std::vector<double>> samples(count);
  for (size_t i = 0; i < count; ++i) {
    const Position depth = options_.depths[i];
    Say(absl::StrCat("a prompt of ", depth, " tokens to decode after"));
    TANDEM_ASSIGN_OR_RETURN(sequences[i],
                            engine_->Open({.tokens_max = DepthTokens(depth)}));
    TANDEM_RETURN_IF_ERROR(Prefill(sequences[i], depth));
  }
  Say("decoding at depth");
  for (int run = 0; run < options_.runs; ++run) {
    for (size_t i = 0; i < count; ++i) {
      for (int pass = 0; pass < options_.passes; ++pass) {
        TANDEM_ASSIGN_OR_RETURN(
            const double seconds,
            Pass(sequences[i], options_.depths[i] + pass, 1, WantedRows::kAll));
        samples[i].push_back(seconds);
      }
    }
  }
  for (size_t i = 0; i < count; ++i) {
    engine_->Close(sequences[i]);
    const double seconds = Median(samples[i]);
    report_.decode.push_back({.depth = options_.depths[i],
                              .seconds_per_token = seconds,
                              .tokens_per_second = 1 / seconds});
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Bench::Generate(InferenceSession* session,
                                       const GenOptions& generation) {
  const std::vector<TokenId> prompt =
      RandomTokens(kSpeculativePromptTokens, engine_->info().vocab_size, 12345);
  TANDEM_RETURN_IF_ERROR(session->StartTurn(prompt, generation));
  // The first token ends the prefill, which is not what is measured.
  TANDEM_RETURN_IF_ERROR(session->NextToken().status());
  const Clock::time_point start = Clock::now();
  while (true) {
    TANDEM_ASSIGN_OR_RETURN(const std::optional<SampledToken> token,
                            session->NextToken());
    if (!token.has_value()) break;
  }
  return static_cast<double>(session->usage().generated_tokens - 1) /
         SecondsSince(start);
}

absl::StatusOr<SpeculativeFigure> Bench::MeasureSpeculation(
    const GenOptions& generation) {
  GenOptions plain_options = generation;
  plain_options.draft_length = 0;
  std::vector<double> plain;
  std::vector<double> speculative;
  std::vector<double> ratios;
  SpeculativeFigure figure = {.draft_length = generation.draft_length};
  for (int run = 0; run < options_.speculative_runs; ++run) {
    TANDEM_ASSIGN_OR_RETURN(auto one,
                            InferenceSession::Create(engine_.get(), nullptr));
    TANDEM_ASSIGN_OR_RETURN(const double slow,
                            Generate(one.get(), plain_options));
    TANDEM_ASSIGN_OR_RETURN(
        auto pair, InferenceSession::Create(engine_.get(), draft_.get()));
    TANDEM_ASSIGN_OR_RETURN(const double fast,
                            Generate(pair.get(), generation));
    // The promise that makes the two comparable.
    if (one->tokens() != pair->tokens()) {
      return absl::InternalError(
          "speculation changed the text; the ratio says nothing");
    }
    plain.push_back(slow);
    speculative.push_back(fast);
    ratios.push_back(fast / slow);
    const SpeculationCounts counts = pair->speculation();
    figure.acceptance_rate = counts.drafted == 0
                                 ? 0
                                 : static_cast<double>(counts.accepted) /
                                       static_cast<double>(counts.drafted);
    const std::vector<TokenId> tokens = pair->tokens();
    figure.distinct_tokens = static_cast<int>(
        std::set<TokenId>(tokens.end() - pair->usage().generated_tokens,
                          tokens.end())
            .size());
  }
  figure.plain_tokens_per_second = Median(plain);
  figure.speculative_tokens_per_second = Median(speculative);
  figure.speedup = Median(ratios);
  return figure;
}

absl::StatusOr<ModelBenchReport> Bench::Run() {
  TANDEM_RETURN_IF_ERROR(Check());
  TANDEM_RETURN_IF_ERROR(Load());
  report_.threads = options_.threads == 0 ? AvailableCpus() : options_.threads;
  report_.simd = std::string(SimdLevelName(*EffectiveSimdLevel()));
  report_.numerics = std::string(NumericsModeName(model_->numerics()));
  report_.weight_bytes_per_pass = model_->weight_bytes_per_pass();
  report_.macs_per_token = model_->macs_per_token();
  reader_ = std::make_unique<ReadBandwidth>();
  team_ = std::make_unique<ThreadTeam>(report_.threads);
  TANDEM_RETURN_IF_ERROR(MeasurePasses());
  TANDEM_RETURN_IF_ERROR(MeasurePrompt());
  TANDEM_RETURN_IF_ERROR(MeasureDepths());
  if (draft_ != nullptr) {
    Say("generation, greedy");
    GenOptions greedy = {.max_tokens = options_.generated_tokens,
                         .temperature = 0,
                         .repetition_penalty = 1,
                         .seed = 1,
                         .ignore_eos = true,
                         .draft_length = options_.draft_length};
    TANDEM_ASSIGN_OR_RETURN(report_.speculative, MeasureSpeculation(greedy));
    Say("generation, the default options");
    const GenOptions defaults = {
        .max_tokens = options_.generated_tokens, .seed = 1, .ignore_eos = true};
    TANDEM_ASSIGN_OR_RETURN(report_.speculative_defaults,
                            MeasureSpeculation(defaults));
  }
  report_.read_bandwidth_gbps = Median(read_samples_) * 1e-9;
  report_.int8_peak_gmacs = Median(peak_samples_) * 1e-9;
  return report_;
}

}  // namespace

absl::StatusOr<ModelBenchReport> BenchModel(const ModelBenchOptions& options) {
  return Bench(options).Run();
}

}  // namespace tandem::bench
