// The tests of the template language (`is NAME`), as Jinja has them. Pure
// functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_VALUE_TESTS_H_
#define TANDEM_ENGINE_TEMPLATE_VALUE_TESTS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_object.h"
#include "engine/template/template_value.h"

namespace tandem {

struct TemplateTest {
  absl::string_view name;
  absl::StatusOr<bool> (*function)(const TemplateValue& value,
                                   const CallArguments& arguments,
                                   RenderBudget& budget);
};

// Null where there is none of that name.
const TemplateTest* FindTest(absl::string_view name);

// All names; for messages.
std::vector<absl::string_view> TestNames();

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_VALUE_TESTS_H_
