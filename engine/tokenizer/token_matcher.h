// Finds tokens by their text at the start of a text: user-defined and special
// tokens, which are taken before anything is merged. Owned by its tokenizer;
// immutable after Build, so any thread may look.

#ifndef TANDEM_ENGINE_TOKENIZER_TOKEN_MATCHER_H_
#define TANDEM_ENGINE_TOKENIZER_TOKEN_MATCHER_H_

#include <array>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/types.h"

namespace tandem {

class TokenMatcher {
 public:
  // `text` is not empty and outlives the matcher.
  void Add(absl::string_view text, TokenId id) {
    entries_.push_back({text, id});
  }
  // Before the first look. Of tokens with one text the lowest id stays; the
  // first such pair is returned.
  std::optional<std::pair<TokenId, TokenId>> Build();

  bool empty() const { return entries_.empty(); }
  // The token with the longest text that `text` begins with.
  std::optional<TokenId> Longest(absl::string_view text) const;
  // The token with this text.
  std::optional<TokenId> Find(absl::string_view text) const;
  // The first place from `from` on where Longest finds a token; the size of
  // `text` where there is none.
  size_t NextStart(absl::string_view text, size_t from) const;

 private:
  struct Entry {
    absl::string_view text;
    TokenId id;
  };

  std::vector<Entry> entries_;      // sorted by text
  std::array<bool, 256> begins_{};  // a text begins with this byte
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_TOKEN_MATCHER_H_
