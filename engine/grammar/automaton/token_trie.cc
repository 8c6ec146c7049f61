#include "engine/grammar/automaton/token_trie.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

bool HasByteOutsideUtf8(absl::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
  });
}

bool CanBeNamed(absl::string_view name) {
  return !name.empty() && name.size() <= kControlNameBytesMax &&
         !HasByteOutsideUtf8(name);
}

void AppendControl(absl::string_view name, std::string* bytes) {
  bytes->push_back(kControlBegin);
  absl::StrAppend(bytes, name);
  bytes->push_back(kControlEnd);
}

size_t CommonBytes(absl::string_view a, absl::string_view b) {
  const size_t most = std::min(a.size(), b.size());
  size_t common = 0;
  while (common < most && a[common] == b[common]) ++common;
  return common;
}

}  // namespace

TokenTrie::TokenTrie(absl::Span<const absl::string_view> texts,
                     absl::Span<const absl::string_view> control_names) {
  TANDEM_CHECK(control_names.empty() || control_names.size() == texts.size());
  text_begins_.push_back(0);
  for (size_t i = 0; i < texts.size(); ++i) {
    TANDEM_CHECK(texts[i].size() <= kTrieTextBytesMax);
    if (!HasByteOutsideUtf8(texts[i])) absl::StrAppend(&bytes_, texts[i]);
    if (texts[i].empty() && !control_names.empty() &&
        CanBeNamed(control_names[i])) {
      AppendControl(control_names[i], &bytes_);
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
  while (control_node_ < nodes_.size() &&
         nodes_[control_node_].byte != static_cast<uint8_t>(kControlBegin)) {
    control_node_ = nodes_[control_node_].end;
  }
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

size_t TokenTrie::ControlNameIn(absl::string_view text) const {
  if (control_node_ == nodes_.size()) return 0;
  size_t longest = 0;
  uint32_t node = control_node_ + 1;
  uint32_t end = nodes_[control_node_].end;
  for (size_t depth = 0; node < end; ++depth) {
    uint32_t found = end;
    for (; node < end; node = nodes_[node].end) {
      if (nodes_[node].byte == static_cast<uint8_t>(kControlEnd)) {
        longest = depth;
      } else if (depth < text.size() &&
                 nodes_[node].byte == static_cast<uint8_t>(text[depth])) {
        found = node;
      }
    }
    if (found == end) break;
    node = found + 1;
    end = nodes_[found].end;
  }
  return longest;
}

std::string TokenTrie::WithControlTokens(absl::string_view text) const {
  std::string bytes;
  while (!text.empty()) {
    const size_t name = ControlNameIn(text);
    if (name > 0) {
      AppendControl(text.substr(0, name), &bytes);
    } else {
      bytes.push_back(text.front());
    }
    text.remove_prefix(std::max<size_t>(name, 1));
  }
  return bytes;
}

}  // namespace tandem
