#include "tests/engine/tokenizer/reference_pattern.h"

#include <utf8proc.h>

#include <string_view>
#include <utility>

#include "engine/base/check.h"
#include "tests/engine/tokenizer/known_texts.h"

namespace tandem {
namespace {

using Node = ReferencePattern::Node;
using NodePointer = std::shared_ptr<const Node>;
using Test = std::function<bool(char32_t)>;

// The category's name begins with `name`: "Lu" is an "L".
bool HasCategory(char32_t c, const std::string& name) {
  return std::string_view(
             utf8proc_category_string(static_cast<utf8proc_int32_t>(c)))
             .substr(0, name.size()) == name;
}

bool IsSpace(char32_t c) {
  return HasCategory(c, "Z") || (c >= 9 && c <= 13) || c == 0x85;
}

// Simple case folding, as far as ASCII letters are concerned.
char32_t Fold(char32_t c) {
  if (c == 0x17F) return U's';
  if (c == 0x212A) return U'k';
  return c >= U'A' && c <= U'Z' ? c + 32 : c;
}

}  // namespace

struct ReferencePattern::Node {
  enum class Kind { kTest, kSequence, kAlternatives, kRepeat, kNotAhead, kEnd };
  Kind kind;
  Test test = {};
  std::vector<NodePointer> children = {};
  size_t least = 0;
  size_t most = 0;
};

namespace {

class Parser {
 public:
  explicit Parser(std::u32string pattern) : pattern_(std::move(pattern)) {}

  NodePointer Parse() {
    NodePointer node = ParseAlternatives(/*folded=*/false);
    TANDEM_CHECK(at_ == pattern_.size());
    return node;
  }

 private:
  bool Take(std::u32string_view expected) {
    if (pattern_.compare(at_, expected.size(), expected) != 0) return false;
    at_ += expected.size();
    return true;
  }

  NodePointer ParseAlternatives(bool folded) {
    std::vector<NodePointer> children = {ParseSequence(folded)};
    while (Take(U"|")) children.push_back(ParseSequence(folded));
    return std::make_shared<Node>(
        Node{.kind = Node::Kind::kAlternatives, .children = children});
  }

  NodePointer ParseSequence(bool folded) {
    std::vector<NodePointer> children;
    while (at_ < pattern_.size() && pattern_[at_] != U'|' &&
           pattern_[at_] != U')') {
      children.push_back(ParseQuantified(folded));
    }
    return std::make_shared<Node>(
        Node{.kind = Node::Kind::kSequence, .children = children});
  }

  size_t ParseNumber() {
    size_t number = 0;
    while (pattern_[at_] >= U'0' && pattern_[at_] <= U'9') {
      number = number * 10 + (pattern_[at_++] - U'0');
    }
    return number;
  }

  NodePointer ParseQuantified(bool folded) {
    NodePointer atom = ParseAtom(folded);
    constexpr size_t kMany = 1000000;
    const auto repeat = [&atom](size_t least, size_t most) {
      return std::make_shared<Node>(Node{.kind = Node::Kind::kRepeat,
                                         .children = {atom},
                                         .least = least,
                                         .most = most});
    };
    if (Take(U"?")) return repeat(0, 1);
    if (Take(U"*")) return repeat(0, kMany);
    if (Take(U"+")) return repeat(1, kMany);
    if (!Take(U"{")) return atom;
    const size_t least = ParseNumber();
    const size_t most = Take(U",") ? ParseNumber() : least;
    TANDEM_CHECK(Take(U"}"));
    return repeat(least, most);
  }

  NodePointer ParseGroup(bool folded, Node::Kind kind) {
    NodePointer inside = ParseAlternatives(folded);
    TANDEM_CHECK(Take(U")"));
    if (kind == Node::Kind::kAlternatives) return inside;
    return std::make_shared<Node>(Node{.kind = kind, .children = {inside}});
  }

  NodePointer ParseAtom(bool folded) {
    if (Take(U"(?i:")) return ParseGroup(true, Node::Kind::kAlternatives);
    if (Take(U"(?:")) return ParseGroup(folded, Node::Kind::kAlternatives);
    if (Take(U"(?!")) return ParseGroup(folded, Node::Kind::kNotAhead);
    if (Take(U"(")) return ParseGroup(folded, Node::Kind::kAlternatives);
    if (Take(U"$")) {
      return std::make_shared<Node>(Node{.kind = Node::Kind::kEnd});
    }
    Test test = Take(U"[") ? ParseBrackets() : ParseCharacter(folded);
    return std::make_shared<Node>(
        Node{.kind = Node::Kind::kTest, .test = std::move(test)});
  }

  // A class by its escape, or nothing.
  std::optional<Test> ParseClass() {
    if (Take(U"\\s")) return Test(IsSpace);
    if (Take(U"\\S")) return Test([](char32_t c) { return !IsSpace(c); });
    if (!Take(U"\\p{")) return std::nullopt;
    std::string name;
    while (pattern_[at_] != U'}') {
      name.push_back(static_cast<char>(pattern_[at_++]));
    }
    ++at_;
    return Test([name](char32_t c) { return HasCategory(c, name); });
  }

  char32_t ParseLiteral() {
    if (Take(U"\\r")) return U'\r';
    if (Take(U"\\n")) return U'\n';
    if (Take(U"\\x{")) {
      char32_t point = 0;
      while (pattern_[at_] != U'}') {
        const char32_t digit = pattern_[at_++];
        point = point * 16 +
                (digit <= U'9' ? digit - U'0' : (digit | 32) - U'a' + 10);
      }
      ++at_;
      return point;
    }
    if (pattern_[at_] == U'\\') ++at_;
    return pattern_[at_++];
  }

  Test ParseCharacter(bool folded) {
    if (std::optional<Test> named = ParseClass()) return *named;
    const char32_t literal = ParseLiteral();
    if (!folded) return [literal](char32_t c) { return c == literal; };
    return [literal](char32_t c) { return Fold(c) == Fold(literal); };
  }

  Test ParseBrackets() {
    const bool negated = Take(U"^");
    std::vector<Test> tests;
    while (!Take(U"]")) {
      if (std::optional<Test> named = ParseClass()) {
        tests.push_back(*named);
        continue;
      }
      const char32_t first = ParseLiteral();
      char32_t last = first;
      if (pattern_[at_] == U'-' && pattern_[at_ + 1] != U']') {
        ++at_;
        last = ParseLiteral();
      }
      TANDEM_CHECK(first <= last);
      tests.emplace_back(
          [first, last](char32_t c) { return c >= first && c <= last; });
    }
    return [tests, negated](char32_t c) {
      for (const Test& test : tests) {
        if (test(c)) return !negated;
      }
      return negated;
    };
  }

  const std::u32string pattern_;
  size_t at_ = 0;
};

// Calls `go_on` with each end of a match from `at` on, in the order that a
// backtracking matcher tries them, until it says true.
bool Try(const Node& node, const std::u32string& text, size_t at,
         const std::function<bool(size_t)>& go_on);

bool TrySequence(const Node& node, size_t child, const std::u32string& text,
                 size_t at, const std::function<bool(size_t)>& go_on) {
  if (child == node.children.size()) return go_on(at);
  return Try(*node.children[child], text, at, [&, child](size_t end) {
    return TrySequence(node, child + 1, text, end, go_on);
  });
}

bool TryRepeat(const Node& node, size_t count, const std::u32string& text,
               size_t at, const std::function<bool(size_t)>& go_on) {
  if (count < node.most) {
    const bool more =
        Try(*node.children[0], text, at, [&, count, at](size_t end) {
          return end > at && TryRepeat(node, count + 1, text, end, go_on);
        });
    if (more) return true;
  }
  return count >= node.least && go_on(at);
}

bool Try(const Node& node, const std::u32string& text, size_t at,
         const std::function<bool(size_t)>& go_on) {
  switch (node.kind) {
    case Node::Kind::kTest:
      return at < text.size() && node.test(text[at]) && go_on(at + 1);
    case Node::Kind::kSequence:
      return TrySequence(node, 0, text, at, go_on);
    case Node::Kind::kAlternatives:
      for (const NodePointer& child : node.children) {
        if (Try(*child, text, at, go_on)) return true;
      }
      return false;
    case Node::Kind::kRepeat:
      return TryRepeat(node, 0, text, at, go_on);
    case Node::Kind::kNotAhead:
      return !Try(*node.children[0], text, at, [](size_t) { return true; }) &&
             go_on(at);
    case Node::Kind::kEnd:
      return at == text.size() && go_on(at);
  }
  return false;
}

}  // namespace

ReferencePattern::ReferencePattern(const std::string& pattern)
    : root_(Parser(ToCodePoints(pattern)).Parse()) {}

std::optional<size_t> ReferencePattern::Match(const std::u32string& text,
                                              size_t begin) const {
  std::optional<size_t> end;
  Try(*root_, text, begin, [&end](size_t at) {
    end = at;
    return true;
  });
  return end;
}

std::vector<std::u32string> ReferencePattern::Split(
    const std::u32string& text) const {
  std::vector<std::u32string> words;
  size_t unmatched = 0;
  for (size_t at = 0; at < text.size();) {
    const std::optional<size_t> end = Match(text, at);
    if (!end.has_value() || *end == at) {
      ++at;
      continue;
    }
    if (at > unmatched) words.push_back(text.substr(unmatched, at - unmatched));
    words.push_back(text.substr(at, *end - at));
    at = *end;
    unmatched = at;
  }
  if (unmatched < text.size()) words.push_back(text.substr(unmatched));
  return words;
}

std::u32string ToCodePoints(const std::string& utf8) {
  std::u32string points;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(utf8.data());
  for (size_t at = 0; at < utf8.size();) {
    utf8proc_int32_t point = 0;
    const utf8proc_ssize_t length = utf8proc_iterate(
        bytes + at, static_cast<utf8proc_ssize_t>(utf8.size() - at), &point);
    TANDEM_CHECK(length > 0);
    points.push_back(static_cast<char32_t>(point));
    at += static_cast<size_t>(length);
  }
  return points;
}

std::vector<std::string> SplitByPatterns(
    const std::vector<ReferencePattern>& patterns, const std::string& text) {
  std::vector<std::u32string> words = {ToCodePoints(text)};
  if (text.empty()) words.clear();
  for (const ReferencePattern& reference : patterns) {
    std::vector<std::u32string> cut;
    for (const std::u32string& word : words) {
      for (std::u32string& part : reference.Split(word)) {
        cut.push_back(std::move(part));
      }
    }
    words = std::move(cut);
  }
  std::vector<std::string> utf8;
  for (const std::u32string& word : words) {
    std::string& text8 = utf8.emplace_back();
    for (const char32_t point : word) AppendUtf8(point, &text8);
  }
  return utf8;
}

}  // namespace tandem
