#include "services/coordinator/routing/prefix_map.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace tandem {

std::vector<uint64_t> PrefixMap::HashBlocks(const PrefixKey& key) {
  constexpr size_t kBlock = kPrefixBlockTokens;
  size_t hash = absl::HashOf(key.tenant, key.fingerprint);
  std::vector<uint64_t> hashes;
  hashes.reserve(key.tokens.size() / kBlock);
  for (size_t end = kBlock; end <= key.tokens.size(); end += kBlock) {
    hash = absl::HashOf(hash, key.tokens.subspan(end - kBlock, kBlock));
    hashes.push_back(hash);
  }
  return hashes;
}

uint32_t PrefixMap::NumberOf(const std::string& worker) {
  const auto found = numbers_.find(worker);
  if (found != numbers_.end()) return found->second;
  if (workers_.size() == kWorkerNamesMax) {
    blocks_.clear();
    by_hash_.clear();
    workers_.clear();
    numbers_.clear();
  }
  const uint32_t number = static_cast<uint32_t>(workers_.size());
  workers_.push_back(worker);
  numbers_.emplace(worker, number);
  return number;
}

// Later blocks of a sequence are touched first, so that they are dropped first:
// a block is of no use without those before it.
void PrefixMap::Add(const PrefixKey& key, const std::string& worker) {
  std::vector<uint64_t> hashes = HashBlocks(key);
  if (hashes.size() > blocks_max_) hashes.resize(blocks_max_);
  const uint32_t number = NumberOf(worker);
  for (auto hash = hashes.rbegin(); hash != hashes.rend(); ++hash) {
    const auto found = by_hash_.find(*hash);
    if (found == by_hash_.end()) {
      blocks_.push_front({.hash = *hash, .holders = {}});
      by_hash_.emplace(*hash, blocks_.begin());
    } else {
      blocks_.splice(blocks_.begin(), blocks_, found->second);
    }
    std::vector<uint32_t>& holders = blocks_.front().holders;
    std::erase(holders, number);
    holders.insert(holders.begin(), number);
    if (holders.size() > kHoldersMax) holders.pop_back();
  }
  while (blocks_.size() > blocks_max_) {
    by_hash_.erase(blocks_.back().hash);
    blocks_.pop_back();
  }
}

std::vector<PrefixHolder> PrefixMap::Find(const PrefixKey& key) {
  const std::vector<uint64_t> hashes = HashBlocks(key);
  std::vector<const Block*> found;
  for (const uint64_t hash : hashes) {
    const auto it = by_hash_.find(hash);
    if (it == by_hash_.end()) break;
    found.push_back(&*it->second);
  }
  std::vector<PrefixHolder> holders;
  std::vector<uint32_t> seen;
  for (size_t i = found.size(); i-- > 0 && holders.size() < kHoldersMax;) {
    for (const uint32_t number : found[i]->holders) {
      if (std::find(seen.begin(), seen.end(), number) != seen.end()) continue;
      seen.push_back(number);
      holders.push_back(
          {.worker = workers_[number],
           .tokens = static_cast<Position>(i + 1) * kPrefixBlockTokens});
      if (holders.size() == kHoldersMax) break;
    }
  }
  return holders;
}

}  // namespace tandem
