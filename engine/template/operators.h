// What operators do to values, as in Python. Texts keep their marks;
// comparisons do not look at marks. Pure functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_OPERATORS_H_
#define TANDEM_ENGINE_TEMPLATE_OPERATORS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_value.h"

namespace tandem {

enum class BinaryOperator {
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
};

enum class Comparison {
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kIn,
  kNotIn,
};

// What a value is called in messages: "a text", "a list" ...
absl::string_view KindName(const TemplateValue& value);

// An error for what is no text.
absl::Status NeedText(const TemplateValue& value);

// The value of a whole number; an error for others.
absl::StatusOr<int64_t> NeedWhole(const TemplateValue& value);

// The error of using an undefined value.
absl::Status UndefinedError(const TemplateValue& value);

bool IsTrue(const TemplateValue& value);

ValueOr Calculate(BinaryOperator operation, const TemplateValue& left,
                  const TemplateValue& right, RenderBudget& budget);
ValueOr Negate(const TemplateValue& value);

absl::StatusOr<bool> Equals(const TemplateValue& left,
                            const TemplateValue& right, RenderBudget& budget);
// left < right; an error for values without an order.
absl::StatusOr<bool> Less(const TemplateValue& left, const TemplateValue& right,
                          RenderBudget& budget);
absl::StatusOr<bool> Contains(const TemplateValue& container,
                              const TemplateValue& item, RenderBudget& budget);
absl::StatusOr<bool> Compare(Comparison comparison, const TemplateValue& left,
                             const TemplateValue& right, RenderBudget& budget);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_OPERATORS_H_
