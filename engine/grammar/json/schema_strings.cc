#include "engine/grammar/json/schema_strings.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/grammar/json/string_formats.h"
#include "engine/grammar/syntax/regex_parser.h"

namespace tandem {
namespace {

constexpr Bounds kAnyLength = {.least = 0, .most = kUnbounded};

// All patterns and formats of a shape, each as the texts that it matches.
absl::StatusOr<std::vector<ExprId>> ParseAll(const SchemaShape& shape,
                                             GrammarBuilder* builder) {
  std::vector<ExprId> all;
  for (const JsonValue* pattern : shape.patterns) {
    const auto parsed = ParseRegex(pattern->text, RegexMatch::kSearch, builder);
    if (!parsed.ok()) return SchemaError(*pattern, parsed.status().message());
    all.push_back(*parsed);
  }
  for (const JsonValue* format : shape.formats) {
    const std::string regex = RegexOfFormat(format->text);
    if (regex.empty()) {
      return SchemaError(
          *format, absl::StrCat("unknown format; there are ", FormatNames()));
    }
    const auto parsed = ParseRegex(regex, RegexMatch::kWhole, builder);
    TANDEM_CHECK(parsed.ok());
    all.push_back(*parsed);
  }
  return all;
}

const JsonValue& KeywordOf(const SchemaShape& shape) {
  return shape.patterns.empty() ? *shape.formats.front()
                                : *shape.patterns.front();
}

// An expression of ParseRegex with each character as JSON spells it.
class Encoder {
 public:
  Encoder(JsonRules* rules, GrammarBuilder* builder)
      : rules_(*rules), b_(*builder) {}

  ExprId Encode(ExprId id) {
    if (const auto known = encoded_.find(id); known != encoded_.end()) {
      return known->second;
    }
    return encoded_[id] = EncodeNew(b_.expr(id));
  }

 private:
  // A copy, since new expressions may move the others.
  ExprId EncodeNew(Expr expr) {
    if (expr.kind == Expr::Kind::kChars) {
      return rules_.CanonicalCharacter(expr.set);
    }
    for (ExprId& part : expr.parts) part = Encode(part);
    switch (expr.kind) {
      case Expr::Kind::kSequence:
        return b_.Sequence(std::move(expr.parts));
      case Expr::Kind::kOneOf:
        return b_.OneOf(std::move(expr.parts));
      case Expr::Kind::kRepeat:
        return b_.Repeat(expr.parts[0], expr.bounds);
      default:
        return b_.Never();
    }
  }

  JsonRules& rules_;
  GrammarBuilder& b_;
  absl::flat_hash_map<ExprId, ExprId> encoded_;
};

}  // namespace

absl::StatusOr<CharAutomaton> StringsOf(const SchemaShape& shape,
                                        WorkBudget* budget) {
  GrammarBuilder builder;
  TANDEM_ASSIGN_OR_RETURN(const std::vector<ExprId> all,
                          ParseAll(shape, &builder));
  TANDEM_RETURN_IF_ERROR(builder.status());
  const auto small = [](uint32_t length) {
    return length == kUnbounded || length < kCharStatesMax;
  };
  const auto located = [&shape](const absl::Status& status) {
    return SchemaError(KeywordOf(shape), status.message());
  };
  if (!small(shape.lengths.least) || !small(shape.lengths.most)) {
    const absl::Status status = InvalidGrammar(absl::StrCat(
        "lengths of ", kCharStatesMax, " and more are not supported here"));
    return all.empty() ? status : located(status);
  }
  CharAutomaton strings = CharAutomaton::OfLength(shape.lengths);
  for (const ExprId expr : all) {
    const auto one = CharAutomaton::Of(builder, expr, budget);
    if (!one.ok()) return located(one.status());
    auto both = CharAutomaton::Intersection(strings, *one, budget);
    if (!both.ok()) return located(both.status());
    strings = *std::move(both);
  }
  return strings;
}

absl::StatusOr<ExprId> CompileStrings(const SchemaShape& shape,
                                      JsonRules* rules,
                                      GrammarBuilder* builder) {
  const ExprId quote = builder->Literal("\"");
  if (shape.patterns.empty() && shape.formats.empty()) {
    if (shape.lengths == kAnyLength) return rules->string();
    return builder->Sequence(
        {quote, builder->Repeat(rules->AnyCharacter(), shape.lengths), quote});
  }
  if (shape.lengths == kAnyLength &&
      shape.patterns.size() + shape.formats.size() == 1) {
    TANDEM_ASSIGN_OR_RETURN(const std::vector<ExprId> all,
                            ParseAll(shape, builder));
    TANDEM_RETURN_IF_ERROR(builder->status());
    return builder->Sequence(
        {quote, Encoder(rules, builder).Encode(all[0]), quote});
  }
  TANDEM_ASSIGN_OR_RETURN(const CharAutomaton strings,
                          StringsOf(shape, builder->budget()));
  const ExprId content = strings.ToExpr(
      [rules](const CharSet& set) { return rules->CanonicalCharacter(set); },
      builder);
  return builder->Sequence({quote, content, quote});
}

}  // namespace tandem
