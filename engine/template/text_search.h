// The methods of texts that search, as Python has them. Pure functions within a
// render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_TEXT_SEARCH_H_
#define TANDEM_ENGINE_TEMPLATE_TEXT_SEARCH_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/template/render_budget.h"
#include "engine/template/text_methods.h"

namespace tandem {

absl::Span<const TemplateMethod> SearchMethods();

// The last place of `part` in `text`; npos if none.
absl::StatusOr<size_t> FindLast(absl::string_view text, absl::string_view part,
                                RenderBudget& budget);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_TEXT_SEARCH_H_
