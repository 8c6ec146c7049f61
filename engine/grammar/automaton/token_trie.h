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

// A control token stands in the tree as its name between these two bytes, which
// no UTF-8 has: no grammar takes it but one that names it.
inline constexpr char kControlBegin = '\xFF';
inline constexpr char kControlEnd = '\xFE';
// Real names have under 100 bytes; a control token with a longer one can not be
// named.
inline constexpr size_t kControlNameBytesMax = 255;

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
  // 0xFF). `control_names` [vocab_size], or nothing: the names of those with
  // "" that are control tokens, "" for others.
  explicit TokenTrie(absl::Span<const absl::string_view> texts,
                     absl::Span<const absl::string_view> control_names = {});

  int vocab_size() const { return static_cast<int>(text_begins_.size()) - 1; }
  const std::vector<Node>& nodes() const { return nodes_; }
  // Ids by node; tokens with equal bytes have one node.
  const std::vector<TokenId>& tokens() const { return tokens_; }
  // What it is in the tree: of a control token its name between kControlBegin
  // and kControlEnd, "" for a token that is never in a mask.
  absl::string_view text(TokenId id) const {
    return absl::string_view(bytes_).substr(
        text_begins_[id], text_begins_[id + 1] - text_begins_[id]);
  }
  // A control token that a grammar can name.
  bool IsControl(TokenId id) const {
    return !text(id).empty() && text(id).front() == kControlBegin;
  }
  // The longest token that `text` begins with; -1 where there is none.
  TokenId LongestIn(absl::string_view text) const;
  // `text` with the names of control tokens, at each place the longest, as they
  // are in the tree.
  std::string WithControlTokens(absl::string_view text) const;

 private:
  // Bytes of the longest name of a control token that `text` begins with; 0
  // where there is none.
  size_t ControlNameIn(absl::string_view text) const;

  std::string bytes_;                  // of all texts
  std::vector<uint32_t> text_begins_;  // [vocab_size + 1]
  std::vector<Node> nodes_;
  std::vector<TokenId> tokens_;
  uint32_t control_node_ = 0;  // of kControlBegin; behind all where none is
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_AUTOMATON_TOKEN_TRIE_H_
