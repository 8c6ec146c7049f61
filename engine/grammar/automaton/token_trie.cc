#include "engine/grammar/automaton/token_trie.h"

#include <algorithm>
#include <cstddef>

#include "engine/base/check.h"

namespace tandem {
namespace {

bool HasByteOutsideUtf8(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
  });
}

size_t CommonBytes(absl::string_view a, absl::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  size_t common = 0;
  while (common < most && a[common] == b[common]) ++common;
  return common;
}

}  // namespace

TokenTrie::TokenTrie(absl::Span<const absl::string_view> texts) {
  text_begins_.push_back(0);
  for (const absl::string_view text : texts) {
    TANDEM_CHECK(text.size() <= kTrieTextBytesMax);
    if (!HasByteOutsideUtf8(text)) {
      bytes_.append(text.data(), text.size());
    }
    text_begins_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  std::vector<TokenId> sorted;
  for (TokenId id = 0; id < vocab_size(); ++id) {
    if (!text(id).empty()) sorted.push_back(id);
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [this](TokenId a, TokenId b) { return text(a) < text(b); });
  std::vector<uint32_t> path;  // nodes from the root to the last one
  absl::string_view last;
  const auto close_down_to = [&](size_t depth) {
    for (; path.size() > depth; path.pop_back()) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
    }
  };
  for (const TokenId id : sorted) {
    const absl::string_view bytes = text(id);
    close_down_to(CommonBytes(last, bytes));
    while (path.size() < bytes.size()) {
      const size_t depth = path.size();
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      const auto tokens_here = static_cast<uint32_t>(tokens_.size());
      nodes_.push_back({.byte = static_cast<uint8_t>(bytes[depth]),
                        .depth = static_cast<uint16_t>(depth + 1),
                        .tokens_begin = tokens_here,
                        .tokens_end = tokens_here});
    }
    tokens_.push_back(id);
    nodes_[path.back()].tokens_end = static_cast<uint32_t>(tokens_.size());
    last = bytes;
  }
  close_down_to(0);
}

TokenId TokenTrie::LongestIn(absl::string_view text) const {
  TokenId longest = -1;
  size_t depth = 0;
  uint32_t node = 0;
  auto end = static_cast<uint32_t>(nodes_.size());
  while (depth < text.size() && node < end) {
    if (nodes_[node].byte != static_cast<uint8_t>(text[depth])) {
      node = nodes_[node].end;
      continue;
    }
    if (nodes_[node].tokens_begin < nodes_[node].tokens_end) {
      longest = tokens_[nodes_[node].tokens_begin];
    }
    end = nodes_[node].end;
    ++node;
    ++depth;
  }
  return longest;
}

}  // namespace tandem
