// How the KV memory of a sequence is cut into slices, and where a layer lies in
// them. A value; immutable; any thread.
//
// A page is kKvPageTokens positions in every layer. Layers with a window need
// the last positions only, so a page is made of slices, each of equally many
// layers, either all with a window or all without. A sequence has the slices of
// layers without a window for all its pages; of those with a window it has as
// many as a pass and a rollback can reach, and uses them as a ring.

#ifndef TANDEM_ENGINE_MODEL_KV_LAYOUT_H_
#define TANDEM_ENGINE_MODEL_KV_LAYOUT_H_

#include <cstdint>
#include <vector>

#include "engine/base/types.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/layer_windows.h"

namespace tandem {

// A sequence can always be cut back by so many tokens: a rejected draft of 16
// and the token before it, which is run again for its row.
inline constexpr Position kKvRollbackTokens = 17;

struct KvLayoutOptions {
  int64_t layers = 0;
  LayerWindows windows = {};
  int64_t rows_max = 0;  // tokens of one sequence in a pass at most
};

class KvLayout {
 public:
  explicit KvLayout(const KvLayoutOptions& options);

  static int64_t PagesFor(int64_t tokens) {
    return (tokens + kKvPageTokens - 1) / kKvPageTokens;
  }

  int64_t slice_layers() const { return slice_layers_; }
  int64_t full_slices() const { return full_slices_; }  // without a window
  int64_t slices_per_page() const { return full_slices_ + window_slices_; }
  // Pages that a sequence has of windowed layers at most; 0 without windows.
  int64_t ring_pages() const { return ring_pages_; }

  // Of a sequence of `pages` pages, those that have a slice of their own with
  // number `slice`; the later ones use these again.
  int64_t PagesOf(int64_t slice, int64_t pages) const {
    return slice < full_slices_ || pages < ring_pages_ ? pages : ring_pages_;
  }
  // Slices of a sequence of so many tokens.
  int64_t SlicesFor(Position tokens) const;
  // True where such a sequence uses slices again as it grows.
  bool Wraps(Position tokens) const {
    return window_slices_ > 0 && PagesFor(tokens) > ring_pages_;
  }
  // Pages of the longest sequence that `slices` suffice for, at most
  // `pages_max`.
  int64_t LongestPages(int64_t slices, int64_t pages_max) const;
  // Entries in the table of a sequence of at most `pages` pages.
  int64_t TableEntries(int64_t pages) const {
    return SlicesFor(pages * kKvPageTokens);
  }
  // Entry of slice number `slice` (0 .. slices_per_page() - 1) of page number
  // `page`, in a table for `pages` pages.
  int64_t EntryOf(int64_t slice, int64_t page, int64_t pages) const {
    if (slice < full_slices_) return page * full_slices_ + slice;
    return pages * full_slices_ + page % ring_pages_ * window_slices_ + slice -
           full_slices_;
  }

  struct Place {
    int64_t slice = 0;  // of the page
    int64_t layer = 0;  // in the slice
  };
  const Place& PlaceOf(int64_t layer) const { return places_[layer]; }

  // The lowest position that a sequence which has stored all positions below
  // `reached` can be cut to: what the window of a row there sees is still
  // there. At most reached - kKvRollbackTokens, or 0.
  Position CutMin(Position reached) const;

 private:
  Position window_ = 0;
  int64_t slice_layers_ = 0;
  int64_t full_slices_ = 0;
  int64_t window_slices_ = 0;
  int64_t ring_pages_ = 0;
  std::vector<Place> places_;  // [layers]
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_KV_LAYOUT_H_
