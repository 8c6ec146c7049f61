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

using Kind = TemplateValue::Kind;
using ListKind = TemplateValue::ListKind;

// Steps of a multiplication by squaring: an exponent has 63 bits.
constexpr int kPowerStepsMax = 64;

absl::Status OverflowError() {
  return TemplateError("a whole number beyond 64 bits");
}

absl::Status ZeroError() { return TemplateError("division by zero"); }

absl::Status OperandError(absl::string_view operation,
                          const TemplateValue& left,
                          const TemplateValue& right) {
  if (left.is_undefined()) return UndefinedError(left);
  if (right.is_undefined()) return UndefinedError(right);
  return TemplateError(absl::StrCat(KindName(left), " ", operation, " ",
                                    KindName(right), " is not possible"));
}

absl::StatusOr<TemplateValue> AddWhole(int64_t left, int64_t right) {
  int64_t sum = 0;
  if (__builtin_add_overflow(left, right, &sum)) return OverflowError();
  return TemplateValue::Integer(sum);
}

absl::StatusOr<TemplateValue> SubtractWhole(int64_t left, int64_t right) {
  int64_t difference = 0;
  if (__builtin_sub_overflow(left, right, &difference)) return OverflowError();
  return TemplateValue::Integer(difference);
}

absl::StatusOr<TemplateValue> MultiplyWhole(int64_t left, int64_t right) {
  int64_t product = 0;
  if (__builtin_mul_overflow(left, right, &product)) return OverflowError();
  return TemplateValue::Integer(product);
}

// The quotient rounded down, and the rest, which has the sign of `right`.
absl::StatusOr<std::pair<int64_t, int64_t>> DivideWhole(int64_t left,
                                                        int64_t right) {
  if (right == 0) return ZeroError();
  if (right == -1) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue negated,
                            SubtractWhole(0, left));
    return std::make_pair(negated.integer(), int64_t{0});
  }
  int64_t quotient = left / right;
  int64_t rest = left % right;
  if (rest != 0 && (rest < 0) != (right < 0)) {
    --quotient;
    rest += right;
  }
  return std::make_pair(quotient, rest);
}

std::pair<double, double> DivideFloat(double left, double right) {
  double rest = std::fmod(left, right);
  double quotient = (left - rest) / right;
  if (rest != 0) {
    if ((right < 0) != (rest < 0)) {
      rest += right;
      quotient -= 1;
    }
  } else {
    rest = std::copysign(0.0, right);
  }
  if (quotient == 0) return {std::copysign(0.0, left / right), rest};
  double whole = std::floor(quotient);
  if (quotient - whole > 0.5) whole += 1;
  return {whole, rest};
}

absl::StatusOr<TemplateValue> PowerOf(const TemplateValue& left,
                                      const TemplateValue& right) {
  if (left.is_whole() && right.is_whole() && right.whole() >= 0) {
    int64_t base = left.whole();
    auto exponent = static_cast<uint64_t>(right.whole());
    int64_t power = 1;
    for (int i = 0; i < kPowerStepsMax && exponent > 0; ++i) {
      if ((exponent & 1) != 0 && __builtin_mul_overflow(power, base, &power)) {
        return OverflowError();
      }
      exponent >>= 1;
      if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
        return OverflowError();
      }
    }
    return TemplateValue::Integer(power);
  }
  const double base = left.number();
  const double exponent = right.number();
  if (base == 0 && exponent < 0) return ZeroError();
  const double power = std::pow(base, exponent);
  if (std::isfinite(base) && std::isfinite(exponent) && !std::isfinite(power)) {
    return TemplateError("a power that is not a number, or too large for one");
  }
  return TemplateValue::Float(power);
}

absl::StatusOr<TemplateValue> CalculateWhole(BinaryOperator operation,
                                             int64_t left, int64_t right) {
  switch (operation) {
    case BinaryOperator::kAdd:
      return AddWhole(left, right);
    case BinaryOperator::kSubtract:
      return SubtractWhole(left, right);
    case BinaryOperator::kMultiply:
      return MultiplyWhole(left, right);
    case BinaryOperator::kDivide:
      if (right == 0) return ZeroError();
      return TemplateValue::Float(static_cast<double>(left) /
                                  static_cast<double>(right));
    case BinaryOperator::kFloorDivide:
    case BinaryOperator::kModulo: {
      TANDEM_ASSIGN_OR_RETURN(const auto parts, DivideWhole(left, right));
      return TemplateValue::Integer(
          operation == BinaryOperator::kModulo ? parts.second : parts.first);
    }
    case BinaryOperator::kPower:
      return PowerOf(TemplateValue::Integer(left),
                     TemplateValue::Integer(right));
  }
  return OverflowError();
}

absl::StatusOr<TemplateValue> CalculateNumber(BinaryOperator operation,
                                              const TemplateValue& left,
                                              const TemplateValue& right) {
  if (left.is_whole() && right.is_whole()) {
    return CalculateWhole(operation, left.whole(), right.whole());
  }
  const double x = left.number();
  const double y = right.number();
  switch (operation) {
    case BinaryOperator::kAdd:
      return TemplateValue::Float(x + y);
    case BinaryOperator::kSubtract:
      return TemplateValue::Float(x - y);
    case BinaryOperator::kMultiply:
      return TemplateValue::Float(x * y);
    case BinaryOperator::kDivide:
      if (y == 0) return ZeroError();
      return TemplateValue::Float(x / y);
    case BinaryOperator::kFloorDivide:
      if (y == 0) return ZeroError();
      return TemplateValue::Float(DivideFloat(x, y).first);
    case BinaryOperator::kModulo:
      if (y == 0) return ZeroError();
      return TemplateValue::Float(DivideFloat(x, y).second);
    case BinaryOperator::kPower:
      return PowerOf(left, right);
  }
  return OverflowError();
}

absl::StatusOr<TemplateValue> Repeat(const TemplateValue& value, int64_t count,
                                     RenderBudget& budget) {
  // With the marks of a text.
  const int64_t bytes =
      value.is_text()
          ? value.text().memory_bytes()
          : static_cast<int64_t>(value.items().size() * sizeof(TemplateValue));
  const int64_t times = bytes == 0 ? 0 : std::max<int64_t>(count, 0);
  TANDEM_RETURN_IF_ERROR(budget.CheckRoom(static_cast<double>(times) *
                                          static_cast<double>(bytes)));
  if (value.is_text()) {
    MarkedText text;
    text.Reserve(static_cast<size_t>(times) * value.text().size());
    for (int64_t i = 0; i < times; ++i) text.Append(value.text());
    return budget.NewText(std::move(text));
  }
  std::vector<TemplateValue> items;
  for (int64_t i = 0; i < times; ++i) {
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return budget.NewList(std::move(items), value.list_kind());
}

bool IsRepeatable(const TemplateValue& value) {
  return value.is_text() || value.is_list(ListKind::kList) ||
         value.is_list(ListKind::kTuple);
}

absl::StatusOr<TemplateValue> Add(const TemplateValue& left,
                                  const TemplateValue& right,
                                  RenderBudget& budget) {
  if (left.is_text() && right.is_text()) {
    TANDEM_RETURN_IF_ERROR(budget.CheckRoom(static_cast<double>(
        left.text().memory_bytes() + right.text().memory_bytes())));
    MarkedText text;
    text.Reserve(left.text().size() + right.text().size());
    text.Append(left.text());
    text.Append(right.text());
    return budget.NewText(std::move(text));
  }
  if (IsRepeatable(left) && left.is_list() && right.is_list(left.list_kind())) {
    TANDEM_RETURN_IF_ERROR(
        budget.CheckItems(left.items().size() + right.items().size()));
    std::vector<TemplateValue> items(left.items().begin(), left.items().end());
    items.insert(items.end(), right.items().begin(), right.items().end());
    return budget.NewList(std::move(items), left.list_kind());
  }
  return OperandError("+", left, right);
}

bool IsLess(const TemplateValue& left, const TemplateValue& right) {
  if (left.is_whole() && right.is_whole()) return left.whole() < right.whole();
  const auto exact = [](const TemplateValue& value) {
    return value.is_float() ? static_cast<long double>(value.float_value())
                            : static_cast<long double>(value.whole());
  };
  return exact(left) < exact(right);
}

bool IsEqualNumber(const TemplateValue& left, const TemplateValue& right) {
  if (left.is_whole() && right.is_whole()) return left.whole() == right.whole();
  if ((left.is_float() && std::isnan(left.float_value())) ||
      (right.is_float() && std::isnan(right.float_value()))) {
    return false;
  }
  return !IsLess(left, right) && !IsLess(right, left);
}

absl::StatusOr<bool> EqualMaps(const TemplateValue& left,
                               const TemplateValue& right,
                               RenderBudget& budget) {
  if (left.entries().size() != right.entries().size()) return false;
  for (const auto& [key, value] : left.entries()) {
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue* other,
                            FindKey(right, key, budget));
    if (other == nullptr) return false;
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal, Equals(value, *other, budget));
    if (!is_equal) return false;
  }
  return true;
}

absl::StatusOr<bool> EqualLists(const TemplateValue& left,
                                const TemplateValue& right,
                                RenderBudget& budget) {
  if (!left.is_indexable()) return left.IsSame(right);
  if (left.list_kind() != right.list_kind() ||
      left.items().size() != right.items().size()) {
    return false;
  }
  for (size_t i = 0; i < left.items().size(); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal,
                            Equals(left.items()[i], right.items()[i], budget));
    if (!is_equal) return false;
  }
  return true;
}

}  // namespace

absl::string_view KindName(const TemplateValue& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "an undefined value";
    case Kind::kNone:
      return "none";
    case Kind::kBool:
      return "a truth value";
    case Kind::kInteger:
      return "a whole number";
    case Kind::kFloat:
      return "a number";
    case Kind::kText:
      return "a text";
    case Kind::kList:
      switch (value.list_kind()) {
        case ListKind::kTuple:
          return "a tuple";
        case ListKind::kGenerator:
          return "a generator";
        default:
          return "a list";
      }
    case Kind::kMap:
      return "a map";
    case Kind::kObject:
      return "a function or object";
  }
  return "a value";
}

absl::Status UndefinedError(const TemplateValue& value) {
  const absl::string_view reason = value.undefined_reason();
  return TemplateError(reason.empty() ? "the value is undefined" : reason);
}

absl::Status NeedText(const TemplateValue& value) {
  if (value.is_text()) return absl::OkStatus();
  return TemplateError(
      absl::StrCat("needs a text, is given ", KindName(value)));
}

absl::StatusOr<int64_t> NeedWhole(const TemplateValue& value) {
  if (value.is_whole()) return value.whole();
  return TemplateError(
      absl::StrCat("needs a whole number, is given ", KindName(value)));
}

absl::StatusOr<int64_t> WholeOr(const TemplateValue* value, int64_t absent) {
  if (value == nullptr || value->is_none()) return absent;
  return NeedWhole(*value);
}

bool IsTrue(const TemplateValue& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
    case Kind::kInteger:
      return value.whole() != 0;
    case Kind::kFloat:
      return value.float_value() != 0;
    case Kind::kText:
      return !value.text().empty();
    case Kind::kList:
      return value.list_kind() == ListKind::kGenerator ||
             !value.items().empty();
    case Kind::kMap:
      return !value.entries().empty();
    case Kind::kObject:
      return true;
  }
  return false;
}

absl::StatusOr<TemplateValue> Calculate(BinaryOperator operation,
                                        const TemplateValue& left,
                                        const TemplateValue& right,
                                        RenderBudget& budget) {
  if (left.is_number() && right.is_number()) {
    return CalculateNumber(operation, left, right);
  }
  switch (operation) {
    case BinaryOperator::kAdd:
      return Add(left, right, budget);
    case BinaryOperator::kSubtract:
      return OperandError("-", left, right);
    case BinaryOperator::kMultiply:
      if (IsRepeatable(left) && right.is_whole()) {
        return Repeat(left, right.whole(), budget);
      }
      if (IsRepeatable(right) && left.is_whole()) {
        return Repeat(right, left.whole(), budget);
      }
      return OperandError("*", left, right);
    case BinaryOperator::kDivide:
      return OperandError("/", left, right);
    case BinaryOperator::kFloorDivide:
      return OperandError("//", left, right);
    case BinaryOperator::kModulo:
      if (left.is_text()) return FormatPercent(left.text(), right, budget);
      return OperandError("%", left, right);
    case BinaryOperator::kPower:
      return OperandError("**", left, right);
  }
  return OperandError("?", left, right);
}

absl::StatusOr<TemplateValue> Negate(const TemplateValue& value) {
  if (value.is_whole()) return SubtractWhole(0, value.whole());
  if (value.is_float()) return TemplateValue::Float(-value.float_value());
  if (value.is_undefined()) return UndefinedError(value);
  return TemplateError(absl::StrCat(KindName(value), " has no negative"));
}

absl::StatusOr<bool> Equals(const TemplateValue& left,
                            const TemplateValue& right, RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(budget.Step());
  if (left.is_number() && right.is_number()) return IsEqualNumber(left, right);
  if (left.kind() != right.kind()) return false;
  if (left.is_text()) {
    if (left.text().size() != right.text().size()) return false;
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(left.text().size()));
    return left.text().bytes() == right.text().bytes();
  }
  if (left.is_list()) return EqualLists(left, right, budget);
  if (left.is_map()) return EqualMaps(left, right, budget);
  return left.IsSame(right);
}

absl::StatusOr<bool> Less(const TemplateValue& left, const TemplateValue& right,
                          RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(budget.Step());
  if (left.is_number() && right.is_number()) return IsLess(left, right);
  if (left.is_text() && right.is_text()) {
    TANDEM_RETURN_IF_ERROR(
        budget.StepBytes(std::min(left.text().size(), right.text().size())));
    return left.text().bytes() < right.text().bytes();
  }
  if (IsRepeatable(left) && left.is_list() && right.is_list(left.list_kind())) {
    const size_t count = std::min(left.items().size(), right.items().size());
    for (size_t i = 0; i < count; ++i) {
      TANDEM_ASSIGN_OR_RETURN(
          const bool is_equal,
          Equals(left.items()[i], right.items()[i], budget));
      if (!is_equal) return Less(left.items()[i], right.items()[i], budget);
    }
    return left.items().size() < right.items().size();
  }
  if (left.is_undefined()) return UndefinedError(left);
  if (right.is_undefined()) return UndefinedError(right);
  return TemplateError(
      absl::StrCat(KindName(left), " and ", KindName(right), " have no order"));
}

absl::StatusOr<bool> Contains(const TemplateValue& container,
                              const TemplateValue& item, RenderBudget& budget) {
  if (container.is_text()) {
    if (!item.is_text()) {
      if (item.is_undefined()) return UndefinedError(item);
      return TemplateError(
          absl::StrCat(KindName(item), " can not be looked for in a text"));
    }
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(container.text().size()));
    return FindBytes(container.text().bytes(), item.text().bytes(), 0) !=
           absl::string_view::npos;
  }
  if (container.is_map()) {
    if (!item.is_key()) {
      return TemplateError(absl::StrCat(KindName(item), " can not be a key"));
    }
    TANDEM_ASSIGN_OR_RETURN(const TemplateValue* found,
                            FindKey(container, item, budget));
    return found != nullptr;
  }
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TemplateValue> items,
                          ItemsOf(container, budget));
  for (const TemplateValue& candidate : items) {
    TANDEM_ASSIGN_OR_RETURN(const bool is_equal,
                            Equals(candidate, item, budget));
    if (is_equal) return true;
  }
  return false;
}

absl::StatusOr<bool> Compare(Comparison comparison, const TemplateValue& left,
                             const TemplateValue& right, RenderBudget& budget) {
  absl::StatusOr<bool> result = false;
  switch (comparison) {
    case Comparison::kEqual:
      return Equals(left, right, budget);
    case Comparison::kNotEqual:
      result = Equals(left, right, budget);
      break;
    case Comparison::kLess:
      return Less(left, right, budget);
    case Comparison::kGreater:
      return Less(right, left, budget);
    case Comparison::kLessOrEqual:
    case Comparison::kGreaterOrEqual: {
      const bool is_less = comparison == Comparison::kLessOrEqual;
      const TemplateValue& small = is_less ? left : right;
      const TemplateValue& large = is_less ? right : left;
      TANDEM_ASSIGN_OR_RETURN(const bool is_below, Less(small, large, budget));
      return is_below ? true : Equals(small, large, budget);
    }
    case Comparison::kIn:
      return Contains(right, left, budget);
    case Comparison::kNotIn:
      result = Contains(right, left, budget);
      break;
  }
  if (result.ok()) return !*result;
  return result;
}

}  // namespace tandem
