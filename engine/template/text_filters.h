// The filters of texts. A value that is none is turned into its text first.
// Pure functions within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_TEXT_FILTERS_H_
#define TANDEM_ENGINE_TEMPLATE_TEXT_FILTERS_H_

#include "absl/types/span.h"
#include "engine/template/filters.h"

namespace tandem {

absl::Span<const TemplateFilter> TextFilters();

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_TEXT_FILTERS_H_
