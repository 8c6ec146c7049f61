// Values as text: as a template prints them (Python's str and repr) and as
// JSON. Contents keep their marks. Pure functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_VALUE_TEXT_H_
#define TANDEM_ENGINE_TEMPLATE_VALUE_TEXT_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "engine/template/marked_text.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_value.h"

namespace tandem {

// The shortest decimal that reads back as `number`, as Python's repr.
std::string FloatText(double number);

// str(value)
MarkedText TextOf(const TemplateValue& value, RenderBudget& budget);
// repr(value)
MarkedText ReprOf(const TemplateValue& value, RenderBudget& budget);

struct JsonOptions {
  bool ensure_ascii = false;
  bool sort_keys = false;
  // One level's white space; without it all stands on one line.
  bool has_indent = false;
  MarkedText indent;
  MarkedText item_separator = MarkedText(", ", TextMark::kTemplate);
  MarkedText key_separator = MarkedText(": ", TextMark::kTemplate);
};
// json.dumps(value)
MarkedText JsonOf(const TemplateValue& value, const JsonOptions& options,
                  RenderBudget& budget);

// Appends `from` to `text`, each character as `change` has it, with its mark.
// `change` sets its empty text to what stands in a character's place, or
// returns false: the character stays.
void AppendChanged(
    const MarkedText& from,
    absl::FunctionRef<bool(absl::string_view character, std::string* changed)>
        change,
    RenderBudget& budget, MarkedText* text);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_VALUE_TEXT_H_
