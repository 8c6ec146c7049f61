#include "engine/grammar/json/json_rules.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

constexpr uint32_t kIndentSpacesMax = 64;
constexpr uint32_t kIndentTabsMax = 16;

CharSet ControlCharacters() { return CharSet({{.first = 0, .last = 0x1F}}); }

CharSet MustBeEscaped() {
  return ControlCharacters().Union(CharSet::Of('"')).Union(CharSet::Of('\\'));
}

}  // namespace

void AppendCanonical(uint32_t code_point, std::string* text) {
  constexpr absl::string_view kShort = "\"\\\b\f\n\r\t";
  constexpr absl::string_view kLetters = "\"\\bfnrt";
  const size_t found = code_point < 0x80
                           ? kShort.find(static_cast<char>(code_point))
                           : absl::string_view::npos;
  if (found != absl::string_view::npos) {
    absl::StrAppend(text, "\\", kLetters.substr(found, 1));
  } else if (code_point < 0x20) {
    absl::StrAppend(text, "\\u", absl::Hex(code_point, absl::kZeroPad4));
  } else {
    AppendUtf8Of(code_point, text);
  }
}

std::string CanonicalString(absl::string_view text) {
  std::string canonical = "\"";
  for (const uint32_t code_point : CodePointsOf(text)) {
    AppendCanonical(code_point, &canonical);
  }
  canonical.push_back('"');
  return canonical;
}

JsonRules::JsonRules(GrammarBuilder* builder) : builder_(builder) {
  GrammarBuilder& b = *builder;
  const auto digit = b.Chars(CharSet({{.first = '0', .last = '9'}}));
  const auto digits = b.Repeat(digit, {.least = 1, .most = kUnbounded});

  space_ = Rule(
      "space",
      b.Optional(b.OneOf(
          {b.Literal(" "),
           b.Sequence(
               {b.Literal("\n"),
                b.OneOf({b.Repeat(b.Literal(" "), {.most = kIndentSpacesMax}),
                         b.Repeat(b.Literal("\t"),
                                  {.most = kIndentTabsMax})})})})));
  space_after_colon_ = b.Optional(b.Literal(" "));
  comma_ = b.Sequence({b.Literal(","), space_});

  any_character_ = MakeAnyCharacter();
  string_ = Rule("string", b.Sequence({b.Literal("\""), b.Star(any_character_),
                                       b.Literal("\"")}));
  integer_ = b.Sequence(
      {b.Optional(b.Literal("-")),
       b.OneOf({b.Literal("0"),
                b.Sequence({b.Chars(CharSet({{.first = '1', .last = '9'}})),
                            b.Star(digit)})})});
  const auto sign = b.Optional(b.Literals({"+", "-"}));
  number_ = Rule(
      "number",
      b.Sequence({integer_, b.Optional(b.Sequence({b.Literal("."), digits})),
                  b.Optional(b.Sequence(
                      {b.Literals({"e", "E"}), sign,
                       b.Repeat(digit, {.least = 1, .most = 3})}))}));
  const RuleId value = b.AddRule("value");
  value_ = b.Call(value);
  object_ = Rule("object", List("{", Member(string_, value_), "}"));
  array_ = Rule("array", List("[", value_, "]"));
  b.SetBody(value, b.OneOf({object_, array_, string_, number_,
                            b.Literals({"true", "false", "null"})}));
}

ExprId JsonRules::Rule(absl::string_view name, ExprId body) {
  const RuleId rule = builder_->AddRule(name);
  builder_->SetBody(rule, body);
  return builder_->Call(rule);
}

ExprId JsonRules::MakeAnyCharacter() {
  GrammarBuilder& b = *builder_;
  const auto chars = [&b](std::vector<CharRange> ranges) {
    return b.Chars(CharSet(std::move(ranges)));
  };
  const CharRange number{.first = '0', .last = '9'};
  const CharRange upper{.first = 'A', .last = 'F'};
  const CharRange lower{.first = 'a', .last = 'f'};
  const auto hex = chars({number, upper, lower});
  const auto two = b.Sequence({hex, hex});
  const auto d = b.Literals({"d", "D"});
  // \u and four digits: no surrogate, or a pair of them.
  const auto no_surrogate =
      b.OneOf({b.Sequence({chars({number,
                                  {.first = 'A', .last = 'C'},
                                  {.first = 'a', .last = 'c'},
                                  {.first = 'E', .last = 'F'},
                                  {.first = 'e', .last = 'f'}}),
                           hex, two}),
               b.Sequence({d, chars({{.first = '0', .last = '7'}}), two})});
  const auto high =
      b.Sequence({d, b.Literals({"8", "9", "a", "b", "A", "B"}), two});
  const auto low = b.Sequence(
      {d, b.Literals({"c", "d", "e", "f", "C", "D", "E", "F"}), two});
  const auto code = b.Sequence(
      {b.Literal("u"),
       b.OneOf({no_surrogate, b.Sequence({high, b.Literal("\\u"), low})})});
  return b.OneOf(
      {b.Chars(MustBeEscaped().Complement()),
       b.Sequence({b.Literal("\\"), b.OneOf({b.Literals({"\"", "\\", "/", "b",
                                                         "f", "n", "r", "t"}),
                                             code})})});
}

ExprId JsonRules::CanonicalCharacter(const CharSet& set) {
  const CharSet as_is = set.Without(MustBeEscaped());
  std::vector<ExprId> parts;
  if (!as_is.empty()) parts.push_back(builder_->Chars(as_is));
  std::vector<std::string> escaped;
  const CharSet not_as_is = set.Intersection(MustBeEscaped());
  for (const CharRange& range : not_as_is.ranges()) {
    for (uint32_t c = range.first; c <= range.last; ++c) {
      AppendCanonical(c, &escaped.emplace_back());
    }
  }
  if (!escaped.empty()) parts.push_back(builder_->Literals(std::move(escaped)));
  return builder_->OneOf(std::move(parts));
}

ExprId JsonRules::Member(ExprId key, ExprId value) {
  return builder_->Sequence(
      {key, builder_->Literal(":"), space_after_colon_, value});
}

ExprId JsonRules::List(absl::string_view open, ExprId item,
                       absl::string_view close) {
  GrammarBuilder& b = *builder_;
  const auto rest = b.Star(b.Sequence({comma_, item}));
  return b.Sequence(
      {b.Literal(open), space_,
       b.OneOf({b.Literal(close),
                b.Sequence({item, rest, space_, b.Literal(close)})})});
}

}  // namespace tandem
