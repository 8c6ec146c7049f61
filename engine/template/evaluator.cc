#include "engine/template/evaluator.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/builtins.h"
#include "engine/template/characters.h"
#include "engine/template/containers.h"
#include "engine/template/operators.h"
#include "engine/template/value_text.h"

namespace tandem {
namespace {

using Value = TemplateValue;
using Kind = Expression::Kind;
using ListKind = Value::ListKind;

}  // namespace

const Value* VariableScope::Find(absl::string_view name) const {
  for (const auto& [variable, value] : variables) {
    if (variable == name) return &value;
  }
  return nullptr;
}

void VariableScope::Set(absl::string_view name, Value value) {
  for (auto& [variable, old_value] : variables) {
    if (variable != name) continue;
    old_value = std::move(value);
    return;
  }
  variables.emplace_back(std::string(name), std::move(value));
}

Evaluator::Evaluator(const TemplateInput& input, RenderBudget* budget)
    : input_(input), budget_(*budget) {
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

ValueOr Evaluator::Evaluate(const Expression& expression) {
  const RenderBudget::Level level(&budget_);
  absl::Status status = budget_.CheckDepth();
  if (status.ok()) {
    ValueOr value = EvaluateKind(expression);
    if (value.ok()) return value;
    status = std::move(value).status();
  }
  NoteError(expression.offset);
  return status;
}

ValueOr Evaluator::EvaluateKind(const Expression& expression) {
  switch (expression.kind) {
    case Kind::kConstant:
      return expression.constant;
    case Kind::kName:
      return NameValue(expression.name);
    case Kind::kCaptured:
      return captured_;
    case Kind::kList:
    case Kind::kTuple: {
      TANDEM_ASSIGN_OR_RETURN(auto items, Operands(expression, 0));
      return budget_.NewList(std::move(items), expression.kind == Kind::kTuple
                                                   ? ListKind::kTuple
                                                   : ListKind::kList);
    }
    case Kind::kMap:
      return Map(expression);
    case Kind::kAttribute: {
      TANDEM_ASSIGN_OR_RETURN(const Value value, Operand(expression, 0));
      return AttributeOf(value, expression.name);
    }
    case Kind::kItem:
      return Item(expression);
    case Kind::kSlice:
      return TemplateError("a slice stands among other subscripts");
    case Kind::kCall: {
      TANDEM_ASSIGN_OR_RETURN(const auto arguments, Arguments(expression));
      return Call(expression, arguments);
    }
    case Kind::kFilter:
      return Apply(*expression.filter, expression, "|");
    case Kind::kTest:
      return Apply(*expression.test, expression, "is ");
    case Kind::kNegate:
    case Kind::kPlus:
      return Sign(expression);
    case Kind::kBinary: {
      TANDEM_ASSIGN_OR_RETURN(const Value left, Operand(expression, 0));
      TANDEM_ASSIGN_OR_RETURN(const Value right, Operand(expression, 1));
      return Calculate(expression.binary, left, right, budget_);
    }
    case Kind::kConcat:
      return Concat(expression);
    case Kind::kCompare:
      return Comparisons(expression);
    case Kind::kAnd:
    case Kind::kOr:
    case Kind::kNot:
      return Logic(expression);
    case Kind::kCondition: {
      TANDEM_ASSIGN_OR_RETURN(const Value condition, Operand(expression, 1));
      if (IsTrue(condition)) return Operand(expression, 0);
      if (expression.operands[2] != nullptr) return Operand(expression, 2);
    }
  }
  return Value::Undefined("the condition is false and has no else");
}

ValueOr Evaluator::NameValue(absl::string_view name) {
  size_t compared = 0;
  for (const VariableScope* scope = scope_.get(); scope != nullptr;
       scope = scope->parent.get()) {
    compared += 1 + scope->variables.size();
    const Value* found = scope->Find(name);
    if (found == nullptr) continue;
    budget_.StepVariables(compared);
    return *found;
  }
  budget_.StepVariables(compared);
  if (const auto known = globals_.find(name); known != globals_.end()) {
    return known->second;
  }
  TANDEM_ASSIGN_OR_RETURN(const std::optional<Value> global,
                          MakeGlobal(name, input_.now, budget_));
  if (!global.has_value()) {
    return Value::Undefined(absl::StrCat(Quoted(name), " is undefined"));
  }
  globals_.emplace(std::string(name), *global);
  return *global;
}

absl::StatusOr<std::vector<Value>> Evaluator::Operands(
    const Expression& expression, size_t begin) {
  std::vector<Value> values;
  for (size_t i = begin; i < expression.operands.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(Value value, Operand(expression, i));
    values.push_back(std::move(value));
  }
  return values;
}

ValueOr Evaluator::Map(const Expression& expression) {
  MapBuilder map(&budget_);
  for (size_t i = 0; i + 1 < expression.operands.size(); i += 2) {
    TANDEM_ASSIGN_OR_RETURN(const Value key, Operand(expression, i));
    TANDEM_ASSIGN_OR_RETURN(Value value, Operand(expression, i + 1));
    TANDEM_RETURN_IF_ERROR(map.Set(key, std::move(value)));
  }
  return map.Build();
}

absl::StatusOr<std::optional<Value>> Evaluator::Method(const Value& value,
                                                       absl::string_view name) {
  if (IsChangingMethod(value, name)) {
    return Value::Undefined(absl::StrCat("values can not be changed, so ",
                                         KindName(value), " has no method ",
                                         Quoted(name)));
  }
  const Builtin* const builtin = FindMethod(value, name);
  if (builtin == nullptr) return std::nullopt;
  const auto call = [value, builtin,
                     &budget = budget_](const CallArguments& arguments) {
    return CallBuiltin(*builtin, value, arguments, budget);
  };
  TANDEM_ASSIGN_OR_RETURN(
      Value method,
      budget_.NewObject(std::make_unique<TemplateObject>(
                            absl::StrCat("<built-in method ", name, ">"), call),
                        sizeof(TemplateObject) + sizeof(call)));
  return method;
}

ValueOr Evaluator::AttributeOf(const Value& value, absl::string_view name) {
  if (value.is_undefined()) return UndefinedError(value);
  std::optional<Value> found = PartOf(value, name);
  if (!found.has_value() && !value.is_object()) {
    TANDEM_ASSIGN_OR_RETURN(found, Method(value, name));
  }
  if (found.has_value()) return *std::move(found);
  if (value.is_map()) {
    // The name is short, as all of the source are.
    if (const Value* item = value.Find(name)) return *item;
  }
  return Value::Undefined(
      absl::StrCat(KindName(value), " has no ", Quoted(name)));
}

ValueOr Evaluator::Item(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const Value value, Operand(expression, 0));
  if (expression.operands[1]->kind == Kind::kSlice) {
    return Slice(value, *expression.operands[1]);
  }
  TANDEM_ASSIGN_OR_RETURN(const Value key, Operand(expression, 1));
  TANDEM_ASSIGN_OR_RETURN(Value item, LookUp(value, key, budget_));
  if (!item.is_undefined() || !key.is_text()) return item;
  TANDEM_ASSIGN_OR_RETURN(std::optional<Value> method,
                          Method(value, key.text().bytes()));
  return method.has_value() ? *std::move(method) : item;
}

ValueOr Evaluator::Slice(const Value& value, const Expression& slice) {
  SliceBounds bounds;
  Value* const places[] = {&bounds.start, &bounds.stop, &bounds.step};
  for (size_t i = 0; i < slice.operands.size(); ++i) {
    *places[i] = Value::None();
    if (slice.operands[i] == nullptr) continue;
    TANDEM_ASSIGN_OR_RETURN(*places[i], Operand(slice, i));
  }
  return SliceOf(value, bounds, budget_);
}

absl::StatusOr<CallArguments> Evaluator::Arguments(const Expression& call) {
  CallArguments arguments;
  TANDEM_ASSIGN_OR_RETURN(arguments.positional, Operands(call, 1));
  for (const auto& [name, expression] : call.named) {
    TANDEM_ASSIGN_OR_RETURN(Value value, Evaluate(*expression));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (call.more_positional != nullptr) {
    TANDEM_ASSIGN_OR_RETURN(const Value more, Evaluate(*call.more_positional));
    TANDEM_ASSIGN_OR_RETURN(const std::vector<Value> items,
                            ItemsOf(more, budget_));
    arguments.positional.insert(arguments.positional.end(), items.begin(),
                                items.end());
  }
  if (call.more_named == nullptr) return arguments;
  TANDEM_ASSIGN_OR_RETURN(const Value more, Evaluate(*call.more_named));
  if (!more.is_map()) return TemplateError("** needs a map");
  budget_.Step(more.entries().size());
  TANDEM_RETURN_IF_ERROR(budget_.Check());
  for (const auto& [key, value] : more.entries()) {
    if (!key.is_text() || key.text().size() > kVariableNameBytesMax) {
      return TemplateError("** needs keys that are texts of at most ",
                           kVariableNameBytesMax, " bytes");
    }
    arguments.named.emplace_back(key.text().bytes(), value);
  }
  return arguments;
}

ValueOr Evaluator::Call(const Expression& call,
                        const CallArguments& arguments) {
  const Expression& callee = *call.operands[0];
  Value function;
  if (callee.kind == Kind::kAttribute) {
    TANDEM_ASSIGN_OR_RETURN(const Value value, Operand(callee, 0));
    if (const Builtin* const method = FindMethod(value, callee.name)) {
      ValueOr result = CallBuiltin(*method, value, arguments, budget_);
      if (result.ok()) return result;
      return Annotate(result.status(), absl::StrCat(callee.name, "()"));
    }
    TANDEM_ASSIGN_OR_RETURN(function, AttributeOf(value, callee.name));
  } else {
    TANDEM_ASSIGN_OR_RETURN(function, Evaluate(callee));
  }
  if (function.is_undefined()) return UndefinedError(function);
  if (!function.is_object() || !ObjectOf(function)->is_callable()) {
    return TemplateError(KindName(function), " can not be called");
  }
  return ObjectOf(function)->Call(arguments);
}

ValueOr Evaluator::Apply(const Builtin& builtin, const Expression& expression,
                         absl::string_view label) {
  TANDEM_ASSIGN_OR_RETURN(const Value value, Operand(expression, 0));
  TANDEM_ASSIGN_OR_RETURN(const CallArguments arguments, Arguments(expression));
  ValueOr result = CallBuiltin(builtin, value, arguments, budget_);
  if (result.ok()) return result;
  return Annotate(result.status(), absl::StrCat(label, expression.name));
}

ValueOr Evaluator::Sign(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(const Value value, Operand(expression, 0));
  if (expression.kind == Kind::kNegate) return Negate(value);
  if (value.is_float()) return value;
  if (value.is_whole()) return Value::Integer(value.whole());
  if (value.is_undefined()) return UndefinedError(value);
  return TemplateError(KindName(value), " can not have a sign");
}

ValueOr Evaluator::Concat(const Expression& expression) {
  MarkedText joined;
  for (size_t i = 0; i < expression.operands.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const Value value, Operand(expression, i));
    TANDEM_ASSIGN_OR_RETURN(const MarkedText text, TextOf(value, budget_));
    TANDEM_RETURN_IF_ERROR(budget_.Append(text, &joined));
  }
  return budget_.NewText(std::move(joined));
}

ValueOr Evaluator::Comparisons(const Expression& expression) {
  TANDEM_ASSIGN_OR_RETURN(Value left, Operand(expression, 0));
  for (size_t i = 0; i < expression.comparisons.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(Value right, Operand(expression, i + 1));
    TANDEM_ASSIGN_OR_RETURN(const bool holds, Compare(expression.comparisons[i],
                                                      left, right, budget_));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

ValueOr Evaluator::Logic(const Expression& expression) {
  Value value;
  for (size_t i = 0; i < expression.operands.size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(value, Operand(expression, i));
    if (expression.kind == Kind::kNot) {
      return Value::Bool(!IsTrue(value));
    }
    if (IsTrue(value) == (expression.kind == Kind::kOr)) return value;
  }
  return value;
}

}  // namespace tandem
