// Which workers have lately computed which beginnings of sequences, so that a
// sequence that begins alike goes to a worker that may still have its KV. This
// is a guess: workers drop KV when they need pages, and a wrong guess costs
// only time. Owned by the router; the event loop's.
//
// Sequences are cut into blocks of kPrefixBlockTokens. A block's hash covers
// all tokens before it, the tenant (KV is never shared between tenants) and the
// model's fingerprint.

#ifndef TANDEM_SERVICES_COORDINATOR_ROUTING_PREFIX_MAP_H_
#define TANDEM_SERVICES_COORDINATOR_ROUTING_PREFIX_MAP_H_

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/types.h"

namespace tandem {

// A whole number of KV pages of a worker.
inline constexpr Position kPrefixBlockTokens = 64;

// A sequence's beginning.
struct PrefixKey {
  absl::string_view tenant;
  absl::string_view fingerprint;  // of the model that computes
  absl::Span<const TokenId> tokens;
};

struct PrefixHolder {
  std::string worker;  // its address
  Position tokens = 0;

  friend bool operator==(const PrefixHolder&, const PrefixHolder&) = default;
};

class PrefixMap {
 public:
  // Blocks that are kept, about kBlockBytes each; one more drops the block that
  // was not used for longest.
  static constexpr size_t kBlocksMax = 1 << 18;
  // Workers that are kept for one block; one more drops the oldest.
  static constexpr size_t kHoldersMax = 4;
  // Names of workers that are kept; one more makes the map forget everything.
  static constexpr size_t kWorkerNamesMax = 1 << 16;

  explicit PrefixMap(size_t blocks_max = kBlocksMax)
      : blocks_max_(blocks_max) {}

  // `worker` has computed all of the key's full blocks.
  void Add(const PrefixKey& key, const std::string& worker);
  // The workers that have a beginning of the sequence, each with the longest
  // one that it has; the longest first, at most kHoldersMax.
  std::vector<PrefixHolder> Find(const PrefixKey& key);

  size_t blocks() const { return blocks_.size(); }
  // A block with its list and hash nodes.
  static constexpr int64_t kBlockBytes = 100;

 private:
  struct Block {
    uint64_t hash = 0;
    std::vector<uint32_t> holders;  // numbers of workers, newest first
  };
  using Blocks = std::list<Block>;  // the block that was used last is first

  static std::vector<uint64_t> HashBlocks(const PrefixKey& key);
  uint32_t NumberOf(const std::string& worker);

  const size_t blocks_max_;
  Blocks blocks_;
  std::unordered_map<uint64_t, Blocks::iterator> by_hash_;
  std::vector<std::string> workers_;  // by number
  std::unordered_map<std::string, uint32_t> numbers_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_ROUTING_PREFIX_MAP_H_
