#include "engine/grammar/syntax/regex_parser.h"

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

CharSet Digits() { return CharSet({{.first = '0', .last = '9'}}); }

CharSet WordCharacters() {
  return CharSet({{.first = '0', .last = '9'},
                  {.first = 'A', .last = 'Z'},
                  {.first = '_', .last = '_'},
                  {.first = 'a', .last = 'z'}});
}

// WhiteSpace and LineTerminator of ECMA-262.
CharSet Spaces() {
  return CharSet({{.first = '\t', .last = '\r'},
                  {.first = ' ', .last = ' '},
                  {.first = 0xA0, .last = 0xA0},
                  {.first = 0x1680, .last = 0x1680},
                  {.first = 0x2000, .last = 0x200A},
                  {.first = 0x2028, .last = 0x2029},
                  {.first = 0x202F, .last = 0x202F},
                  {.first = 0x205F, .last = 0x205F},
                  {.first = 0x3000, .last = 0x3000},
                  {.first = 0xFEFF, .last = 0xFEFF}});
}

CharSet LineTerminators() {
  return CharSet({{.first = '\n', .last = '\n'},
                  {.first = '\r', .last = '\r'},
                  {.first = 0x2028, .last = 0x2029}});
}

class RegexParser {
 public:
  RegexParser(TextCursor cursor, RegexMatch match, GrammarBuilder* builder)
      : cursor_(std::move(cursor)), match_(match), builder_(builder) {}

  absl::StatusOr<ExprId> Parse() {
    TANDEM_ASSIGN_OR_RETURN(const ExprId whole, Alternatives(0));
    if (!cursor_.AtEnd()) return Error("\")\" without \"(\"; escape it");
    return whole;
  }

 private:
  absl::Status Error(absl::string_view what) const {
    return cursor_.ErrorAt(cursor_.place(), what);
  }

  absl::StatusOr<ExprId> Alternatives(int depth) {
    if (depth > kGrammarDepthMax) {
      return Error(
          absl::StrCat("groups are nested deeper than ", kGrammarDepthMax));
    }
    std::vector<ExprId> branches;
    do {
      TANDEM_ASSIGN_OR_RETURN(const ExprId branch, Branch(depth));
      branches.push_back(branch);
    } while (cursor_.Take("|"));
    return builder_->OneOf(std::move(branches));
  }

  // Terms up to "|", ")" or the end. Anchors stand at the ends of a branch of
  // the whole expression.
  absl::StatusOr<ExprId> Branch(int depth) {
    const ExprId anything = builder_->Star(builder_->Chars(CharSet::Any()));
    const bool searches = match_ == RegexMatch::kSearch && depth == 0;
    std::vector<ExprId> parts;
    const bool is_anchored = depth == 0 && cursor_.Take("^");
    if (searches && !is_anchored) parts.push_back(anything);
    while (cursor_.Peek() != '|' && cursor_.Peek() != ')' && !cursor_.AtEnd()) {
      if (depth == 0 && cursor_.Peek() == '$' &&
          (cursor_.Peek(1) == kEnd || cursor_.Peek(1) == '|')) {
        cursor_.Next();
        return builder_->Sequence(std::move(parts));
      }
      TANDEM_ASSIGN_OR_RETURN(const ExprId term, Term(depth));
      parts.push_back(term);
    }
    if (searches) parts.push_back(anything);
    return builder_->Sequence(std::move(parts));
  }

  absl::StatusOr<ExprId> Term(int depth) {
    TANDEM_ASSIGN_OR_RETURN(const ExprId atom, Atom(depth));
    TANDEM_ASSIGN_OR_RETURN(const std::optional<Bounds> bounds, Quantifier());
    if (!bounds.has_value()) return atom;
    cursor_.Take("?");  // lazy: the same texts
    const uint32_t next = cursor_.Peek();
    if (next == '*' || next == '+' || next == '?' || next == '{') {
      return Error("nothing to repeat: a quantifier follows a quantifier");
    }
    return builder_->Repeat(atom, *bounds);
  }

  absl::StatusOr<std::optional<Bounds>> Quantifier() {
    if (cursor_.Take("*")) return Bounds{.least = 0, .most = kUnbounded};
    if (cursor_.Take("+")) return Bounds{.least = 1, .most = kUnbounded};
    if (cursor_.Take("?")) return Bounds{.least = 0, .most = 1};
    if (cursor_.Peek() != '{') return std::nullopt;
    const size_t place = cursor_.place();
    cursor_.Next();
    const std::optional<uint32_t> least = cursor_.TakeNumber(kRepeatMax);
    std::optional<uint32_t> most = least;
    if (cursor_.Take(",")) {
      most =
          cursor_.Peek() == '}' ? kUnbounded : cursor_.TakeNumber(kRepeatMax);
    }
    if (!least.has_value() || !most.has_value() || !cursor_.Take("}")) {
      return cursor_.ErrorAt(
          place, "\"{\" begins no {N}, {N,} or {N,M}; escape it as \\{");
    }
    const Bounds counts = {.least = *least, .most = *most};
    const std::string wrong = WrongCounts(counts);
    if (!wrong.empty()) return cursor_.ErrorAt(place, wrong);
    return counts;
  }

  absl::StatusOr<ExprId> Atom(int depth) {
    const size_t place = cursor_.place();
    const uint32_t c = cursor_.Next();
    switch (c) {
      case '.':
        return builder_->Chars(LineTerminators().Complement());
      case '(':
        return Group(place, depth);
      case '[': {
        TANDEM_ASSIGN_OR_RETURN(CharSet set, Class(place));
        return builder_->Chars(std::move(set));
      }
      case '\\': {
        TANDEM_ASSIGN_OR_RETURN(CharSet set, Escape(place, false));
        return builder_->Chars(std::move(set));
      }
      case '^':
      case '$':
        return cursor_.ErrorAt(
            place,
            "an anchor is supported at the begin or end of the expression and "
            "of its alternatives only; escape the character");
      case '*':
      case '+':
      case '?':
        return cursor_.ErrorAt(place, "nothing to repeat");
      case '{':
      case '}':
      case ']':
        return cursor_.ErrorAt(
            place, absl::StrCat("\"", std::string(1, static_cast<char>(c)),
                                "\" stands alone; escape it with \\"));
      default:
        return builder_->Chars(CharSet::Of(c));
    }
  }

  absl::StatusOr<ExprId> Group(size_t place, int depth) {
    if (cursor_.Peek() == '?') {
      const uint32_t kind = cursor_.Peek(1);
      const uint32_t after = cursor_.Peek(2);
      if (kind == '=' || kind == '!' ||
          (kind == '<' && (after == '=' || after == '!'))) {
        return cursor_.ErrorAt(place, "lookaround is not supported");
      }
      if (!cursor_.Take("?:") && !cursor_.Take("?<")) {
        return cursor_.ErrorAt(
            place, "\"(?\" is supported as (?:...) and (?<name>...) only");
      }
      if (kind == '<') {
        while (!cursor_.AtEnd() && cursor_.Peek() != '>') cursor_.Next();
        cursor_.Next();
      }
    }
    TANDEM_ASSIGN_OR_RETURN(const ExprId inside, Alternatives(depth + 1));
    if (!cursor_.Take(")"))
      return cursor_.ErrorAt(place, "\"(\" without \")\"");
    return inside;
  }

  absl::StatusOr<CharSet> Class(size_t place) {
    const bool is_negated = cursor_.Take("^");
    std::vector<CharRange> ranges;
    while (!cursor_.Take("]")) {
      if (cursor_.AtEnd()) return cursor_.ErrorAt(place, "\"[\" without \"]\"");
      const size_t first_place = cursor_.place();
      TANDEM_ASSIGN_OR_RETURN(const CharSet first, ClassAtom());
      if (cursor_.Peek() != '-' || cursor_.Peek(1) == ']') {
        ranges.insert(ranges.end(), first.ranges().begin(),
                      first.ranges().end());
        continue;
      }
      cursor_.Next();
      TANDEM_ASSIGN_OR_RETURN(const CharSet last, ClassAtom());
      const std::optional<uint32_t> from = OnlyOf(first);
      const std::optional<uint32_t> to = OnlyOf(last);
      if (!from.has_value() || !to.has_value() || *from > *to) {
        return cursor_.ErrorAt(first_place,
                               "a range goes from a character to one that is "
                               "not before it; escape \"-\"");
      }
      ranges.push_back({.first = *from, .last = *to});
    }
    const CharSet set(std::move(ranges));
    return is_negated ? set.Complement() : set;
  }

  static std::optional<uint32_t> OnlyOf(const CharSet& set) {
    if (set.ranges().size() != 1) return std::nullopt;
    const CharRange& range = set.ranges().front();
    if (range.first != range.last) return std::nullopt;
    return range.first;
  }

  absl::StatusOr<CharSet> ClassAtom() {
    const size_t place = cursor_.place();
    const uint32_t c = cursor_.Next();
    if (c == kEnd) return cursor_.ErrorAt(place, "\"[\" without \"]\"");
    if (c == '\\') return Escape(place, true);
    return CharSet::Of(c);
  }

  // Behind the "\" at `place`.
  absl::StatusOr<CharSet> Escape(size_t place, bool in_class) {
    const uint32_t c = cursor_.Next();
    switch (c) {
      case 'd':
        return Digits();
      case 'D':
        return Digits().Complement();
      case 'w':
        return WordCharacters();
      case 'W':
        return WordCharacters().Complement();
      case 's':
        return Spaces();
      case 'S':
        return Spaces().Complement();
      case 't':
        return CharSet::Of('\t');
      case 'n':
        return CharSet::Of('\n');
      case 'v':
        return CharSet::Of('\v');
      case 'f':
        return CharSet::Of('\f');
      case 'r':
        return CharSet::Of('\r');
      case 'x':
      case 'u':
        return HexEscape(place, c);
      case 'b':
        if (in_class) return CharSet::Of('\b');
        return cursor_.ErrorAt(place, "\\b is not supported");
      case '0':
        if (cursor_.Peek() < '0' || cursor_.Peek() > '9') {
          return CharSet::Of(0);
        }
        return cursor_.ErrorAt(place, "octal escapes are not supported");
      case 'c':
        if (cursor_.Peek() < 0x80 &&
            absl::ascii_isalpha(static_cast<uint8_t>(cursor_.Peek()))) {
          return CharSet::Of(cursor_.Next() % 32);
        }
        return cursor_.ErrorAt(place, "\\c needs a letter");
      default:
        break;
    }
    if (c >= '1' && c <= '9') {
      return cursor_.ErrorAt(place, "references to groups are not supported");
    }
    if (c < 0x80 && absl::ascii_ispunct(static_cast<uint8_t>(c))) {
      return CharSet::Of(c);
    }
    return cursor_.ErrorAt(place, "this escape is not supported");
  }

  // \xHH, \uHHHH, a pair of these for a character above U+FFFF, \u{H...}.
  absl::StatusOr<CharSet> HexEscape(size_t place, uint32_t kind) {
    std::optional<uint32_t> code;
    if (kind == 'x') {
      code = cursor_.TakeHex(2);
    } else if (cursor_.Take("{")) {
      int digits = 0;
      while (digits < 8 && cursor_.Peek(digits) != '}') ++digits;
      code = cursor_.TakeHex(digits);
      if (digits == 0 || !cursor_.Take("}")) code.reset();
    } else {
      code = cursor_.TakeHex(4);
      if (code >= 0xD800 && code < 0xDC00 && cursor_.Take("\\u")) {
        const std::optional<uint32_t> low = cursor_.TakeHex(4);
        code = low >= 0xDC00 && low < 0xE000
                   ? 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00)
                   : kEnd;
      }
    }
    if (!code.has_value() || CharSet::Of(*code).empty()) {
      return cursor_.ErrorAt(place, "the escape names no character");
    }
    return CharSet::Of(*code);
  }

  TextCursor cursor_;
  const RegexMatch match_;
  GrammarBuilder* builder_;
};

}  // namespace

absl::StatusOr<ExprId> ParseRegex(absl::string_view pattern, RegexMatch match,
                                  GrammarBuilder* builder) {
  TANDEM_ASSIGN_OR_RETURN(TextCursor cursor, TextCursor::Of(pattern));
  return RegexParser(std::move(cursor), match, builder).Parse();
}

}  // namespace tandem
