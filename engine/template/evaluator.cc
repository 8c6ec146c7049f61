#include "engine/template/evaluator.h"

#include "absl/strings/str_cat.h"
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

Value Evaluator::Evaluate(const Expression& expression) {
  if (!budget_.ok()) return {};
  const RenderBudget::Level level(&budget_);
  Value value;
  if (budget_.CheckDepth()) value = EvaluateKind(expression);
  if (!budget_.ok()) NoteError(expression.offset);
  return value;
}

Value Evaluator::EvaluateKind(const Expression& expression) {
  switch (expression.kind) {
    case Kind::kConstant:
      return expression.constant;
    case Kind::kName:
      return NameValue(expression.name);
    case Kind::kCaptured:
      return captured_;
    case Kind::kList:
    case Kind::kTuple:
      return budget_.NewList(
          Operands(expression, 0),
          expression.kind == Kind::kTuple ? ListKind::kTuple : ListKind::kList);
    case Kind::kMap:
      return Map(expression);
    case Kind::kAttribute:
      return AttributeOf(Operand(expression, 0), expression.name);
    case Kind::kItem:
      return Item(expression);
    case Kind::kSlice:
      return budget_.Fail("a slice stands among other subscripts");
    case Kind::kCall:
      return Call(expression, Arguments(expression));
    case Kind::kFilter:
    case Kind::kTest:
      return Apply(expression);
    case Kind::kNegate:
    case Kind::kPlus:
      return Sign(expression);
    case Kind::kBinary: {
      const Value left = Operand(expression, 0);
      const Value right = Operand(expression, 1);
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
    case Kind::kCondition:
      if (IsTrue(Operand(expression, 1))) return Operand(expression, 0);
      if (expression.operands[2] != nullptr) return Operand(expression, 2);
  }
  return Value::Undefined("the condition is false and has no else");
}

Value Evaluator::NameValue(absl::string_view name) {
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
  const std::optional<Value> global = MakeGlobal(name, input_.now, budget_);
  if (!global.has_value()) {
    return Value::Undefined(absl::StrCat(Quoted(name), " is undefined"));
  }
  globals_.emplace(std::string(name), *global);
  return *global;
}

std::vector<Value> Evaluator::Operands(const Expression& expression,
                                       size_t begin) {
  std::vector<Value> values;
  for (size_t i = begin; i < expression.operands.size(); ++i) {
    values.push_back(Operand(expression, i));
  }
  return values;
}

Value Evaluator::Map(const Expression& expression) {
  MapBuilder map(&budget_);
  for (size_t i = 0; i + 1 < expression.operands.size(); i += 2) {
    const Value key = Operand(expression, i);
    map.Set(key, Operand(expression, i + 1));
  }
  return map.Build();
}

std::optional<Value> Evaluator::Method(const Value& value,
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
  return budget_.NewObject(
      std::make_unique<TemplateObject>(
          absl::StrCat("<built-in method ", name, ">"), call),
      sizeof(TemplateObject) + sizeof(call));
}

Value Evaluator::AttributeOf(const Value& value, absl::string_view name) {
  if (value.is_undefined()) return FailUndefined(value, budget_);
  std::optional<Value> found = PartOf(value, name);
  if (!found.has_value() && !value.is_object()) found = Method(value, name);
  if (found.has_value()) return *std::move(found);
  if (value.is_map()) {
    // The name is short, as all of the source are.
    if (const Value* item = value.Find(name)) return *item;
  }
  return Value::Undefined(
      absl::StrCat(KindName(value), " has no ", Quoted(name)));
}

Value Evaluator::Item(const Expression& expression) {
  const Value value = Operand(expression, 0);
  if (expression.operands[1]->kind == Kind::kSlice) {
    return Slice(value, *expression.operands[1]);
  }
  const Value key = Operand(expression, 1);
  Value item = LookUp(value, key, budget_);
  if (!item.is_undefined() || !key.is_text()) return item;
  std::optional<Value> method = Method(value, key.text().bytes());
  return method.has_value() ? *std::move(method) : item;
}

Value Evaluator::Slice(const Value& value, const Expression& slice) {
  SliceBounds bounds;
  Value* const places[] = {&bounds.start, &bounds.stop, &bounds.step};
  for (size_t i = 0; i < slice.operands.size(); ++i) {
    *places[i] =
        slice.operands[i] == nullptr ? Value::None() : Operand(slice, i);
  }
  return SliceOf(value, bounds, budget_);
}

CallArguments Evaluator::Arguments(const Expression& call) {
  CallArguments arguments;
  arguments.positional = Operands(call, 1);
  for (const auto& [name, expression] : call.named) {
    arguments.named.emplace_back(name, Evaluate(*expression));
  }
  if (call.more_positional != nullptr) {
    const auto items = ItemsOf(Evaluate(*call.more_positional), budget_);
    arguments.positional.insert(arguments.positional.end(), items.begin(),
                                items.end());
  }
  if (call.more_named == nullptr) return arguments;
  const Value more = Evaluate(*call.more_named);
  if (!more.is_map()) return budget_.Fail("** needs a map");
  budget_.Step(more.entries().size());
  if (!budget_.Check()) return {};
  for (const auto& [key, value] : more.entries()) {
    if (!key.is_text() || key.text().size() > kVariableNameBytesMax) {
      return budget_.Fail("** needs keys that are texts of at most ",
                          kVariableNameBytesMax, " bytes");
    }
    arguments.named.emplace_back(key.text().bytes(), value);
  }
  return arguments;
}

Value Evaluator::Call(const Expression& call, const CallArguments& arguments) {
  const Expression& callee = *call.operands[0];
  Value function;
  if (callee.kind == Kind::kAttribute) {
    const Value value = Operand(callee, 0);
    if (const Builtin* const method = FindMethod(value, callee.name)) {
      Value result = CallBuiltin(*method, value, arguments, budget_);
      budget_.AnnotateError(callee.name, "()");
      return result;
    }
    function = AttributeOf(value, callee.name);
  } else {
    function = Evaluate(callee);
  }
  if (function.is_undefined()) return FailUndefined(function, budget_);
  if (!function.is_object() || !ObjectOf(function)->is_callable()) {
    return budget_.Fail(KindName(function), " can not be called");
  }
  return ObjectOf(function)->Call(arguments);
}

Value Evaluator::Apply(const Expression& expression) {
  const Value value = Operand(expression, 0);
  const CallArguments arguments = Arguments(expression);
  if (!budget_.ok()) return {};
  Value result = CallBuiltin(*expression.builtin, value, arguments, budget_);
  budget_.AnnotateError(expression.kind == Kind::kTest ? "is " : "|",
                        expression.name);
  return result;
}

Value Evaluator::Sign(const Expression& expression) {
  const Value value = Operand(expression, 0);
  if (expression.kind == Kind::kNegate) return Negate(value, budget_);
  if (value.is_float()) return value;
  if (value.is_whole()) return Value::Integer(value.whole());
  if (value.is_undefined()) return FailUndefined(value, budget_);
  return budget_.Fail(KindName(value), " can not have a sign");
}

Value Evaluator::Concat(const Expression& expression) {
  MarkedText joined;
  for (size_t i = 0; i < expression.operands.size(); ++i) {
    budget_.Append(TextOf(Operand(expression, i), budget_), &joined);
  }
  return budget_.NewText(std::move(joined));
}

Value Evaluator::Comparisons(const Expression& expression) {
  Value left = Operand(expression, 0);
  for (size_t i = 0; i < expression.comparisons.size(); ++i) {
    Value right = Operand(expression, i + 1);
    if (!Compare(expression.comparisons[i], left, right, budget_)) {
      return Value::Bool(false);
    }
    left = std::move(right);
  }
  return Value::Bool(true);
}

Value Evaluator::Logic(const Expression& expression) {
  Value value;
  for (size_t i = 0; i < expression.operands.size(); ++i) {
    value = Operand(expression, i);
    if (expression.kind == Kind::kNot) return Value::Bool(!IsTrue(value));
    if (IsTrue(value) == (expression.kind == Kind::kOr)) return value;
  }
  return value;
}

}  // namespace tandem
