// Engines over the models of a ModelStore, kept for the next caller: a second
// call pays neither for KV and threads nor for what its prompt has in common
// with the last one.
//
// Owned by the store, as its companion. Thread safe. An engine has one user at
// a time: who takes one while all of its kind are in use gets another. One of
// a kind is kept, kIdleEnginesMax in all; the one least recently given back
// goes first.

#ifndef TANDEM_ENGINE_SESSION_ENGINE_CACHE_H_
#define TANDEM_ENGINE_SESSION_ENGINE_CACHE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/model/model_store.h"

namespace tandem {

// A target and its drafter, of two pairs.
inline constexpr size_t kIdleEnginesMax = 4;

// A kind is a model and options.
struct EngineRequest {
  std::string model_id = {};
  EngineOptions options = {};
  // Where options.kv_tokens is 0: tokens that the KV must hold. Those past the
  // context do not count.
  int64_t tokens = 0;
};

class EngineCache : public ModelStoreCompanion {
 private:
  struct Kept;
  struct GiveBack {
    GiveBack() : cache(nullptr) {}
    explicit GiveBack(EngineCache* owner) : cache(owner) {}
    void operator()(Kept* kept) const;
    EngineCache* cache;
  };

 public:
  // An engine in use; given back when the lease goes, before the store does.
  class Lease {
   public:
    Lease() = default;  // of nothing
    Engine* engine() const;

   private:
    friend class EngineCache;
    explicit Lease(std::unique_ptr<Kept, GiveBack> kept)
        : kept_(std::move(kept)) {}

    std::unique_ptr<Kept, GiveBack> kept_;
  };

  // The cache of `store`.
  static EngineCache& Of(ModelStore& store);
  ~EngineCache() override;

  // An engine over a model of `store`, the one of Of. A kept one that holds too
  // few tokens is made anew, with twice its KV or as much as is needed. Errors:
  // as ModelStore::Get and Engine::Load.
  absl::StatusOr<Lease> Take(ModelStore& store, const EngineRequest& request);

  void OnRemoved(absl::string_view id) override;

 private:
  EngineCache();

  // Adds what is about to be in use, and removes it again.
  std::unique_ptr<Kept, GiveBack> Begin(const EngineRequest& request);
  void End(Kept* kept) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The kept engine of this kind, or null.
  std::unique_ptr<Kept> TakeKept(const EngineRequest& request);
  void Return(std::unique_ptr<Kept> kept);

  absl::Mutex mutex_;
  // Least recently given back first.
  std::vector<std::unique_ptr<Kept>> idle_ ABSL_GUARDED_BY(mutex_);
  // What callers have now, or are getting: an engine of a model that the store
  // forgets meanwhile is not kept.
  std::vector<Kept*> in_use_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_ENGINE_CACHE_H_
