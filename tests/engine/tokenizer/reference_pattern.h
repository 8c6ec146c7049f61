// A small backtracking matcher of regular expressions, slow and plain: the
// oracle of the scanners. It reads the expressions as they are published.
//
// Known: literals, \r \n \s \S \p{..} \x{..} and escaped characters, brackets
// with ranges, (?: (?i: (?! and plain groups, | ? * + {m} {m,n}, and $ (the end
// of the text).

#ifndef TANDEM_TESTS_ENGINE_TOKENIZER_REFERENCE_PATTERN_H_
#define TANDEM_TESTS_ENGINE_TOKENIZER_REFERENCE_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tandem {

class ReferencePattern {
 public:
  // `pattern` is UTF-8 and well formed.
  explicit ReferencePattern(const std::string& pattern);

  // The end of the match of the characters from `begin` on, if there is one.
  std::optional<size_t> Match(const std::u32string& text, size_t begin) const;

  // Matches, and what is between them, in order.
  std::vector<std::u32string> Split(const std::u32string& text) const;

  struct Node;

 private:
  std::shared_ptr<const Node> root_;
};

// The words that patterns cut `text` into, one after the other.
std::vector<std::string> SplitByPatterns(
    const std::vector<ReferencePattern>& patterns, const std::string& text);

std::u32string ToCodePoints(const std::string& utf8);

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_TOKENIZER_REFERENCE_PATTERN_H_
