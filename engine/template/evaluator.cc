#include "engine/template/evaluator.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/containers.h"
#include "engine/template/operators.h"
#include "engine/template/value_methods.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Kind = Expression::Kind;
using ListKind = TemplateValue::ListKind;

// A method with the value that it is of.
class BoundMethod : public TemplateObject {
 public:
  BoundMethod(TemplateValue value, absl::string_view name,
              MethodFunction function, RenderBudget* budget)
      : value_(std::move(value)),
        name_(name),
        function_(function),
        budget_(*budget) {}

  absl::StatusOr<MarkedText> Print(RenderBudget& budget) const override {
    TANDEM_RETURN_IF_ERROR(budget.Step());
    return MarkedText(absl::StrCat("<built-in method ", name_, ">"),
                      TextMark::kTemplate);
  }
  absl::StatusOr<TemplateValue> Call(const CallArguments& arguments) override {
    return function_(value_, arguments, budget_);
  }

 private:
  const TemplateValue value_;
  const std::string name_;
  const MethodFunction function_;
  RenderBudget& budget_;
};

}  // namespace

const TemplateValue* VariableScope::Find(absl::string_view name) const {
  for (const auto& [variable, value] : variables) {
    if (variable == name) return &value;
  }
  return nullptr;
}

void VariableScope::Set(absl::string_view name, TemplateValue value) {
  for (auto& [variable, old_value] : variables) {
    if (variable != name) continue;
    old_value = std::move(value);
    return;
  }
  variables.emplace_back(std::string(name), std::move(value));
}

Evaluator::Evaluator(const TemplateInput& input, ObjectStore* store)
    : input_(input), store_(*store) {
  const auto given = std::make_shared<VariableScope>();
  given->variables = input.variables;
  scope_ = std::make_shared<VariableScope>();
  scope_->parent = given;
}

ScopePtr Evaluator::InnerScope() const {
  auto inner = std::make_shared<VariableScope>();
  inner->parent = scope_;
  return inner;
}

void Evaluator::NoteError(size_t offset) {
  if (!error_offset_.has_value()) error_offset_ = offset;
}

absl::StatusOr<TemplateValue> Evaluator::Evaluate(
    const Expression& expression) {
  const RenderBudget::Level level(&budget());
  absl::Status status = budget().CheckDepth();
  if (status.ok()) {
    absl::StatusOr<TemplateValue> value = EvaluateKind(expression);
    if (value.ok()) return value;
    status = std::move(value).status();
  }
  NoteError(expression.offset);
  return status;
}

absl::StatusOr<TemplateValue> Evaluator::EvaluateKind(
    const Expression& expression) {
  switch (expression.kind) {
    case Kind::kConstant:
      return expression.constant;
    case Kind::kName:
      return NameValue(expression.name);
    case Kind::kCaptured:
      return captured_;
    case Kind::kList:
    case Kind::kTuple:
      return List(expression);
    case Kind::kMap:
      return Map(expression);
    case Kind::kAttribute:
      return Attribute(expression);
    case Kind::kItem:
      return Item(expression);
    case Kind::kSlice:
      return TemplateError("a slice stands among other subscripts");
    case Kind::kCall: {
      TANDEM_ASSIGN_OR_RETURN(const CallArguments arguments,
                              Arguments(expression));
      return Call(expression, arguments);
    }
    case Kind::kFilter:
      return Filter(expression);
    case Kind::kTest:
      return Test(expression);
    case Kind::kNegate:
    case Kind::kPlus:
      return Sign(expression);
    case Kind::kBinary:
      return Binary(expression);
    case Kind::kConcat:
      return Concat(expression);
    case Kind::kCompare:
      return Comparisons(expression);
    case Kind::kAnd:
    case Kind::kOr:
    case Kind::kNot:
      return Logic(expression);
    case Kind::kCondition:
      return Condition(expression);
  }
  return TemplateError("an expression of an unknown kind");
}

absl::StatusOr<TemplateValue> Evaluator::NameValue(absl::string_view name) {
  size_t compared = 0;
  for (const VariableScope* scope = scope_.get(); scope != nullptr;
       scope = scope->parent.get()) {
    compared += 1 + scope->variables.size();
    const TemplateValue* found = scope->Find(name);
    if (found == nullptr) continue;
    TANDEM_RETURN_IF_ERROR(budget().StepVariables(compared));
    return *found;
  }
  TANDEM_RETURN_IF_ERROR(budget().StepVariables(compared));
  if (const auto known = globals_.find(name); known != globals_.end()) {
    return known->second;
  }
  TANDEM_ASSIGN_OR_RETURN(const std::optional<TemplateValue> global,
                          MakeGlobal(name, input_.now, &store_));
  if (!global.has_value()) {
    return TemplateValue::Undefined(
        absl::StrCat(Quoted(name), " is undefined"));
  }
  globals_.emplace(std::string(name), *global);
  return *global;
}

absl::StatusOr<TemplateValue> Evaluator::List(const Expression& expression) {
  std::vector<TemplateValue> items;
  for (const ExpressionPtr& operand : expression.operands) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue item, Evaluate(*operand));
    items.push_back(std::move(item));
  }
  return budget().NewList(std::move(items), expression.kind == Kind::kTuple
                                                ? ListKind::kTuple
                                                : ListKind::kList);
}

absl::StatusOr<TemplateValue> Evaluator::Map(const Expression& expression) {
  MapBuilder map(&budget());
  for (size_t i = 0; i + 1 < expression.operands.size(); i += 2) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue key,
                            Evaluate(*expression.operands[i]));
    TANDEM_ASSIGN_OR_RETURN(TemplateValue value,
                            Evaluate(*expression.operands[i + 1]));
    TANDEM_RETURN_IF_ERROR(map.Set(key, std::move(value)));
  }
  return map.Build();
}

absl::StatusOr<TemplateValue> Evaluator::Attribute(
    const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue value,
                          Evaluate(*expression.operands[0]));
  return AttributeOf(value, expression.name);
}

absl::StatusOr<std::optional<TemplateValue>> Evaluator::Method(
    const TemplateValue& value, absl::string_view name) {
  if (IsChangingMethod(value, name)) {
    return TemplateValue::Undefined(
        absl::StrCat("values can not be changed, so ", KindName(value),
                     " has no method ", Quoted(name)));
  }
  const MethodFunction function = FindMethod(value, name);
  if (function == nullptr) return std::nullopt;
  TANDEM_ASSIGN_OR_RETURN(TemplateValue method,
                          store_.Add(std::make_unique<BoundMethod>(
                                         value, name, function, &budget()),
                                     sizeof(BoundMethod)));
  return method;
}

absl::StatusOr<TemplateValue> Evaluator::AttributeOf(const TemplateValue& value,
                                                     absl::string_view name) {
  if (value.is_undefined()) return UndefinedError(value);
  std::optional<TemplateValue> found;
  if (value.is_group()) found = GroupPart(value, name);
  if (value.is_object()) {
    TANDEM_ASSIGN_OR_RETURN(found, value.object()->Attribute(name));
  } else if (!found.has_value()) {
    TANDEM_ASSIGN_OR_RETURN(found, Method(value, name));
  }
  if (found.has_value()) return *std::move(found);
  if (value.is_map()) {
    // The name is short, as all of the source are.
    if (const TemplateValue* item = value.Find(name)) return *item;
  }
  return TemplateValue::Undefined(
      absl::StrCat(KindName(value), " has no ", Quoted(name)));
}

absl::StatusOr<TemplateValue> Evaluator::Item(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue value,
                          Evaluate(*expression.operands[0]));
  if (expression.operands[1]->kind == Kind::kSlice) {
    return Slice(value, *expression.operands[1]);
  }
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue key,
                          Evaluate(*expression.operands[1]));
  TANDEM_ASSIGN_OR_RETURN(TemplateValue item, LookUp(value, key, budget()));
  if (!item.is_undefined() || !key.is_text()) return item;
  TANDEM_ASSIGN_OR_RETURN(std::optional<TemplateValue> method,
                          Method(value, key.text().bytes()));
  return method.has_value() ? *std::move(method) : item;
}

absl::StatusOr<TemplateValue> Evaluator::Slice(const TemplateValue& value,
                                               const Expression& slice) {
  SliceBounds bounds;
  TemplateValue* const places[] = {&bounds.start, &bounds.stop, &bounds.step};
  for (size_t i = 0; i < slice.operands.size(); ++i) {
    *places[i] = TemplateValue::None();
    if (slice.operands[i] == nullptr) continue;
    TANDEM_ASSIGN_OR_RETURN(*places[i], Evaluate(*slice.operands[i]));
  }
  return SliceOf(value, bounds, budget());
}

absl::StatusOr<CallArguments> Evaluator::Arguments(const Expression& call) {
  CallArguments arguments;
  for (size_t i = 1; i < call.operands.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue value, Evaluate(*call.operands[i]));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, expression] : call.named) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue value, Evaluate(*expression));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (call.more_positional != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue more,
                            Evaluate(*call.more_positional));
    TANDEM_ASSIGN_OR_RETURN(const std::vector<TemplateValue> items,
                            ItemsOf(more, budget()));
    arguments.positional.insert(arguments.positional.end(), items.begin(),
                                items.end());
  }
  if (call.more_named != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue more,
                            Evaluate(*call.more_named));
    if (!more.is_map()) return TemplateError("** needs a map");
    for (const auto& [key, value] : more.entries()) {
      TANDEM_RETURN_IF_ERROR(budget().Step());
      if (!key.is_text() || key.text().size() > kVariableNameBytesMax) {
        return TemplateError(
            absl::StrCat("** needs keys that are texts of at most ",
                         kVariableNameBytesMax, " bytes"));
      }
      arguments.named.emplace_back(key.text().bytes(), value);
    }
  }
  return arguments;
}

absl::StatusOr<TemplateValue> Evaluator::Call(const Expression& call,
                                              const CallArguments& arguments) {
  const Expression& callee = *call.operands[0];
  TemplateValue function;
  if (callee.kind == Kind::kAttribute) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue value,
                            Evaluate(*callee.operands[0]));
    if (const MethodFunction method = FindMethod(value, callee.name)) {
      absl::StatusOr<TemplateValue> result = method(value, arguments, budget());
      if (result.ok()) return result;
      return Annotate(result.status(), absl::StrCat(callee.name, "()"));
    }
    TANDEM_ASSIGN_OR_RETURN(function, AttributeOf(value, callee.name));
  } else {
    TANDEM_ASSIGN_OR_RETURN(function, Evaluate(callee));
  }
  if (function.is_undefined()) return UndefinedError(function);
  if (!function.is_object() || !function.object()->is_callable()) {
    return TemplateError(
        absl::StrCat(KindName(function), " can not be called"));
  }
  return function.object()->Call(arguments);
}

absl::StatusOr<TemplateValue> Evaluator::Filter(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue value,
                          Evaluate(*expression.operands[0]));
  TANDEM_ASSIGN_OR_RETURN(const CallArguments arguments, Arguments(expression));
  absl::StatusOr<TemplateValue> result =
      expression.filter->function(value, arguments, budget());
  if (result.ok()) return result;
  return Annotate(result.status(), absl::StrCat("|", expression.name));
}

absl::StatusOr<TemplateValue> Evaluator::Test(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue value,
                          Evaluate(*expression.operands[0]));
  TANDEM_ASSIGN_OR_RETURN(const CallArguments arguments, Arguments(expression));
  const absl::StatusOr<bool> result =
      expression.test->function(value, arguments, budget());
  if (result.ok()) return TemplateValue::Bool(*result);
  return Annotate(result.status(), absl::StrCat("is ", expression.name));
}

absl::StatusOr<TemplateValue> Evaluator::Sign(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue value,
                          Evaluate(*expression.operands[0]));
  if (expression.kind == Kind::kNegate) return Negate(value);
  if (value.is_float()) return value;
  if (value.is_whole()) return TemplateValue::Integer(value.whole());
  if (value.is_undefined()) return UndefinedError(value);
  return TemplateError(absl::StrCat(KindName(value), " can not have a sign"));
}

absl::StatusOr<TemplateValue> Evaluator::Binary(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue left,
                          Evaluate(*expression.operands[0]));
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue right,
                          Evaluate(*expression.operands[1]));
  return Calculate(expression.binary, left, right, budget());
}

absl::StatusOr<TemplateValue> Evaluator::Concat(const Expression& expression) {
  MarkedText joined;
  for (const ExpressionPtr& operand : expression.operands) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue value, Evaluate(*operand));
    TANDEM_ASSIGN_OR_RETURN(const MarkedText text, TextOf(value, budget()));
    TANDEM_RETURN_IF_ERROR(budget().CheckRoom(
        static_cast<double>(joined.memory_bytes() + text.memory_bytes())));
    joined.Append(text);
  }
  return budget().NewText(std::move(joined));
}

absl::StatusOr<TemplateValue> Evaluator::Comparisons(
    const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(TemplateValue left,
                          Evaluate(*expression.operands[0]));
  for (size_t i = 0; i < expression.comparisons.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(TemplateValue right,
                            Evaluate(*expression.operands[i + 1]));
    TANDEM_ASSIGN_OR_RETURN(const bool holds, Compare(expression.comparisons[i],
                                                      left, right, budget()));
    if (!holds) return TemplateValue::Bool(false);
    left = std::move(right);
  }
  return TemplateValue::Bool(true);
}

absl::StatusOr<TemplateValue> Evaluator::Logic(const Expression& expression) {
  TemplateValue value;
  for (const ExpressionPtr& operand : expression.operands) {
    TANDEM_ASSIGN_OR_RETURN(value, Evaluate(*operand));
    if (expression.kind == Kind::kNot) {
      return TemplateValue::Bool(!IsTrue(value));
    }
    if (IsTrue(value) == (expression.kind == Kind::kOr)) return value;
  }
  return value;
}

absl::StatusOr<TemplateValue> Evaluator::Condition(
    const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue condition,
                          Evaluate(*expression.operands[1]));
  if (IsTrue(condition)) return Evaluate(*expression.operands[0]);
  if (expression.operands[2] != nullptr) {
    return Evaluate(*expression.operands[2]);
  }
  return TemplateValue::Undefined("the condition is false and has no else");
}

}  // namespace tandem
