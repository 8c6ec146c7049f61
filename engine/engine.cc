#include "engine/engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "engine/base/cpu_features.h"
#include "engine/base/error_reason.h"
#include "engine/base/hash.h"
#include "engine/kernels/attention.h"
#include "engine/model/kv_layout.h"
#include "engine/model/model_state.h"
#include "engine/model/weights.h"

namespace tandem {
namespace {

constexpr int64_t kThreadsMax = 1024;
constexpr int64_t kRowsMax = 4096;
constexpr int64_t kSequencesMax = 1 << 20;
constexpr int64_t kKvTokensMax = int64_t{1} << 40;

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t low,
                        int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  const std::string what =
      absl::StrCat("must be in [", low, ", ", high, "], is ", value);
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {kReasonInvalidOptions, {{std::string(field), what}}},
                   absl::StrCat("engine option ", field, " ", what));
}

absl::Status CheckOptions(const EngineOptions& options,
                          Position context_length) {
  TANDEM_RETURN_IF_ERROR(
      CheckRange("threads", options.threads, 0, kThreadsMax));
  TANDEM_RETURN_IF_ERROR(
      CheckRange("context_max", options.context_max, 0, context_length));
  TANDEM_RETURN_IF_ERROR(
      CheckRange("kv_tokens", options.kv_tokens, 0, kKvTokensMax));
  TANDEM_RETURN_IF_ERROR(CheckRange("rows_max", options.rows_max, 1, kRowsMax));
  return CheckRange("sequences_max", options.sequences_max, 1, kSequencesMax);
}

// Options with every default filled in but kv_pages.
absl::StatusOr<ModelStateOptions> Resolve(const ModelConfig& config,
                                          NumericsMode numerics,
                                          const EngineOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckOptions(options, config.context_length));
  TANDEM_ASSIGN_OR_RETURN(const SimdLevel level, EffectiveSimdLevel());
  const KvType default_type =
      numerics == NumericsMode::kF32 ? KvType::kF32 : KvType::kBf16;
  return ModelStateOptions{
      .numerics = numerics,
      .kv_type = options.kv_type.value_or(default_type),
      .threads = options.threads == 0 ? AvailableCpus() : options.threads,
      .pinning = options.pinning,
      .level = level,
      .context_max = options.context_max == 0 ? config.context_length
                                              : options.context_max,
      .rows_max = options.rows_max,
      .sequences_max = options.sequences_max,
      .prefix_cache = options.prefix_cache};
}

// Without weights.
ModelNeeds StateNeeds(const ModelConfig& config,
                      const ModelStateOptions& state) {
  const StateFootprint footprint = FootprintOf(config, state);
  return {.scratch_bytes = footprint.scratch_bytes,
          .page_bytes = footprint.kv.page_bytes,
          .position_bytes = footprint.position_bytes,
          .positions_per_page = footprint.kv.positions_per_page,
          .context = state.context_max};
}

absl::StatusOr<int64_t> PlanKvTokens(const ModelConfig& config,
                                     const ModelStateOptions& state) {
  const ModelNeeds needs = StateNeeds(config, state);
  TANDEM_ASSIGN_OR_RETURN(
      const MemoryPlan plan,
      PlanMemory(ReadMachineMemory(), absl::MakeConstSpan(&needs, 1)));
  return plan.models[0].kv_tokens;
}

std::string Fingerprint(const Model& model, const ModelStateOptions& options) {
  Sha256 hash;
  hash.AddString(model.fingerprint());
  hash.AddString(KvTypeName(options.kv_type));
  hash.AddNumber(static_cast<uint64_t>(options.context_max));
  return hash.HexDigest();
}

class CpuEngine : public Engine {
 public:
  CpuEngine(std::shared_ptr<const Model> model,
            std::unique_ptr<ModelState> state)
      : model_(std::move(model)), state_(std::move(state)) {
    const ModelStateOptions& options = state_->options();
    info_ = {.vocab_size = static_cast<int>(model_->config().vocab_size),
             .context_max = options.context_max,
             .rows_max = options.rows_max,
             .fingerprint = Fingerprint(*model_, options)};
  }

  absl::StatusOr<SequenceId> Open(const SequenceOptions& options) override {
    return state_->kv().Open(options);
  }

  absl::Status Step(absl::Span<const StepItem> batch,
                    RowConsumer* consumer) override {
    state_->CheckBatch(batch);
    model_->Step(batch, state_.get(), consumer);
    for (const StepItem& item : batch) state_->kv().ShareFull(item.sequence);
    return absl::OkStatus();
  }

  void Close(SequenceId sequence) override { state_->kv().Close(sequence); }

  SequenceState state(SequenceId sequence) const override {
    const KvCache& kv = state_->kv();
    return {.length = kv.length(sequence), .cut_min = kv.cut_min(sequence)};
  }

  const EngineInfo& info() const override { return info_; }
  const Tokenizer& tokenizer() const override { return model_->tokenizer(); }

  KvUsage kv_usage() const override {
    return {.pages_total = state_->options().kv_pages,
            .pages_reserved = state_->kv().pages_reserved(),
            .pages_cached = state_->kv().pages_cached(),
            .page_tokens = kKvPageTokens};
  }

 private:
  const std::shared_ptr<const Model> model_;
  const std::unique_ptr<ModelState> state_;
  EngineInfo info_;
};

}  // namespace

absl::StatusOr<ModelNeeds> NeedsOf(const GgufFile& file,
                                   std::optional<NumericsMode> numerics,
                                   const EngineOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(const ModelConfig config,
                          ModelConfig::FromGguf(file));
  const NumericsMode mode = numerics.value_or(DefaultNumericsMode(file));
  TANDEM_ASSIGN_OR_RETURN(const ModelStateOptions state,
                          Resolve(config, mode, options));
  ModelNeeds needs = StateNeeds(config, state);
  needs.model = file.name();
  needs.weight_bytes = PlannedWeightBytes(file, mode);
  needs.kv_tokens = options.kv_tokens;
  return needs;
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Load(
    std::shared_ptr<const Model> model, const EngineOptions& options) {
  TANDEM_CHECK(model != nullptr);
  TANDEM_ASSIGN_OR_RETURN(ModelStateOptions resolved,
                          Resolve(model->config(), model->numerics(), options));
  int64_t kv_tokens = options.kv_tokens;
  if (kv_tokens == 0) {
    TANDEM_ASSIGN_OR_RETURN(kv_tokens, PlanKvTokens(model->config(), resolved));
  }
  resolved.kv_pages = KvLayout::PagesFor(kv_tokens);
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<ModelState> state,
                          ModelState::Create(model->config(), resolved));
  return std::make_unique<CpuEngine>(std::move(model), std::move(state));
}

}  // namespace tandem
