// What the coordinator keeps for clients between and before their turns, in
// bytes by kind and tenant, and the bound of it. Owned by the server; any
// thread.
//
// At the bound sessions that are idle go first (session_store.h), then what is
// new is refused. Tenants share it by FairBound. What all share, the tokenizers
// and the map of prefixes, leaves that much less for the tenants.
//
// Not counted: what a turn needs while it runs, which turns_max and the model's
// context bound, and gRPC's own buffers.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_MEMORY_BUDGET_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_MEMORY_BUDGET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/coordinator/client/fair_bound.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

enum class MemoryKind {
  kSessions,    // kept histories, with the turns that can be resumed
  kTexts,       // prompts and texts that wait to be made tokens
  kPrefixes,    // the map of who computed what; of all tenants
  kTokenizers,  // of all tenants
};
inline constexpr size_t kMemoryKinds = 4;
// Label of metrics.
const char* MemoryKindName(MemoryKind kind);

// The bytes where no flag says it: a quarter of the memory of the container, or
// of the machine. The rest is for gRPC's buffers, running turns and the
// process.
int64_t DefaultMemoryBudget();

class MemoryBudget {
 public:
  // `clock` outlives the budget.
  explicit MemoryBudget(int64_t bytes_max,
                        const Clock* clock = Clock::System());

  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // True, and counted, where `tenant` may have `bytes` more.
  bool Take(MemoryKind kind, const std::string& tenant, int64_t bytes);
  bool HasRoom(const std::string& tenant, int64_t bytes);
  // Counts what is there already (below 0: given back), at the bound too.
  void Add(MemoryKind kind, const std::string& tenant, int64_t bytes);
  // Sets what all tenants share of `kind`.
  void SetShared(MemoryKind kind, int64_t bytes);

  // True where more is held than the bound allows.
  bool IsOver() const;
  int64_t bytes(MemoryKind kind) const;
  int64_t UsedBy(const std::string& tenant) const;
  int64_t bytes_max() const { return bytes_max_; }

 private:
  const int64_t bytes_max_;
  const Clock* const clock_;
  mutable absl::Mutex mutex_;
  FairBound bound_ ABSL_GUARDED_BY(mutex_);
  std::array<int64_t, kMemoryKinds> bytes_ ABSL_GUARDED_BY(mutex_) = {};
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_MEMORY_BUDGET_H_
