// Computes expressions: the values of names in scopes, attributes, calls,
// filters and operators. Belongs to one render and its thread.

#ifndef TANDEM_ENGINE_TEMPLATE_EVALUATOR_H_
#define TANDEM_ENGINE_TEMPLATE_EVALUATOR_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "engine/template/render_budget.h"
#include "engine/template/syntax_tree.h"
#include "engine/template/template_object.h"
#include "engine/template/template_program.h"
#include "engine/template/template_value.h"

namespace tandem {

// The variables of a part of a template; what is not there is looked for in the
// parts around it.
struct VariableScope {
  std::shared_ptr<VariableScope> parent;
  std::vector<std::pair<std::string, TemplateValue>> variables;

  const TemplateValue* Find(absl::string_view name) const;
  void Set(absl::string_view name, TemplateValue value);
};
using ScopePtr = std::shared_ptr<VariableScope>;

class Evaluator {
 public:
  // `input` and `budget` outlive the evaluator.
  Evaluator(const TemplateInput& input, RenderBudget* budget);

  RenderBudget& budget() { return budget_; }

  // The scope that names are looked up in.
  const ScopePtr& scope() const { return scope_; }
  // A scope within the current one.
  ScopePtr InnerScope() const;
  // Makes `scope` the current one; returns the one before.
  ScopePtr Enter(ScopePtr scope) {
    return std::exchange(scope_, std::move(scope));
  }

  TemplateValue Evaluate(const Expression& expression);
  // The arguments of a call, filter or test.
  CallArguments Arguments(const Expression& call);
  TemplateValue Call(const Expression& call, const CallArguments& arguments);
  TemplateValue NameValue(absl::string_view name);

  // What Expression::Kind::kCaptured stands for.
  void set_captured(TemplateValue captured) { captured_ = std::move(captured); }

  // Notes where an error came about; the first one stays.
  void NoteError(size_t offset);
  const std::optional<size_t>& error_offset() const { return error_offset_; }

 private:
  TemplateValue EvaluateKind(const Expression& expression);
  // The value of operand `i`.
  TemplateValue Operand(const Expression& expression, size_t i) {
    return Evaluate(*expression.operands[i]);
  }
  std::vector<TemplateValue> Operands(const Expression& expression,
                                      size_t begin);
  TemplateValue Map(const Expression& expression);
  TemplateValue AttributeOf(const TemplateValue& value, absl::string_view name);
  // value.name where that is a method; empty where it is none.
  std::optional<TemplateValue> Method(const TemplateValue& value,
                                      absl::string_view name);
  TemplateValue Item(const Expression& expression);
  TemplateValue Slice(const TemplateValue& value, const Expression& slice);
  // A filter or test of operand 0.
  TemplateValue Apply(const Expression& expression);
  TemplateValue Concat(const Expression& expression);
  TemplateValue Comparisons(const Expression& expression);
  TemplateValue Logic(const Expression& expression);
  TemplateValue Sign(const Expression& expression);

  const TemplateInput& input_;
  RenderBudget& budget_;
  ScopePtr scope_;
  absl::flat_hash_map<std::string, TemplateValue> globals_;
  TemplateValue captured_;
  std::optional<size_t> error_offset_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_EVALUATOR_H_
