// What operators do to values, as in Python. Texts keep their marks;
// comparisons do not look at marks. Pure functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_OPERATORS_H_
#define TANDEM_ENGINE_TEMPLATE_OPERATORS_H_

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

// Whether it is a text; else an error.
bool NeedText(const TemplateValue& value, RenderBudget& budget);

// The value of a whole number; an error and 0 for others.
int64_t NeedWhole(const TemplateValue& value, RenderBudget& budget);

// The error of using an undefined value.
RenderBudget::Nothing FailUndefined(const TemplateValue& value,
                                    RenderBudget& budget);

bool IsTrue(const TemplateValue& value);

TemplateValue Calculate(BinaryOperator operation, const TemplateValue& left,
                        const TemplateValue& right, RenderBudget& budget);
TemplateValue Negate(const TemplateValue& value, RenderBudget& budget);

bool Equals(const TemplateValue& left, const TemplateValue& right,
            RenderBudget& budget);
// left < right; an error for values without an order.
bool Less(const TemplateValue& left, const TemplateValue& right,
          RenderBudget& budget);
bool Contains(const TemplateValue& container, const TemplateValue& item,
              RenderBudget& budget);
bool Compare(Comparison comparison, const TemplateValue& left,
             const TemplateValue& right, RenderBudget& budget);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_OPERATORS_H_
