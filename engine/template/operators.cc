#include "engine/template/operators.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/characters.h"
#include "engine/template/containers.h"
#include "engine/template/format_text.h"

namespace tandem {
namespace {

using Value = TemplateValue;
using Kind = Value::Kind;
using ListKind = Value::ListKind;

// Steps of a multiplication by squaring: an exponent has 63 bits.
constexpr int kPowerStepsMax = 64;

constexpr char kZeroError[] = "division by zero";

// The signs, in the order of BinaryOperator.
constexpr absl::string_view kSigns[] = {"+", "-", "*", "/", "//", "%", "**"};

// The quotient rounded down, and the rest, which has the sign of `right`.
std::pair<double, double> Divide(double left, double right) {
  double rest = std::fmod(left, right);
  double quotient = (left - rest) / right;
  if (rest == 0) {
    rest = std::copysign(0.0, right);
  } else if ((right < 0) != (rest < 0)) {
    rest += right;
    quotient -= 1;
  }
  if (quotient == 0) return {std::copysign(0.0, left / right), rest};
  double whole = std::floor(quotient);
  if (quotient - whole > 0.5) whole += 1;
  return {whole, rest};
}

// base ** exponent of whole numbers, the exponent not negative; false where it
// is beyond 64 bits.
bool PowerOf(int64_t base, int64_t exponent, int64_t* power) {
  *power = 1;
  for (int i = 0; i < kPowerStepsMax && exponent > 0; ++i) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(*power, base, power)) {
      return false;
    }
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return false;
  }
  return true;
}

// For all but a division to a fraction and powers with a negative exponent.
Value CalculateWhole(BinaryOperator operation, int64_t left, int64_t right,
                     RenderBudget& budget) {
  int64_t result = 0;
  bool is_beyond = false;
  switch (operation) {
    case BinaryOperator::kAdd:
      is_beyond = __builtin_add_overflow(left, right, &result);
      break;
    case BinaryOperator::kSubtract:
      is_beyond = __builtin_sub_overflow(left, right, &result);
      break;
    case BinaryOperator::kMultiply:
      is_beyond = __builtin_mul_overflow(left, right, &result);
      break;
    case BinaryOperator::kPower:
      is_beyond = !PowerOf(left, right, &result);
      break;
    default: {
      const bool is_rest = operation == BinaryOperator::kModulo;
      if (right == 0) return budget.Fail(kZeroError);
      if (right == -1) {  // the lowest number has no negative
        is_beyond = __builtin_sub_overflow(0, left, &result);
        if (is_rest) result = 0;
        break;
      }
      const int64_t rest = left % right;
      const bool is_below = rest != 0 && (rest < 0) != (right < 0);
      result = is_rest ? rest + (is_below ? right : 0)
                       : left / right - (is_below ? 1 : 0);
    }
  }
  if (is_beyond) return budget.Fail("a whole number beyond 64 bits");
  return Value::Integer(result);
}

Value CalculateNumber(BinaryOperator operation, const Value& left,
                      const Value& right, RenderBudget& budget) {
  const bool is_power = operation == BinaryOperator::kPower;
  if (left.is_whole() && right.is_whole() &&
      operation != BinaryOperator::kDivide &&
      !(is_power && right.whole() < 0)) {
    return CalculateWhole(operation, left.whole(), right.whole(), budget);
  }
  const double x = left.number();
  const double y = right.number();
  const bool is_division = operation == BinaryOperator::kDivide ||
                           operation == BinaryOperator::kFloorDivide ||
                           operation == BinaryOperator::kModulo;
  if ((is_division && y == 0) || (is_power && x == 0 && y < 0)) {
    return budget.Fail(kZeroError);
  }
  switch (operation) {
    case BinaryOperator::kAdd:
      return Value::Float(x + y);
    case BinaryOperator::kSubtract:
      return Value::Float(x - y);
    case BinaryOperator::kMultiply:
      return Value::Float(x * y);
    case BinaryOperator::kDivide:
      return Value::Float(x / y);
    case BinaryOperator::kFloorDivide:
      return Value::Float(Divide(x, y).first);
    case BinaryOperator::kModulo:
      return Value::Float(Divide(x, y).second);
    case BinaryOperator::kPower:
      break;
  }
  const double power = std::pow(x, y);
  if (std::isfinite(x) && std::isfinite(y) && !std::isfinite(power)) {
    return budget.Fail("a power that is not a number, or too large for one");
  }
  return Value::Float(power);
}

Value Repeat(const Value& value, int64_t count, RenderBudget& budget) {
  // With the marks of a text.
  const size_t bytes = value.is_text() ? value.text().memory_bytes()
                                       : value.items().size() * sizeof(Value);
  const size_t times =
      bytes == 0 ? 0 : static_cast<size_t>(std::max<int64_t>(count, 0));
  if (!budget.CheckRoom(times, bytes)) return {};
  if (value.is_text()) {
    MarkedText text;
    text.Reserve(times * value.text().size());
    for (size_t i = 0; i < times; ++i) text.Append(value.text());
    return budget.NewText(std::move(text));
  }
  std::vector<Value> items;
  for (size_t i = 0; i < times; ++i) {
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return budget.NewList(std::move(items), value.list().kind);
}

// A list or tuple.
bool IsSequence(const Value& value) {
  return value.is_list(ListKind::kList) || value.is_list(ListKind::kTuple);
}

bool AreSequences(const Value& left, const Value& right) {
  return IsSequence(left) && right.is_list(left.list().kind);
}

// left + right, both texts or both lists.
Value Join(const Value& left, const Value& right, RenderBudget& budget) {
  if (left.is_text()) {
    const size_t bytes = left.text().size() + right.text().size();
    if (!budget.CheckRoom(bytes)) return {};
    MarkedText text;
    text.Reserve(bytes);
    budget.Append(left.text(), &text);
    budget.Append(right.text(), &text);
    return budget.NewText(std::move(text));
  }
  if (!budget.CheckItems(left.items().size() + right.items().size())) return {};
  std::vector<Value> items(left.items().begin(), left.items().end());
  items.insert(items.end(), right.items().begin(), right.items().end());
  return budget.NewList(std::move(items), left.list().kind);
}

// Of a number, without loss: whole ones have 64 bits, as this has.
long double ExactOf(const Value& value) {
  return value.is_float() ? static_cast<long double>(value.number())
                          : static_cast<long double>(value.whole());
}

bool EqualMaps(const Value& left, const Value& right, RenderBudget& budget) {
  if (left.entries().size() != right.entries().size()) return false;
  for (const auto& [key, value] : left.entries()) {
    const Value* other = FindKey(right, key, budget);
    if (other == nullptr || !Equals(value, *other, budget)) return false;
  }
  return true;
}

bool EqualLists(const Value& left, const Value& right, RenderBudget& budget) {
  if (!IsIndexable(left)) return IsSame(left, right);
  if (left.list().kind != right.list().kind ||
      left.items().size() != right.items().size()) {
    return false;
  }
  for (size_t i = 0; i < left.items().size(); ++i) {
    if (!Equals(left.items()[i], right.items()[i], budget)) return false;
  }
  return true;
}

}  // namespace

absl::string_view KindName(const Value& value) {
  // In the order of Kind.
  constexpr absl::string_view kNames[] = {"an undefined value",
                                          "none",
                                          "a truth value",
                                          "a whole number",
                                          "a number",
                                          "a text",
                                          "a list",
                                          "a map",
                                          "a function or object"};
  if (value.is_list(ListKind::kTuple)) return "a tuple";
  if (value.is_list(ListKind::kGenerator)) return "a generator";
  return kNames[value.data().index()];
}

RenderBudget::Nothing FailUndefined(const Value& value, RenderBudget& budget) {
  const auto& reason = std::get<Value::UndefinedValue>(value.data()).reason;
  return budget.Fail(reason == nullptr ? "the value is undefined" : *reason);
}

bool NeedText(const Value& value, RenderBudget& budget) {
  if (value.is_text()) return true;
  return budget.Fail("needs a text, is given ", KindName(value));
}

int64_t NeedWhole(const Value& value, RenderBudget& budget) {
  if (value.is_whole()) return value.whole();
  return budget.Fail("needs a whole number, is given ", KindName(value));
}

bool IsTrue(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInteger:
      return value.whole() != 0;
    case Kind::kFloat:
      return value.number() != 0;
    case Kind::kText:
      return !value.text().empty();
    case Kind::kList:
      return value.is_list(ListKind::kGenerator) || !value.items().empty();
    case Kind::kMap:
      return !value.entries().empty();
    case Kind::kObject:
      return true;
  }
  return false;
}

Value Calculate(BinaryOperator operation, const Value& left, const Value& right,
                RenderBudget& budget) {
  if (left.is_number() && right.is_number()) {
    return CalculateNumber(operation, left, right, budget);
  }
  if (operation == BinaryOperator::kAdd &&
      ((left.is_text() && right.is_text()) || AreSequences(left, right))) {
    return Join(left, right, budget);
  }
  if (operation == BinaryOperator::kMultiply) {
    if ((left.is_text() || IsSequence(left)) && right.is_whole()) {
      return Repeat(left, right.whole(), budget);
    }
    if ((right.is_text() || IsSequence(right)) && left.is_whole()) {
      return Repeat(right, left.whole(), budget);
    }
  }
  if (operation == BinaryOperator::kModulo && left.is_text()) {
    return FormatPercent(left.text(), right, budget);
  }
  if (left.is_undefined()) return FailUndefined(left, budget);
  if (right.is_undefined()) return FailUndefined(right, budget);
  return budget.Fail(KindName(left), " ",
                     kSigns[static_cast<size_t>(operation)], " ",
                     KindName(right), " is not possible");
}

Value Negate(const Value& value, RenderBudget& budget) {
  if (value.is_whole()) {
    return CalculateWhole(BinaryOperator::kSubtract, 0, value.whole(), budget);
  }
  if (value.is_float()) return Value::Float(-value.number());
  if (value.is_undefined()) return FailUndefined(value, budget);
  return budget.Fail(KindName(value), " has no negative");
}

bool Equals(const Value& left, const Value& right, RenderBudget& budget) {
  budget.Step();
  if (!budget.Check()) return false;
  if (left.is_number() && right.is_number()) {
    return ExactOf(left) == ExactOf(right);
  }
  if (left.kind() != right.kind()) return false;
  if (left.is_text()) {
    if (left.text().size() != right.text().size()) return false;
    budget.StepBytes(left.text().size());
    return left.text().bytes() == right.text().bytes();
  }
  if (left.is_list()) return EqualLists(left, right, budget);
  if (left.is_map()) return EqualMaps(left, right, budget);
  return IsSame(left, right);
}

bool Less(const Value& left, const Value& right, RenderBudget& budget) {
  budget.Step();
  if (!budget.Check()) return false;
  if (left.is_number() && right.is_number()) {
    return ExactOf(left) < ExactOf(right);
  }
  if (left.is_text() && right.is_text()) {
    budget.StepBytes(std::min(left.text().size(), right.text().size()));
    return left.text().bytes() < right.text().bytes();
  }
  if (AreSequences(left, right)) {
    const size_t count = std::min(left.items().size(), right.items().size());
    for (size_t i = 0; i < count; ++i) {
      const Value& item = left.items()[i];
      const Value& other = right.items()[i];
      if (!Equals(item, other, budget)) return Less(item, other, budget);
    }
    return left.items().size() < right.items().size();
  }
  if (left.is_undefined()) return FailUndefined(left, budget);
  if (right.is_undefined()) return FailUndefined(right, budget);
  return budget.Fail(KindName(left), " and ", KindName(right),
                     " have no order");
}

bool Contains(const Value& container, const Value& item, RenderBudget& budget) {
  if (container.is_text()) {
    if (!item.is_text()) {
      if (item.is_undefined()) return FailUndefined(item, budget);
      return budget.Fail(KindName(item), " can not be looked for in a text");
    }
    budget.StepBytes(container.text().size());
    return FindBytes(container.text().bytes(), item.text().bytes(), 0) !=
           absl::string_view::npos;
  }
  if (container.is_map()) {
    return NeedKey(item, budget) && FindKey(container, item, budget) != nullptr;
  }
  const std::vector<Value> items = ItemsOf(container, budget);
  return std::any_of(items.begin(), items.end(), [&](const Value& candidate) {
    return Equals(candidate, item, budget);
  });
}

bool Compare(Comparison comparison, const Value& left, const Value& right,
             RenderBudget& budget) {
  switch (comparison) {
    case Comparison::kEqual:
      return Equals(left, right, budget);
    case Comparison::kLess:
      return Less(left, right, budget);
    case Comparison::kGreater:
      return Less(right, left, budget);
    case Comparison::kIn:
      return Contains(right, left, budget);
    case Comparison::kGreaterOrEqual:
      return Compare(Comparison::kLessOrEqual, right, left, budget);
    case Comparison::kLessOrEqual:
      return Less(left, right, budget) || Equals(left, right, budget);
    case Comparison::kNotEqual:
      return !Equals(left, right, budget);
    case Comparison::kNotIn:
      return !Contains(right, left, budget);
  }
  return false;
}

}  // namespace tandem
