#include "engine/model/kv_layout.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace tandem {
namespace {

// Positions of the page that begins at `page`.
constexpr Position At(int64_t page) { return page * kKvPageTokens; }

TEST(KvLayoutTest, WithoutWindowsAPageIsOneSlice) {
  const KvLayout layout({.layers = 22, .rows_max = 256});
  EXPECT_EQ(layout.slices_per_page(), 1);
  EXPECT_EQ(layout.slice_layers(), 22);
  EXPECT_EQ(layout.SlicesFor(1), 1);
  EXPECT_EQ(layout.SlicesFor(At(100) + 1), 101);
  EXPECT_FALSE(layout.Wraps(At(1000)));
  EXPECT_EQ(layout.LongestPages(50, 1000), 50);
  EXPECT_EQ(layout.LongestPages(50, 40), 40);
  EXPECT_EQ(layout.CutMin(At(1000)), 0);
  EXPECT_EQ(layout.PlaceOf(7).slice, 0);
  EXPECT_EQ(layout.PlaceOf(7).layer, 7);
}

// Gemma 3 1B: 26 layers, of each 6 the last without a window of 512.
TEST(KvLayoutTest, WindowedLayersStopGrowing) {
  const KvLayout layout(
      {.layers = 26, .windows = {.window = 512, .period = 6}, .rows_max = 256});
  EXPECT_EQ(layout.slice_layers(), 2);  // of 4 and 22
  EXPECT_EQ(layout.slices_per_page(), 13);
  // 511 + 256 positions lie in 25 pages at most.
  EXPECT_EQ(layout.ring_pages(), 25);
  EXPECT_EQ(layout.SlicesFor(At(25)), 25 * 13);
  EXPECT_FALSE(layout.Wraps(At(25)));
  EXPECT_TRUE(layout.Wraps(At(25) + 1));
  // A context of 32,768 tokens: 18% of what all layers would take.
  EXPECT_EQ(layout.SlicesFor(32768), 1024 * 2 + 25 * 11);
  EXPECT_EQ(layout.LongestPages(1024 * 2 + 25 * 11, 1 << 20), 1024);
  EXPECT_EQ(layout.LongestPages(24 * 13, 1 << 20), 24);
}

TEST(KvLayoutTest, AllLayersWithWindowsNeedTheRingOnly) {
  const KvLayout layout(
      {.layers = 32, .windows = {.window = 4096}, .rows_max = 1});
  EXPECT_EQ(layout.slices_per_page(), 1);
  // 4,095 positions and the 17 of a rollback.
  EXPECT_EQ(layout.ring_pages(), 130);
  EXPECT_EQ(layout.SlicesFor(1 << 20), 130);
  EXPECT_EQ(layout.LongestPages(130, 5000), 5000);
  EXPECT_EQ(layout.LongestPages(129, 5000), 129);
}

// Every slice of every page that is there at once has a table entry of its own.
TEST(KvLayoutTest, EntriesAreApartWithinTheRing) {
  for (const int64_t period : {0, 1, 2, 3, 6}) {
    const KvLayout layout({.layers = 12,
                           .windows = {.window = 40, .period = period},
                           .rows_max = 8});
    const int64_t pages = 9;
    for (int64_t first = 0; first < pages; ++first) {
      std::set<int64_t> entries;
      int64_t wanted = 0;
      for (int64_t slice = 0; slice < layout.slices_per_page(); ++slice) {
        const int64_t own = layout.PagesOf(slice, pages);
        for (int64_t page = first; page < std::min(pages, first + own);
             ++page) {
          const int64_t entry = layout.EntryOf(slice, page, pages);
          EXPECT_GE(entry, 0);
          EXPECT_LT(entry, layout.TableEntries(pages));
          entries.insert(entry);
          ++wanted;
        }
      }
      EXPECT_EQ(static_cast<int64_t>(entries.size()), wanted);
    }
  }
}

TEST(KvLayoutTest, LayersHaveTheirOwnPlaces) {
  const LayerWindows windows = {.window = 40, .period = 6};
  const KvLayout layout({.layers = 26, .windows = windows, .rows_max = 8});
  std::set<std::pair<int64_t, int64_t>> places;
  for (int64_t layer = 0; layer < 26; ++layer) {
    const KvLayout::Place& place = layout.PlaceOf(layer);
    places.insert({place.slice, place.layer});
    EXPECT_LT(place.layer, layout.slice_layers());
    EXPECT_EQ(place.slice >= 2, windows.Has(layer)) << layer;
  }
  EXPECT_EQ(places.size(), 26u);
}

// The plain model of a ring: which page each slice was last stored for. From
// every length a sequence can be cut back by 17, and from cut_min on a pass of
// rows_max finds what its rows see, at any window, rows and positions.
TEST(KvLayoutTest, WhatARowSeesIsThereFromCutMinOn) {
  for (const Position window : {1, 5, 31, 32, 33, 64, 100}) {
    for (const int64_t rows : {1, 8, 17, 32, 33, 70}) {
      const KvLayout layout(
          {.layers = 2, .windows = {.window = window}, .rows_max = rows});
      const int64_t ring = layout.ring_pages();
      for (Position reached = 1; reached < At(3 * ring); ++reached) {
        const Position cut_min = layout.CutMin(reached);
        ASSERT_LE(cut_min, std::max<Position>(0, reached - kKvRollbackTokens));
        // The oldest page whose slice no later one has used.
        const int64_t kept =
            std::max<int64_t>(0, (reached - 1) / kKvPageTokens - ring + 1);
        const auto first_seen = [&](Position position) {
          return std::max<Position>(0, position + 1 - window);
        };
        ASSERT_GE(first_seen(cut_min) / kKvPageTokens, kept);
        if (cut_min > 0) {
          ASSERT_LT(first_seen(cut_min - 1) / kKvPageTokens, kept);
        }
        // The last page of a pass from `position` on takes the slice of one
        // that none of its rows sees.
        for (Position position = cut_min; position <= reached; ++position) {
          const int64_t last = (position + rows - 1) / kKvPageTokens;
          ASSERT_LT(last - ring, first_seen(position) / kKvPageTokens)
              << "window " << window << ", rows " << rows << ", position "
              << position;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tandem
