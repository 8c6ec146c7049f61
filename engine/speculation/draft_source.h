// Where drafts come from, as data: a source is a row of a table.

#ifndef TANDEM_ENGINE_SPECULATION_DRAFT_SOURCE_H_
#define TANDEM_ENGINE_SPECULATION_DRAFT_SOURCE_H_

#include <array>

namespace tandem {

enum class DraftSource { kNone, kModel, kLookup };

struct DraftSourceRow {
  // Chance that a draft is right before any was seen, by class: a source that
  // knows how sure it is has several. Lookup's class is the length of the run
  // that it found, less 2.
  std::array<double, 3> priors = {};
  // A draft model drafts, whose passes are part of the round's cost.
  bool has_drafter = false;
};

// By DraftSource. The model's prior lies between the chances of the measured
// pairs, 0.42 and 0.91 (tools/load/README.md).
inline constexpr DraftSourceRow kDraftSources[] = {
    {.priors = {}, .has_drafter = false},
    {.priors = {0.7}, .has_drafter = true},
    {.priors = {0.3, 0.5, 0.7}, .has_drafter = false},
};

constexpr const DraftSourceRow& RowOf(DraftSource source) {
  return kDraftSources[static_cast<int>(source)];
}

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_DRAFT_SOURCE_H_
