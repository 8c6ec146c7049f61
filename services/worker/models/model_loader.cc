#include "services/worker/models/model_loader.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/thread_team.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

std::string ModelIdOf(const ModelSpec& spec) {
  return spec.id.empty() ? std::filesystem::path(spec.path).stem().string()
                         : spec.id;
}

absl::Status ModelLoader::Plan(std::vector<ModelSpec>* specs) {
  std::vector<ModelNeeds> needs;
  for (const ModelSpec& spec : *specs) {
    TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file,
                            GgufFile::Open(spec.path));
    TANDEM_ASSIGN_OR_RETURN(
        needs.emplace_back(),
        NeedsOf(*file, options_.model.numerics, options_.engine));
    needs.back().model = ModelIdOf(spec);
  }
  TANDEM_ASSIGN_OR_RETURN(const MemoryPlan plan, TakeMemory(needs));
  for (size_t i = 0; i < needs.size(); ++i) {
    (*specs)[i].kv_tokens = plan.models[i].kv_tokens;
  }
  return absl::OkStatus();
}

absl::StatusOr<MemoryPlan> ModelLoader::TakeMemory(
    absl::Span<const ModelNeeds> needs) {
  TANDEM_ASSIGN_OR_RETURN(MemoryPlan plan, models_->TakeMemory(needs));
  const int threads = options_.engine.threads;
  const std::string threads_text =
      threads > 0 ? absl::StrCat(threads, " threads (asked for)")
                  : absl::StrCat(AvailableCpus(), " threads (",
                                 AvailableCpusText(), ")");
  for (size_t i = 0; i < needs.size(); ++i) {
    spdlog::info("model {}: {}, {}", needs[i].model,
                 DescribePlan(plan, needs[i], i), threads_text);
  }
  return plan;
}

absl::Status ModelLoader::Load(const ModelSpec& spec,
                               const std::function<void(double)>& progress) {
  const absl::Time began = MonotonicNow();
  const std::string id = ModelIdOf(spec);
  TANDEM_RETURN_IF_ERROR(models_->BeginLoad(id));
  TANDEM_RETURN_IF_ERROR(models_->EndLoad(Make(spec, progress)));
  spdlog::info("model {} was loaded in {} ms", id,
               absl::ToInt64Milliseconds(MonotonicNow() - began));
  return absl::OkStatus();
}

absl::StatusOr<WorkerModelParts> ModelLoader::Make(
    const ModelSpec& spec, const std::function<void(double)>& progress) {
  WorkerModelParts parts;
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<GgufFile> file,
                          GgufFile::Open(spec.path));
  TANDEM_ASSIGN_OR_RETURN(
      ModelNeeds needs,
      NeedsOf(*file, options_.model.numerics, options_.engine));
  needs.model = ModelIdOf(spec);
  EngineOptions engine_options = options_.engine;
  engine_options.kv_tokens = spec.kv_tokens;
  if (spec.kv_tokens == 0) {
    TANDEM_ASSIGN_OR_RETURN(const MemoryPlan plan, TakeMemory({needs}));
    engine_options.kv_tokens = plan.models.front().kv_tokens;
  }
  if (!options_.compute_turn.empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        parts.loop.processor,
        ProcessorLock::Open(options_.compute_turn,
                            options_.role == v1::WORKER_ROLE_DRAFT
                                ? ProcessorLock::Role::kDrafter
                                : ProcessorLock::Role::kTarget));
  }
  TANDEM_RETURN_IF_ERROR(models_->ReserveWeights(needs.weight_bytes));
  ModelOptions model_options = options_.model;
  model_options.sha256 = spec.sha256;
  model_options.progress = progress;
  TANDEM_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                          Model::Load(std::move(file), model_options));
  // What was planned gives way to what it is.
  TANDEM_RETURN_IF_ERROR(models_->ReserveWeights(model->weight_bytes()));
  TANDEM_ASSIGN_OR_RETURN(parts.engine, Engine::Load(model, engine_options));
  parts.loop.streams_max = options_.engine.sequences_max;
  parts.loop.queue_max = options_.queue_max;
  parts.loop.tenant_kv_share = options_.tenant_kv_share;
  const EngineInfo& engine = parts.engine->info();
  parts.info = {
      .role = options_.role,
      .model_id = needs.model,
      .fingerprint = engine.fingerprint,
      .vocabulary_fingerprint = model->tokenizer().vocabulary_fingerprint(),
      .numerics = std::string(NumericsModeName(model->numerics())),
      .context_max = engine.context_max,
      .vocab_size = engine.vocab_size,
      .weight_bytes = model->weight_bytes()};
  parts.tokenizer_image = model->tokenizer_image();
  spdlog::info("model {}: {}, {} KiB of weights, context {}, fingerprint {}",
               parts.info.model_id, parts.info.numerics,
               parts.info.weight_bytes >> 10, parts.info.context_max,
               parts.info.fingerprint);
  return parts;
}

}  // namespace tandem
