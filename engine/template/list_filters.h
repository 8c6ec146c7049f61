// The filters of lists, maps and other things that can be iterated over. Those
// that Jinja computes item by item give a generator here too. Pure functions
// within a render's budget.

#ifndef TANDEM_ENGINE_TEMPLATE_LIST_FILTERS_H_
#define TANDEM_ENGINE_TEMPLATE_LIST_FILTERS_H_

#include "absl/types/span.h"
#include "engine/template/filters.h"

namespace tandem {

absl::Span<const TemplateFilter> ListFilters();

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_LIST_FILTERS_H_
