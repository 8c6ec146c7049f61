#include "engine/model/kv_layout.h"

#include <algorithm>
#include <numeric>

#include "engine/base/check.h"

namespace tandem {
namespace {

// Pages that `positions` neighbours can lie in, wherever they begin.
int64_t PagesTouched(int64_t positions) {
  return (positions + kKvPageTokens - 2) / kKvPageTokens + 1;
}

}  // namespace

KvLayout::KvLayout(const KvLayoutOptions& options)
    : window_(options.windows.window) {
  TANDEM_CHECK(options.layers >= 1 && options.rows_max >= 1);
  int64_t windowed = 0;
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    windowed += options.windows.Has(layer) ? 1 : 0;
  }
  const int64_t full = options.layers - windowed;
  slice_layers_ = std::gcd(full, windowed);
  full_slices_ = full / slice_layers_;
  window_slices_ = windowed / slice_layers_;
  if (windowed > 0) {
    // A row sees window - 1 positions before it. Beside those of its first row
    // a pass stores rows_max; and those of the row that a rollback leads to
    // are there beside what was stored from it on.
    const int64_t stored =
        std::max<int64_t>(options.rows_max, kKvRollbackTokens);
    ring_pages_ = PagesTouched(window_ - 1 + stored);
  }
  int64_t full_seen = 0;
  int64_t windowed_seen = 0;
  for (int64_t layer = 0; layer < options.layers; ++layer) {
    const bool has_window = options.windows.Has(layer);
    const int64_t index = has_window ? windowed_seen++ : full_seen++;
    places_.push_back(
        {.slice = (has_window ? full_slices_ : 0) + index / slice_layers_,
         .layer = index % slice_layers_});
  }
}

int64_t KvLayout::SlicesFor(Position tokens) const {
  const int64_t pages = PagesFor(tokens);
  return pages * full_slices_ + std::min(pages, ring_pages_) * window_slices_;
}

int64_t KvLayout::LongestPages(int64_t slices, int64_t pages_max) const {
  int64_t pages = slices / slices_per_page();
  if (window_slices_ > 0 && pages >= ring_pages_) {
    pages = full_slices_ == 0
                ? pages_max
                : (slices - ring_pages_ * window_slices_) / full_slices_;
  }
  return std::min(pages, pages_max);
}

Position KvLayout::CutMin(Position reached) const {
  if (window_slices_ == 0 || reached == 0) return 0;
  // Pages below this one have given their slices to later ones.
  const int64_t first = (reached - 1) / kKvPageTokens - ring_pages_ + 1;
  if (first <= 0) return 0;
  return first * kKvPageTokens + window_ - 1;
}

}  // namespace tandem
