#include "engine/grammar/grammar_cache.h"

namespace tandem {

absl::StatusOr<std::shared_ptr<const TokenMasks>> GrammarCache::Get(
    const GrammarSource& source) {
  const std::string key = KeyOf(source);
  {
    const absl::MutexLock lock(&mutex_);
    if (const auto known = by_key_.find(key); known != by_key_.end()) {
      entries_.splice(entries_.begin(), entries_, known->second);
      return entries_.front().second;
    }
  }
  // Without the lock: others may compile the same meanwhile, and one stays.
  TANDEM_ASSIGN_OR_RETURN(Grammar grammar, CompileGrammar(source, *trie_));
  auto masks = std::make_shared<const TokenMasks>(std::move(grammar), trie_);
  const absl::MutexLock lock(&mutex_);
  if (const auto known = by_key_.find(key); known != by_key_.end()) {
    return known->second->second;
  }
  entries_.emplace_front(key, masks);
  by_key_[key] = entries_.begin();
  if (entries_.size() > capacity_) {
    by_key_.erase(entries_.back().first);
    entries_.pop_back();
  }
  return masks;
}

}  // namespace tandem
