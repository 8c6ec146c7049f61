#include "engine/grammar/automaton/grammar_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/utf8.h"
#include "engine/grammar/automaton/automaton_builder.h"

namespace tandem {

GrammarBuilder::GrammarBuilder() {
  Add({.kind = Expr::Kind::kNever});
  Add({.kind = Expr::Kind::kSequence});
}

ExprId GrammarBuilder::Add(Expr expr) {
  if (exprs_.size() >= kGrammarExprsMax) {
    status_.Update(
        InvalidGrammar(absl::StrCat("more than ", kGrammarExprsMax, " parts")));
    return Never();
  }
  exprs_.push_back(std::move(expr));
  return static_cast<ExprId>(exprs_.size() - 1);
}

ExprId GrammarBuilder::Literal(absl::string_view text) {
  return Literals({std::string(text)});
}

ExprId GrammarBuilder::Literals(std::vector<std::string> texts) {
  return Add({.kind = Expr::Kind::kLiterals, .texts = std::move(texts)});
}

ExprId GrammarBuilder::Chars(CharSet set) {
  return Add({.kind = Expr::Kind::kChars, .set = std::move(set)});
}

ExprId GrammarBuilder::Byte(ByteRange byte) {
  return Add({.kind = Expr::Kind::kByte, .byte = byte});
}

ExprId GrammarBuilder::Sequence(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts[0];
  return Add({.kind = Expr::Kind::kSequence, .parts = std::move(parts)});
}

ExprId GrammarBuilder::OneOf(std::vector<ExprId> parts) {
  if (parts.size() == 1) return parts[0];
  return Add({.kind = Expr::Kind::kOneOf, .parts = std::move(parts)});
}

ExprId GrammarBuilder::Repeat(ExprId part, Bounds bounds) {
  TANDEM_CHECK(bounds.least <= kRepeatMax);
  if (bounds == Bounds{.least = 1, .most = 1}) return part;
  return Add({.kind = Expr::Kind::kRepeat, .parts = {part}, .bounds = bounds});
}

ExprId GrammarBuilder::Call(RuleId rule) {
  return Add({.kind = Expr::Kind::kCall, .rule = rule});
}

ExprId GrammarBuilder::Graph(uint32_t nodes, std::vector<Expr::Edge> edges) {
  for (const Expr::Edge& edge : edges) {
    TANDEM_CHECK(edge.from < nodes && edge.to < nodes);
  }
  return Add(
      {.kind = Expr::Kind::kGraph, .nodes = nodes, .edges = std::move(edges)});
}

RuleId GrammarBuilder::AddRule(absl::string_view name) {
  bodies_.push_back(Never());
  names_.emplace_back(name);
  return static_cast<RuleId>(bodies_.size() - 1);
}

absl::StatusOr<Grammar> GrammarBuilder::Build(RuleId root) {
  if (!status_.ok()) return status_;
  return AutomatonBuilder(this).Build(root);
}

absl::Status InvalidGrammar(absl::string_view message) {
  return InvalidArgument(kReasonInvalidOptions, EscapeToLine(message));
}

}  // namespace tandem
