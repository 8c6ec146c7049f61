// Texts by a format: `%` and format() of Python's texts, and strftime. Contents
// that are put in keep their marks. Pure functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_FORMAT_TEXT_H_
#define TANDEM_ENGINE_TEMPLATE_FORMAT_TEXT_H_

#include <cstdint>
#include <ctime>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/template/marked_text.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_object.h"
#include "engine/template/template_value.h"

namespace tandem {

// format % value, where `value` is one value, a tuple of them, or a map.
TemplateValue FormatPercent(const MarkedText& format,
                            const TemplateValue& value, RenderBudget& budget);

// format.format(arguments): fields {}, {0} and {name} with !r, !s and a format
// of text or numbers; no attributes or items of a field.
TemplateValue FormatBraces(const MarkedText& format,
                           const CallArguments& arguments,
                           RenderBudget& budget);

// How a text is filled up.
struct Padding {
  MarkedText fill = MarkedText(" ", TextMark::kTemplate);
  int64_t before = 0;  // fills in front of the text, and after it
  int64_t after = 0;
  size_t lead = 0;  // bytes of the text that stay in front of all (a sign)
};
MarkedText PadText(const MarkedText& text, const Padding& padding,
                   RenderBudget& budget);

// `time` by `format`, in the words of the C locale; without a time zone.
std::string FormatTime(absl::string_view format, const std::tm& time,
                       RenderBudget& budget);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_FORMAT_TEXT_H_
