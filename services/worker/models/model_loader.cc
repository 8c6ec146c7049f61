#include "services/worker/models/model_loader.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/thread_team.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

std::string ModelIdOf(const ModelSpec& spec) {
  return spec.id.empty() ? std::filesystem::path(spec.path).stem().string()
                         : spec.id;
}

ModelLoader::ModelLoader(const ModelLoaderOptions& options, ModelSet* models)
    : options_(options),
      models_(models),
      store_({.weight_bytes_max = options.weight_bytes_max}),
      memory_(options.memory) {
  if (const std::string problem = memory_.problem(); !problem.empty()) {
    spdlog::warn("{}; the memory of other workers is not known", problem);
  }
}

bool ModelLoader::is_loading() const {
  absl::MutexLock lock(&mutex_);
  return is_loading_;
}

absl::Status ModelLoader::Load(const ModelSpec& spec,
                               const std::function<void(double)>& progress) {
  {
    absl::MutexLock lock(&mutex_);
    if (is_loading_) {
      return WrongState("another model is being loaded; try again later");
    }
    if (const std::string id = ModelIdOf(spec); unloading_.contains(id)) {
      return WrongState(absl::StrCat("the model \"", id,
                                     "\" is being unloaded; try again later"));
    }
    is_loading_ = true;
  }
  const absl::Status status = LoadAlone(spec, progress);
  absl::MutexLock lock(&mutex_);
  is_loading_ = false;
  return status;
}

absl::Status ModelLoader::Plan(const std::vector<ModelSpec>& specs) {
  std::vector<ModelNeeds> needs;
  for (const ModelSpec& spec : specs) {
    TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file,
                            GgufFile::Open(spec.path));
    TANDEM_ASSIGN_OR_RETURN(
        needs.emplace_back(),
        NeedsOf(*file, options_.model.numerics, options_.engine));
    needs.back().model = ModelIdOf(spec);
  }
  TANDEM_ASSIGN_OR_RETURN(const MemoryPlan plan, memory_.Take(needs));
  const absl::MutexLock lock(&mutex_);
  const int threads = options_.engine.threads;
  const std::string threads_text =
      threads > 0 ? absl::StrCat(threads, " threads (asked for)")
                  : absl::StrCat(AvailableCpus(), " threads (",
                                 AvailableCpusText(), ")");
  for (size_t i = 0; i < needs.size(); ++i) {
    planned_[needs[i].model] = plan.models[i].kv_tokens;
    spdlog::info("model {}: {}, {}", needs[i].model,
                 DescribePlan(plan, needs[i], i), threads_text);
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ModelLoader::PlanAlone(const ModelSpec& spec) {
  const std::string id = ModelIdOf(spec);
  std::optional<int64_t> kv_tokens = TakePlanned(id);
  while (!kv_tokens.has_value()) {
    const absl::Status status = Plan({spec});
    const bool may_fit =
        absl::IsResourceExhausted(status) && options_.weight_bytes_max > 0;
    if (!status.ok() && !(may_fit && MakeRoom(id))) return status;
    kv_tokens = TakePlanned(id);
  }
  return *kv_tokens;
}

std::optional<int64_t> ModelLoader::TakePlanned(const std::string& id) {
  const absl::MutexLock lock(&mutex_);
  const auto planned = planned_.extract(id);
  if (planned.empty()) return std::nullopt;
  return planned.mapped();
}

bool ModelLoader::MakeRoom(const std::string& id) {
  const std::optional<std::string> evicted = models_->RemoveIdle();
  if (!evicted.has_value()) return false;
  spdlog::info("model {} was unloaded to make room for {}", *evicted, id);
  Forget(*evicted);
  return true;
}

void ModelLoader::Forget(const std::string& id) {
  store_.Remove(id).IgnoreError();  // not there: served from elsewhere
  memory_.Release(id);
  const absl::MutexLock lock(&mutex_);
  planned_.erase(id);
}

absl::Status ModelLoader::LoadAlone(
    const ModelSpec& spec, const std::function<void(double)>& progress) {
  const absl::Time began = absl::Now();
  const std::string id = ModelIdOf(spec);
  // From here on nobody but this load adds or forgets the model.
  if (models_->Has(id)) {
    return absl::AlreadyExistsError(
        absl::StrCat("the model \"", id, "\" is loaded already"));
  }
  ModelOptions model_options = options_.model;
  model_options.sha256 = spec.sha256;
  model_options.progress = progress;
  absl::Status status = store_.AddFile(id, spec.path, model_options);
  if (!status.ok()) {
    if (TakePlanned(id).has_value()) memory_.Release(id);
    return status;
  }
  const absl::StatusOr<int64_t> kv_tokens = PlanAlone(spec);
  status = kv_tokens.status();
  if (status.ok()) {
    absl::StatusOr<std::shared_ptr<const Model>> model = Get(id);
    status =
        model.ok() ? Serve(id, *std::move(model), *kv_tokens) : model.status();
  }
  if (!status.ok()) {
    Forget(id);
    return status;
  }
  spdlog::info("model {} was loaded in {} ms", id,
               absl::ToInt64Milliseconds(absl::Now() - began));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Model>> ModelLoader::Get(
    const std::string& id) {
  while (true) {
    absl::StatusOr<std::shared_ptr<const Model>> model = store_.Get(id);
    if (!absl::IsResourceExhausted(model.status())) return model;
    if (!MakeRoom(id)) return model;
  }
}

absl::Status ModelLoader::Serve(const std::string& id,
                                std::shared_ptr<const Model> model,
                                int64_t kv_tokens) {
  WorkerModelParts parts;
  if (!options_.compute_turn.empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        parts.turn, ComputeTurn::Open(options_.compute_turn,
                                      options_.role == v1::WORKER_ROLE_DRAFT
                                          ? ComputeTurn::Role::kDrafter
                                          : ComputeTurn::Role::kTarget));
  }
  EngineOptions engine_options = options_.engine;
  engine_options.kv_tokens = kv_tokens;
  TANDEM_ASSIGN_OR_RETURN(parts.engine, Engine::Load(model, engine_options));
  parts.streams_max = options_.engine.sequences_max;
  parts.queue_max = options_.queue_max;
  const EngineInfo& engine = parts.engine->info();
  parts.info = {
      .role = options_.role,
      .model_id = id,
      .fingerprint = engine.fingerprint,
      .vocabulary_fingerprint = model->tokenizer().vocabulary_fingerprint(),
      .numerics = std::string(NumericsModeName(model->numerics())),
      .context_max = engine.context_max,
      .vocab_size = engine.vocab_size,
      .weight_bytes = model->weight_bytes()};
  parts.tokenizer_image = model->tokenizer_image();
  spdlog::info("model {}: {}, {} KiB of weights, context {}, fingerprint {}",
               id, parts.info.numerics, parts.info.weight_bytes >> 10,
               parts.info.context_max, parts.info.fingerprint);
  return models_->Add(std::move(parts));
}

absl::Status ModelLoader::Unload(const std::string& id, absl::Duration drain) {
  {
    const absl::MutexLock lock(&mutex_);
    if (!unloading_.insert(id).second) {
      return WrongState(
          absl::StrCat("the model \"", id, "\" is being unloaded already"));
    }
  }
  const absl::Status status = models_->Remove(id, drain);
  if (status.ok()) {
    Forget(id);
    spdlog::info("model {} was unloaded", id);
  }
  const absl::MutexLock lock(&mutex_);
  unloading_.erase(id);
  return status;
}

}  // namespace tandem
