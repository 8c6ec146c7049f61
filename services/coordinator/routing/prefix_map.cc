#include "services/coordinator/routing/prefix_map.h"

#include <algorithm>

namespace tandem {
namespace {

uint64_t Mix(uint64_t hash) {  // the finaliser of MurmurHash3
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdull;
  hash ^= hash >> 33;
  hash *= 0xc4ceb9fe1a85ec53ull;
  return hash ^ (hash >> 33);
}

uint64_t Add(uint64_t hash, uint64_t value) {
  return Mix(hash + 0x9e3779b97f4a7c15ull + value);
}

uint64_t AddText(uint64_t hash, absl::string_view text) {
  hash = Add(hash, text.size());
  for (const char byte : text) {
    hash = Add(hash, static_cast<unsigned char>(byte));
  }
  return hash;
}

}  // namespace

std::vector<uint64_t> PrefixMap::HashBlocks(const PrefixKey& key) {
  uint64_t hash = AddText(AddText(0, key.tenant), key.fingerprint);
  std::vector<uint64_t> hashes;
  const size_t blocks = key.tokens.size() / kPrefixBlockTokens;
  hashes.reserve(blocks);
  size_t token = 0;
  for (size_t block = 0; block < blocks; ++block) {
    for (Position i = 0; i < kPrefixBlockTokens; ++i) {
      hash = tandem::Add(hash, static_cast<uint64_t>(key.tokens[token++]));
    }
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

// Later blocks are touched first, so that of one sequence they go first: a
// block is of no use without those before it.
void PrefixMap::Add(const PrefixKey& key, const std::string& worker) {
  std::vector<uint64_t> hashes = HashBlocks(key);
  if (hashes.size() > blocks_max_) hashes.resize(blocks_max_);
  const std::lock_guard<std::mutex> lock(mutex_);
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
  const std::lock_guard<std::mutex> lock(mutex_);
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

size_t PrefixMap::blocks() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return blocks_.size();
}

}  // namespace tandem
