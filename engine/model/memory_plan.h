// How much KV each model of a process gets: one pure function of what the
// machine has and of what the models need, both known before weights are read.
// Values only; any thread.
//
// The context is the file's, whatever the memory: it is part of the
// fingerprint. Only the KV pool follows the memory.

#ifndef TANDEM_ENGINE_MODEL_MEMORY_PLAN_H_
#define TANDEM_ENGINE_MODEL_MEMORY_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/machine_memory.h"
#include "engine/base/status.h"
#include "engine/base/types.h"

namespace tandem {

// A pool has as many whole contexts where they fit.
inline constexpr int64_t kPlanContexts = 4;
// Tokens without which a model is of no use, where its context has as many.
inline constexpr int64_t kPlanTokensMin = 2048;
// What stays free of the memory there is: the process beside its models (gRPC,
// sessions, text in work), page tables, and the pages of the file that is being
// read. A worker with the demo's target has 31 MiB beside weights and KV, and
// 34 MiB after 16 turns at once; the share is for what others take meanwhile.
inline constexpr int64_t kPlanReserveBytes = int64_t{96} << 20;
inline constexpr int64_t kPlanReserveShare = 32;

// What one model needs. A page is the KV of kKvPageTokens tokens.
struct ModelNeeds {
  std::string model = {};    // its name
  int64_t weight_bytes = 0;  // as packed; 0: in memory already
  int64_t scratch_bytes = 0;
  int64_t page_bytes = 0;  // with what is kept about a page
  // RoPE and attention's scratch, for each position that a sequence can have.
  int64_t position_bytes = 0;
  // Positions that the longest sequence gets for each page of the pool; more
  // than a page's tokens where layers have windows.
  int64_t positions_per_page = 0;
  Position context = 0;
  int64_t kv_tokens = 0;  // asked for; 0: what fits
};

struct KvPlan {
  int64_t kv_tokens = 0;  // whole pages
  int64_t kv_bytes = 0;   // of the pages
  // All that the model will take: weights, scratch, KV and positions.
  int64_t total_bytes = 0;
};

struct MemoryPlan {
  std::vector<KvPlan> models;  // in the order of the needs
  int64_t room_bytes = 0;      // there was for them, less the reserve
  std::string limit;           // what said so
  bool is_shared = false;      // half of what was left stays for others
};

// Errors: RESOURCE_EXHAUSTED with EXHAUSTED, one line that says how many bytes
// are needed, how many there are, by which limit, and what helps: `what_helps`,
// or the flags of a worker where that is empty.
absl::StatusOr<MemoryPlan> PlanMemory(const MachineMemory& machine,
                                      absl::Span<const ModelNeeds> needs,
                                      absl::string_view what_helps = {});

// "context 4096, KV 8192 tokens (2 whole contexts), weights ...": what was
// chosen for model number `index` and why.
std::string DescribePlan(const MemoryPlan& plan, const ModelNeeds& needs,
                         size_t index);

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_MEMORY_PLAN_H_
