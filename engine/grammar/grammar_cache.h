// Compiled grammars of one vocabulary, so that turns with the same grammar
// share its masks. Thread safe.

#ifndef TANDEM_ENGINE_GRAMMAR_GRAMMAR_CACHE_H_
#define TANDEM_ENGINE_GRAMMAR_GRAMMAR_CACHE_H_

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/token_masks.h"
#include "engine/grammar/automaton/token_trie.h"
#include "engine/grammar/grammar_source.h"

namespace tandem {

// Grammars that a vocabulary keeps. A grammar of 50 properties takes 0.3 MiB,
// the largest about 10 MiB and kMaskBytesMax of masks.
inline constexpr size_t kGrammarsMax = 16;

class GrammarCache {
 public:
  // Keeps the `capacity` >= 1 grammars that were used last.
  GrammarCache(std::shared_ptr<const TokenTrie> trie, size_t capacity)
      : trie_(std::move(trie)), capacity_(capacity) {}

  // The masks of a grammar, which hold the trie too; none is computed yet where
  // the grammar is new. That takes 2 ms for a schema of 50 properties, and up
  // to 1 s. Errors: as CompileGrammar.
  absl::StatusOr<std::shared_ptr<const TokenMasks>> Get(
      const GrammarSource& source);

  const TokenTrie& trie() const { return *trie_; }

 private:
  using Entry = std::pair<std::string, std::shared_ptr<const TokenMasks>>;

  const std::shared_ptr<const TokenTrie> trie_;
  const size_t capacity_;
  absl::Mutex mutex_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);  // the last used first
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> by_key_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_GRAMMAR_CACHE_H_
