#include "engine/session/engine_cache.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"

namespace tandem {

struct EngineCache::Kept {
  std::string model_id;
  EngineOptions options;  // as asked for: with them the kind
  // The engine keeps it alive, so the address tells it from a later one.
  const Model* model = nullptr;
  int64_t kv_tokens = 0;
  std::unique_ptr<Engine> engine = nullptr;  // until there is one
  // The store has forgotten the model since; guarded by the cache's mutex_.
  bool is_removed = false;
};

void EngineCache::GiveBack::operator()(Kept* kept) const {
  cache->Return(absl::WrapUnique(kept));
}

Engine* EngineCache::Lease::engine() const {
  return kept_ == nullptr ? nullptr : kept_->engine.get();
}

EngineCache& EngineCache::Of(ModelStore& store) {
  // Nobody else gives a store a companion.
  return static_cast<EngineCache&>(
      store.Companion(+[]() -> std::unique_ptr<ModelStoreCompanion> {
        return absl::WrapUnique(new EngineCache());
      }));
}

EngineCache::EngineCache() = default;
EngineCache::~EngineCache() = default;

absl::StatusOr<EngineCache::Lease> EngineCache::Take(
    ModelStore& store, const EngineRequest& request) {
  // Before the model is got: it may be removed at any time after.
  std::unique_ptr<Kept, GiveBack> taken = Begin(request);
  TANDEM_ASSIGN_OR_RETURN(std::shared_ptr<const Model> model,
                          store.Get(request.model_id));
  EngineOptions options = request.options;
  const Position context = options.context_max > 0
                               ? options.context_max
                               : model->config().context_length;
  const int64_t needed = std::clamp<int64_t>(request.tokens, 1, context);
  if (options.kv_tokens == 0) options.kv_tokens = needed;
  std::unique_ptr<Kept> kept = TakeKept(request);
  if (kept != nullptr && kept->model != model.get()) kept.reset();
  if (kept != nullptr && kept->kv_tokens < options.kv_tokens) {
    // Twice as much: a session that grows by a few tokens a turn is not to have
    // a new engine for each.
    options.kv_tokens =
        std::max(needed, std::min<int64_t>(2 * kept->kv_tokens, context));
    kept.reset();
  }
  taken->model = model.get();
  if (kept != nullptr) {
    taken->kv_tokens = kept->kv_tokens;
    taken->engine = std::move(kept->engine);
    return Lease(std::move(taken));
  }
  absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Load(model, options);
  if (!engine.ok() && request.options.kv_tokens == 0 &&
      options.kv_tokens > needed) {
    options.kv_tokens = needed;
    engine = Engine::Load(std::move(model), options);
  }
  if (!engine.ok()) return engine.status();
  taken->kv_tokens = options.kv_tokens;
  taken->engine = *std::move(engine);
  return Lease(std::move(taken));
}

std::unique_ptr<EngineCache::Kept, EngineCache::GiveBack> EngineCache::Begin(
    const EngineRequest& request) {
  std::unique_ptr<Kept, GiveBack> taken(
      new Kept{.model_id = request.model_id, .options = request.options},
      GiveBack(this));
  const absl::MutexLock lock(&mutex_);
  in_use_.push_back(taken.get());
  return taken;
}

void EngineCache::End(Kept* kept) {
  in_use_.erase(std::find(in_use_.begin(), in_use_.end(), kept));
}

std::unique_ptr<EngineCache::Kept> EngineCache::TakeKept(
    const EngineRequest& request) {
  const absl::MutexLock lock(&mutex_);
  for (auto kept = idle_.begin(); kept != idle_.end(); ++kept) {
    if ((*kept)->model_id != request.model_id ||
        (*kept)->options != request.options) {
      continue;
    }
    std::unique_ptr<Kept> found = std::move(*kept);
    idle_.erase(kept);
    return found;
  }
  return nullptr;
}

void EngineCache::Return(std::unique_ptr<Kept> kept) {
  std::unique_ptr<Kept> dropped;  // freed last, without the lock
  const absl::MutexLock lock(&mutex_);
  End(kept.get());
  if (kept->is_removed || kept->engine == nullptr) {
    dropped = std::move(kept);
    return;
  }
  const auto same = std::find_if(idle_.begin(), idle_.end(),
                                 [&kept](const std::unique_ptr<Kept>& other) {
                                   return other->model_id == kept->model_id &&
                                          other->options == kept->options;
                                 });
  if (same != idle_.end()) {
    // Of two of a kind, the one that holds more stays.
    if ((*same)->kv_tokens > kept->kv_tokens) std::swap(*same, kept);
    dropped = std::move(*same);
    idle_.erase(same);
  } else if (idle_.size() == kIdleEnginesMax) {
    dropped = std::move(idle_.front());
    idle_.erase(idle_.begin());
  }
  idle_.push_back(std::move(kept));
}

void EngineCache::OnRemoved(absl::string_view id) {
  std::vector<std::unique_ptr<Kept>> released;  // freed without the lock
  const absl::MutexLock lock(&mutex_);
  for (Kept* const kept : in_use_) {
    if (kept->model_id == id) kept->is_removed = true;
  }
  const auto removed = std::stable_partition(
      idle_.begin(), idle_.end(),
      [id](const std::unique_ptr<Kept>& kept) { return kept->model_id != id; });
  std::move(removed, idle_.end(), std::back_inserter(released));
  idle_.erase(removed, idle_.end());
}

}  // namespace tandem
