// Methods of values, as Python has them. Those that would change
// a value are not there: a template's values do not change, as in the sandbox
// that chat templates are written for. Those of lists and maps stand here. Pure
// functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_VALUE_METHODS_H_
#define TANDEM_ENGINE_TEMPLATE_VALUE_METHODS_H_

#include "absl/strings/string_view.h"
#include "engine/template/template_value.h"
#include "engine/template/text_methods.h"

namespace tandem {

// value.name(); null where values of this kind have no such method.
MethodFunction FindMethod(const TemplateValue& value, absl::string_view name);

// Whether values of this kind have a method of that name that changes them.
bool IsChangingMethod(const TemplateValue& value, absl::string_view name);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_VALUE_METHODS_H_
