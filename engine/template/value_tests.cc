#include "engine/template/value_tests.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/template/containers.h"
#include "engine/template/filters.h"
#include "engine/template/operators.h"
#include "engine/template/text_methods.h"

namespace tandem {
namespace {

using Kind = TemplateValue::Kind;
using ListKind = TemplateValue::ListKind;

template <bool (*is_so)(const TemplateValue&)>
absl::StatusOr<bool> Plain(const TemplateValue& value,
                           const CallArguments& arguments,
                           RenderBudget& /*budget*/) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  return is_so(value);
}

bool IsDefined(const TemplateValue& value) { return !value.is_undefined(); }
bool IsUndefined(const TemplateValue& value) { return value.is_undefined(); }
bool IsNone(const TemplateValue& value) { return value.is_none(); }
bool IsString(const TemplateValue& value) { return value.is_text(); }
bool IsNumber(const TemplateValue& value) { return value.is_number(); }
bool IsInteger(const TemplateValue& value) { return value.is_integer(); }
bool IsFloat(const TemplateValue& value) { return value.is_float(); }
bool IsBoolean(const TemplateValue& value) { return value.is_bool(); }
bool IsTrueValue(const TemplateValue& value) {
  return value.is_bool() && value.truth_value();
}
bool IsFalseValue(const TemplateValue& value) {
  return value.is_bool() && !value.truth_value();
}
bool IsMapping(const TemplateValue& value) { return value.is_map(); }
// An undefined value may be iterated over, asked for its length, and called,
// which then fails.
bool IsIterable(const TemplateValue& value) {
  return value.is_undefined() || value.is_text() || value.is_list() ||
         value.is_map();
}
bool IsSequence(const TemplateValue& value) {
  return value.is_undefined() || value.is_text() || value.is_map() ||
         value.is_indexable();
}
bool IsCallable(const TemplateValue& value) {
  return value.is_undefined() ||
         (value.is_object() && value.object()->is_callable());
}
bool IsEscaped(const TemplateValue& /*value*/) { return false; }

template <Comparison comparison>
absl::StatusOr<bool> Compares(const TemplateValue& value,
                              const CallArguments& arguments,
                              RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"/other"}, 1));
  return Compare(comparison, value, *bound[0], budget);
}

absl::StatusOr<bool> IsSameAs(const TemplateValue& value,
                              const CallArguments& arguments,
                              RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"other"}, 1));
  if (value.is_text()) {
    TANDEM_RETURN_IF_ERROR(budget.StepBytes(value.text().size()));
  }
  return value.IsSame(*bound[0]);
}

// value % divisor == rest
absl::StatusOr<bool> HasRest(const TemplateValue& value,
                             const TemplateValue& divisor, int64_t rest,
                             RenderBudget& budget) {
  if (value.is_text()) return TemplateError("needs a number, is given a text");
  TANDEM_ASSIGN_OR_RETURN(
      const TemplateValue remainder,
      Calculate(BinaryOperator::kModulo, value, divisor, budget));
  return Equals(remainder, TemplateValue::Integer(rest), budget);
}

template <int64_t rest>
absl::StatusOr<bool> HalvesWithRest(const TemplateValue& value,
                                    const CallArguments& arguments,
                                    RenderBudget& budget) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  return HasRest(value, TemplateValue::Integer(2), rest, budget);
}

absl::StatusOr<bool> IsDivisible(const TemplateValue& value,
                                 const CallArguments& arguments,
                                 RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const auto bound,
                          BindArguments(arguments, {"num"}, 1));
  return HasRest(value, *bound[0], 0, budget);
}

absl::StatusOr<bool> HasCase(absl::string_view method_name,
                             const TemplateValue& value,
                             const CallArguments& arguments,
                             RenderBudget& budget) {
  TANDEM_ASSIGN_OR_RETURN(const TemplateValue answer,
                          ByMethod(method_name, value, arguments, budget));
  return IsTrue(answer);
}

absl::StatusOr<bool> IsLowerCase(const TemplateValue& value,
                                 const CallArguments& arguments,
                                 RenderBudget& budget) {
  return HasCase("islower", value, arguments, budget);
}

absl::StatusOr<bool> IsUpperCase(const TemplateValue& value,
                                 const CallArguments& arguments,
                                 RenderBudget& budget) {
  return HasCase("isupper", value, arguments, budget);
}

absl::StatusOr<bool> IsFilterName(const TemplateValue& value,
                                  const CallArguments& arguments,
                                  RenderBudget& /*budget*/) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  return value.is_text() && FindFilter(value.text().bytes()) != nullptr;
}

absl::StatusOr<bool> IsTestName(const TemplateValue& value,
                                const CallArguments& arguments,
                                RenderBudget& /*budget*/) {
  TANDEM_RETURN_IF_ERROR(BindArguments(arguments, {}, 0).status());
  return value.is_text() && FindTest(value.text().bytes()) != nullptr;
}

constexpr TemplateTest kTests[] = {
    {"boolean", &Plain<IsBoolean>},
    {"callable", &Plain<IsCallable>},
    {"defined", &Plain<IsDefined>},
    {"divisibleby", &IsDivisible},
    {"eq", &Compares<Comparison::kEqual>},
    {"==", &Compares<Comparison::kEqual>},
    {"equalto", &Compares<Comparison::kEqual>},
    {"escaped", &Plain<IsEscaped>},
    {"even", &HalvesWithRest<0>},
    {"false", &Plain<IsFalseValue>},
    {"filter", &IsFilterName},
    {"float", &Plain<IsFloat>},
    {"ge", &Compares<Comparison::kGreaterOrEqual>},
    {">=", &Compares<Comparison::kGreaterOrEqual>},
    {"gt", &Compares<Comparison::kGreater>},
    {">", &Compares<Comparison::kGreater>},
    {"greaterthan", &Compares<Comparison::kGreater>},
    {"in", &Compares<Comparison::kIn>},
    {"integer", &Plain<IsInteger>},
    {"iterable", &Plain<IsIterable>},
    {"le", &Compares<Comparison::kLessOrEqual>},
    {"<=", &Compares<Comparison::kLessOrEqual>},
    {"lessthan", &Compares<Comparison::kLess>},
    {"lower", &IsLowerCase},
    {"lt", &Compares<Comparison::kLess>},
    {"<", &Compares<Comparison::kLess>},
    {"mapping", &Plain<IsMapping>},
    {"ne", &Compares<Comparison::kNotEqual>},
    {"!=", &Compares<Comparison::kNotEqual>},
    {"none", &Plain<IsNone>},
    {"number", &Plain<IsNumber>},
    {"odd", &HalvesWithRest<1>},
    {"sameas", &IsSameAs},
    {"sequence", &Plain<IsSequence>},
    {"string", &Plain<IsString>},
    {"test", &IsTestName},
    {"true", &Plain<IsTrueValue>},
    {"undefined", &Plain<IsUndefined>},
    {"upper", &IsUpperCase},
};

}  // namespace

const TemplateTest* FindTest(absl::string_view name) {
  for (const TemplateTest& test : kTests) {
    if (test.name == name) return &test;
  }
  return nullptr;
}

std::vector<absl::string_view> TestNames() {
  std::vector<absl::string_view> names;
  for (const TemplateTest& test : kTests) names.push_back(test.name);
  return names;
}

}  // namespace tandem
