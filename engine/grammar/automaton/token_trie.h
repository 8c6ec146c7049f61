// The tokens of a vocabulary as a tree over their bytes, for walks that read
// many tokens at once. Immutable; any thread may read it.

#ifndef TANDEM_ENGINE_GRAMMAR_AUTOMATON_TOKEN_TRIE_H_
#define TANDEM_ENGINE_GRAMMAR_AUTOMATON_TOKEN_TRIE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/types.h"

namespace tandem {

inline constexpr size_t kTrieTextBytesMax = 65'535;

class TokenTrie {
 public:
  // Nodes stand in depth-first order: the first child of node i, if there is
  // one, is node i + 1, and what follows the subtree of i is node `end`.
  struct Node {
    uint8_t byte = 0;
    uint16_t depth = 0;  // bytes up to here, at least 1
    uint32_t end = 0;
    uint32_t tokens_begin = 0, tokens_end = 0;  // in tokens()
  };

  // `texts` [vocab_size]: the bytes that each token adds to a text, at most
  // kTrieTextBytesMax each. A token with "" (a special one, an end) is never in
  // a mask; nor is one with a byte that no UTF-8 has (0xC0, 0xC1, 0xF5 ..
  // 0xFF).
  explicit TokenTrie(absl::Span<const absl::string_view> texts);

  int vocab_size() const { return static_cast<int>(text_begins_.size()) - 1; }
  const std::vector<Node>& nodes() const { return nodes_; }
  // Ids by node; tokens with equal bytes have one node.
  const std::vector<TokenId>& tokens() const { return tokens_; }
  // "" for a token that is never in a mask.
  absl::string_view text(TokenId id) const {
    return absl::string_view(bytes_).substr(
        text_begins_[id], text_begins_[id + 1] - text_begins_[id]);
  }
  // The longest token that `text` begins with; -1 where there is none.
  TokenId LongestIn(absl::string_view text) const;

 private:
  std::string bytes_;                  // of all texts
  std::vector<uint32_t> text_begins_;  // [vocab_size + 1]
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_TOKEN_TRIE_H_
