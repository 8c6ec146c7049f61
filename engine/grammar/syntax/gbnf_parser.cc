#include "engine/grammar/syntax/gbnf_parser.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/grammar/automaton/char_set.h"
#include "engine/grammar/syntax/text_cursor.h"

namespace tandem {
namespace {

constexpr uint32_t kEnd = TextCursor::kEnd;

bool IsNameCharacter(uint32_t c) {
  return c < 0x80 &&
         (absl::ascii_isalnum(static_cast<uint8_t>(c)) || c == '-' || c == '_');
}

class GbnfParser {
 public:
  GbnfParser(TextCursor cursor, GrammarBuilder* builder)
      : cursor_(std::move(cursor)), builder_(builder) {}

  absl::StatusOr<RuleId> Parse() {
    SkipSpace(true);
    while (!cursor_.AtEnd()) {
      TANDEM_RETURN_IF_ERROR(Definition());
      SkipSpace(true);
    }
    for (const auto& [name, rule] : rules_) {
      if (!rule.defined_at.has_value()) {
        return cursor_.LineErrorAt(rule.used_at,
                                   absl::StrCat("there is no rule ", name));
      }
    }
    const auto root = rules_.find("root");
    if (root == rules_.end()) {
      return cursor_.LineErrorAt(0, "there is no rule root");
    }
    return root->second.body;
  }

 private:
  // A rule is made where its name stands first; `body` is what stands for it,
  // named by the place of its definition.
  struct Rule {
    RuleId body = 0;
    size_t used_at = 0;
    std::optional<size_t> defined_at;
  };

  absl::Status Error(absl::string_view what) const {
    return cursor_.LineErrorAt(cursor_.place(), what);
  }

  // Blanks and comments; line feeds too if `over_lines`.
  void SkipSpace(bool over_lines) {
    while (true) {
      const uint32_t c = cursor_.Peek();
      if (c == '#') {
        while (!cursor_.AtEnd() && cursor_.Peek() != '\n' &&
               cursor_.Peek() != '\r') {
          cursor_.Next();
        }
      } else if (c == ' ' || c == '\t' ||
                 (over_lines && (c == '\n' || c == '\r'))) {
        cursor_.Next();
      } else {
        return;
      }
    }
  }

  std::string Name() {
    std::string name;
    while (IsNameCharacter(cursor_.Peek())) {
      name.push_back(static_cast<char>(cursor_.Next()));
    }
    return name;
  }

  Rule& RuleNamed(const std::string& name, size_t place) {
    const auto [rule, is_new] = rules_.try_emplace(name);
    if (is_new) {
      rule->second.used_at = place;
      rule->second.body = builder_->AddRule(name);
    }
    return rule->second;
  }

  absl::Status Definition() {
    const size_t place = cursor_.place();
    const std::string line_and_column = cursor_.LineAndColumn();
    const std::string name = Name();
    if (name.empty()) return Error("expected the name of a rule");
    SkipSpace(false);
    if (!cursor_.Take("::=")) return Error("expected ::= after a rule's name");
    Rule& rule = RuleNamed(name, place);
    if (rule.defined_at.has_value()) {
      return cursor_.LineErrorAt(
          place, absl::StrCat("the rule ", name, " is there twice"));
    }
    rule.defined_at = place;
    const RuleId body = rule.body;
    SkipSpace(true);
    TANDEM_ASSIGN_OR_RETURN(const ExprId expr, Alternatives(0));
    if (!cursor_.AtEnd() && cursor_.Peek() != '\n' && cursor_.Peek() != '\r') {
      return Error("expected the end of the line");
    }
    builder_->SetBody(body, expr);
    builder_->SetName(body, absl::StrCat(line_and_column, ": rule ", name));
    return absl::OkStatus();
  }

  absl::StatusOr<ExprId> Alternatives(int depth) {
    if (depth > kGrammarDepthMax) {
      return Error(
          absl::StrCat("groups are nested deeper than ", kGrammarDepthMax));
    }
    std::vector<ExprId> branches;
    while (true) {
      TANDEM_ASSIGN_OR_RETURN(const ExprId branch, Branch(depth));
      branches.push_back(branch);
      if (!cursor_.Take("|")) break;
      SkipSpace(true);
    }
    return builder_->OneOf(std::move(branches));
  }

  absl::StatusOr<ExprId> Branch(int depth) {
    std::vector<ExprId> parts;
    while (true) {
      const uint32_t c = cursor_.Peek();
      if (cursor_.AtEnd() || c == '|' || c == ')' || c == '\n' || c == '\r') {
        return builder_->Sequence(std::move(parts));
      }
      TANDEM_ASSIGN_OR_RETURN(ExprId element, Element(depth));
      SkipSpace(depth > 0);
      while (true) {
        TANDEM_ASSIGN_OR_RETURN(const std::optional<Bounds> bounds,
                                Quantifier());
        if (!bounds.has_value()) break;
        element = builder_->Repeat(element, *bounds);
        SkipSpace(depth > 0);
      }
      parts.push_back(element);
    }
  }

  absl::StatusOr<ExprId> Element(int depth) {
    const size_t place = cursor_.place();
    if (IsNameCharacter(cursor_.Peek())) {
      const std::string name = Name();
      return builder_->Call(RuleNamed(name, place).body);
    }
    const uint32_t c = cursor_.Next();
    switch (c) {
      case '"':
        return Literal(place);
      case '[':
        return Class(place);
      case '.':
        return builder_->Chars(CharSet::Any());
      case '(': {
        SkipSpace(true);
        TANDEM_ASSIGN_OR_RETURN(const ExprId group, Alternatives(depth + 1));
        if (!cursor_.Take(")")) {
          return cursor_.LineErrorAt(place, "\"(\" without \")\"");
        }
        return group;
      }
      case '<':
      case '!':
        return cursor_.LineErrorAt(place,
                                   "tokens in a grammar are not supported");
      case '*':
      case '+':
      case '?':
      case '{':
        return cursor_.LineErrorAt(place, "nothing to repeat");
      default:
        return cursor_.LineErrorAt(
            place,
            "expected a rule's name, \"text\", [characters], . or (group)");
    }
  }

  absl::StatusOr<std::optional<Bounds>> Quantifier() {
    if (cursor_.Take("*")) return Bounds{.least = 0, .most = kUnbounded};
    if (cursor_.Take("+")) return Bounds{.least = 1, .most = kUnbounded};
    if (cursor_.Take("?")) return Bounds{.least = 0, .most = 1};
    const size_t place = cursor_.place();
    if (!cursor_.Take("{")) return std::nullopt;
    SkipSpace(false);
    const std::optional<uint32_t> least = cursor_.TakeNumber(kRepeatMax);
    SkipSpace(false);
    std::optional<uint32_t> most = least;
    if (cursor_.Take(",")) {
      SkipSpace(false);
      most =
          cursor_.Peek() == '}' ? kUnbounded : cursor_.TakeNumber(kRepeatMax);
      SkipSpace(false);
    }
    if (!least.has_value() || !most.has_value() || !cursor_.Take("}")) {
      return cursor_.LineErrorAt(place, "expected {N}, {N,} or {N,M}");
    }
    const Bounds counts = {.least = *least, .most = *most};
    const std::string wrong = WrongCounts(counts);
    if (!wrong.empty()) return cursor_.LineErrorAt(place, wrong);
    return counts;
  }

  absl::StatusOr<ExprId> Literal(size_t place) {
    std::string text;
    while (!cursor_.Take("\"")) {
      TANDEM_ASSIGN_OR_RETURN(const uint32_t c, Character(place, "\""));
      AppendUtf8Of(c, &text);
    }
    return builder_->Literal(text);
  }

  absl::StatusOr<ExprId> Class(size_t place) {
    const bool is_negated = cursor_.Take("^");
    std::vector<CharRange> ranges;
    while (!cursor_.Take("]")) {
      const size_t range_place = cursor_.place();
      TANDEM_ASSIGN_OR_RETURN(const uint32_t first, Character(place, "]"));
      uint32_t last = first;
      if (cursor_.Peek() == '-' && cursor_.Peek(1) != ']') {
        cursor_.Next();
        TANDEM_ASSIGN_OR_RETURN(last, Character(place, "]"));
      }
      if (first > last) {
        return cursor_.LineErrorAt(range_place,
                                   "the range goes from high to low");
      }
      ranges.push_back({.first = first, .last = last});
    }
    const CharSet set(std::move(ranges));
    return builder_->Chars(is_negated ? set.Complement() : set);
  }

  // One character of what began at `begin` and ends with `close`.
  absl::StatusOr<uint32_t> Character(size_t begin, absl::string_view close) {
    const size_t place = cursor_.place();
    const uint32_t c = cursor_.Next();
    if (c == kEnd || c == '\n' || c == '\r') {
      return cursor_.LineErrorAt(begin, absl::StrCat("no ", close, " ends it"));
    }
    if (c != '\\') return c;
    const uint32_t escaped = cursor_.Next();
    switch (escaped) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return escaped;
      case 'x':
      case 'u':
      case 'U': {
        const int digits = escaped == 'x' ? 2 : escaped == 'u' ? 4 : 8;
        const std::optional<uint32_t> code = cursor_.TakeHex(digits);
        if (code.has_value() && !CharSet::Of(*code).empty()) return *code;
        return cursor_.LineErrorAt(
            place, absl::StrCat("the escape needs ", digits,
                                " hexadecimal digits of a character"));
      }
      default:
        return cursor_.LineErrorAt(
            place,
            "unknown escape; there are \\n \\r \\t \\\\ \\\" \\[ \\] "
            "\\- \\^ \\xHH \\uHHHH \\UHHHHHHHH");
    }
  }

  TextCursor cursor_;
  GrammarBuilder* builder_;
  std::map<std::string, Rule> rules_;
};

}  // namespace

absl::StatusOr<RuleId> ParseGbnf(absl::string_view text,
                                 GrammarBuilder* builder) {
  TANDEM_ASSIGN_OR_RETURN(TextCursor cursor, TextCursor::Of(text));
  return GbnfParser(std::move(cursor), builder).Parse();
}

}  // namespace tandem
