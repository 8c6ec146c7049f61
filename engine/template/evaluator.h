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
#include "absl/status/status.h"
#include "absl/status/statusor.h"
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
  // `input` and `store` outlive the evaluator.
  Evaluator(const TemplateInput& input, ObjectStore* store);

  RenderBudget& budget() { return store_.budget(); }
  ObjectStore& store() { return store_; }

  // The scope that names are looked up in.
  const ScopePtr& scope() const { return scope_; }
  // A scope within the current one.
  ScopePtr InnerScope() const;
  // Makes `scope` the current one; returns the one before.
  ScopePtr Enter(ScopePtr scope) {
    return std::exchange(scope_, std::move(scope));
  }

  absl::StatusOr<TemplateValue> Evaluate(const Expression& expression);
  // The arguments of a call, filter or test.
  absl::StatusOr<CallArguments> Arguments(const Expression& call);
  absl::StatusOr<TemplateValue> Call(const Expression& call,
                                     const CallArguments& arguments);
  absl::StatusOr<TemplateValue> NameValue(absl::string_view name);

  // What Expression::Kind::kCaptured stands for.
  void set_captured(TemplateValue captured) { captured_ = std::move(captured); }

  // Notes where an error came about; the first one stays.
  void NoteError(size_t offset);
  const std::optional<size_t>& error_offset() const { return error_offset_; }

 private:
  absl::StatusOr<TemplateValue> EvaluateKind(const Expression& expression);
  absl::StatusOr<TemplateValue> List(const Expression& expression);
  absl::StatusOr<TemplateValue> Map(const Expression& expression);
  absl::StatusOr<TemplateValue> Attribute(const Expression& expression);
  absl::StatusOr<TemplateValue> AttributeOf(const TemplateValue& value,
                                            absl::string_view name);
  // value.name where that is a method; empty where it is none.
  absl::StatusOr<std::optional<TemplateValue>> Method(
      const TemplateValue& value, absl::string_view name);
  absl::StatusOr<TemplateValue> Item(const Expression& expression);
  absl::StatusOr<TemplateValue> Slice(const TemplateValue& value,
                                      const Expression& slice);
  absl::StatusOr<TemplateValue> Filter(const Expression& expression);
  absl::StatusOr<TemplateValue> Test(const Expression& expression);
  absl::StatusOr<TemplateValue> Binary(const Expression& expression);
  absl::StatusOr<TemplateValue> Concat(const Expression& expression);
  absl::StatusOr<TemplateValue> Comparisons(const Expression& expression);
  absl::StatusOr<TemplateValue> Logic(const Expression& expression);
  absl::StatusOr<TemplateValue> Condition(const Expression& expression);
  absl::StatusOr<TemplateValue> Sign(const Expression& expression);

  const TemplateInput& input_;
  ObjectStore& store_;
  ScopePtr scope_;
  absl::flat_hash_map<std::string, TemplateValue> globals_;
  TemplateValue captured_;
  std::optional<size_t> error_offset_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_EVALUATOR_H_
