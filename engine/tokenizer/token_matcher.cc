#include "engine/tokenizer/token_matcher.h"

#include <algorithm>
#include <cstdint>

namespace tandem {

std::optional<std::pair<TokenId, TokenId>> TokenMatcher::Build() {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) {
              return a.text != b.text ? a.text < b.text : a.id < b.id;
            });
  std::optional<std::pair<TokenId, TokenId>> twice;
  const auto is_same = [&twice](const Entry& a, const Entry& b) {
    if (a.text != b.text) return false;
    if (!twice.has_value()) twice.emplace(a.id, b.id);
    return true;
  };
  entries_.erase(std::unique(entries_.begin(), entries_.end(), is_same),
                 entries_.end());
  for (const Entry& entry : entries_) {
    begins_[static_cast<uint8_t>(entry.text[0])] = true;
  }
  return twice;
}

std::optional<TokenId> TokenMatcher::Longest(absl::string_view text) const {
  if (text.empty() || !begins_[static_cast<uint8_t>(text[0])]) {
    return std::nullopt;
  }
  std::optional<TokenId> longest;
  auto begin = entries_.begin();
  auto end = entries_.end();
  // [begin, end): those that begin with the first `depth` bytes of `text`.
  for (size_t depth = 0; begin != end; ++depth) {
    if (begin->text.size() == depth) longest = (begin++)->id;
    if (depth == text.size()) break;
    const auto byte_of = [depth](const Entry& entry) {
      return static_cast<uint8_t>(entry.text[depth]);
    };
    const auto wanted = static_cast<uint8_t>(text[depth]);
    begin = std::partition_point(begin, end, [&](const Entry& entry) {
      return byte_of(entry) < wanted;
    });
    end = std::partition_point(begin, end, [&](const Entry& entry) {
      return byte_of(entry) == wanted;
    });
  }
  return longest;
}

std::optional<TokenId> TokenMatcher::Find(absl::string_view text) const {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), text,
      [](const Entry& entry, absl::string_view t) { return entry.text < t; });
  if (found == entries_.end() || found->text != text) return std::nullopt;
  return found->id;
}

size_t TokenMatcher::NextStart(absl::string_view text, size_t from) const {
  if (empty()) return text.size();
  for (size_t at = from; at < text.size(); ++at) {
    if (Longest(text.substr(at)).has_value()) return at;
  }
  return text.size();
}

}  // namespace tandem
