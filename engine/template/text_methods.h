// Methods of texts, as Python has them; and what they share with filters. Pure
// functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_TEXT_METHODS_H_
#define TANDEM_ENGINE_TEMPLATE_TEXT_METHODS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/template/marked_text.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_object.h"
#include "engine/template/template_value.h"

namespace tandem {

using MethodFunction = absl::StatusOr<TemplateValue> (*)(
    const TemplateValue& value, const CallArguments& arguments,
    RenderBudget& budget);

struct TemplateMethod {
  absl::string_view name;
  MethodFunction function;
};

// The one called `name` in `methods`; null if none.
MethodFunction FindMethodIn(absl::Span<const TemplateMethod> methods,
                            absl::string_view name);
// The same for the methods of texts.
MethodFunction FindTextMethod(absl::string_view name);

// What the method of texts called `name` gives for `value`, which is turned
// into its text first.
absl::StatusOr<TemplateValue> ByMethod(absl::string_view name,
                                       const TemplateValue& value,
                                       const CallArguments& arguments,
                                       RenderBudget& budget);

// text.split(separator) at most `splits_max` times, unless negative.
absl::StatusOr<TemplateValue> SplitText(const MarkedText& text,
                                        absl::string_view separator,
                                        int64_t splits_max,
                                        RenderBudget& budget);

// text.replace(from, to) at most `count_max` times, unless negative.
absl::StatusOr<TemplateValue> ReplaceText(const MarkedText& text,
                                          const MarkedText& from,
                                          const MarkedText& to,
                                          int64_t count_max,
                                          RenderBudget& budget);

// The texts of `items`, `separator` between them.
absl::StatusOr<TemplateValue> JoinTexts(const MarkedText& separator,
                                        const std::vector<TemplateValue>& items,
                                        RenderBudget& budget);

// `text` in the middle of `width` characters.
absl::StatusOr<TemplateValue> CenterText(const MarkedText& text, int64_t width,
                                         const MarkedText& fill,
                                         RenderBudget& budget);

// Each character through `change`, which may see the one before it.
absl::StatusOr<TemplateValue> ChangeCharacters(
    const MarkedText& text,
    std::string (*change)(absl::string_view character, uint32_t previous),
    RenderBudget& budget);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_TEXT_METHODS_H_
