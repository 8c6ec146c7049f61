// The filters of the template language by name, as Jinja has them. Those that
// change numbers or turn values into one another stand here, those of texts and
// lists in files of their own. Pure functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_FILTERS_H_
#define TANDEM_ENGINE_TEMPLATE_FILTERS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/template/render_budget.h"
#include "engine/template/template_object.h"
#include "engine/template/template_value.h"

namespace tandem {

struct TemplateFilter {
  absl::string_view name;
  absl::StatusOr<TemplateValue> (*function)(const TemplateValue& value,
                                            const CallArguments& arguments,
                                            RenderBudget& budget);
};

// Null where there is none of that name.
const TemplateFilter* FindFilter(absl::string_view name);

// All names; for messages.
std::vector<absl::string_view> FilterNames();

// Filters of Jinja that have no use in chat templates: those that make HTML or
// draw at random.
bool IsRefusedFilter(absl::string_view name);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_FILTERS_H_
