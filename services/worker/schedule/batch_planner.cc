#include "services/worker/schedule/batch_planner.h"

#include <algorithm>

namespace tandem {
namespace {

// Rows that decode rows leave to prompts that wait.
int RowsKept(int rows_max) { return std::min(kPromptRowsMin, rows_max / 4); }

}  // namespace

int PromptRowsBeside(int decode_rows, const StepLimits& limits) {
  const int room = limits.rows_max - decode_rows;
  if (limits.costs == nullptr || limits.costs->empty()) {
    return std::min(room, kPromptRowsUnmeasured);
  }
  // The costs never fall with the rows, so the greatest that is cheap enough
  // is found by halving.
  int enough = std::min(room, kPromptRowsMin);
  int too_many = room + 1;
  while (too_many - enough > 1) {
    const int middle = enough + (too_many - enough) / 2;
    if (limits.costs->At(decode_rows + middle) <= kMixedStepUsMax) {
      enough = middle;
    } else {
      too_many = middle;
    }
  }
  return enough;
}

void BatchPlanner::Plan(absl::Span<const WorkingStream> streams,
                        const StepLimits& limits, std::vector<int>* rows) {
  rows->assign(streams.size(), 0);
  const auto divide = [&](bool is_decode, const RowSupply& supply) {
    claims_.clear();
    places_.clear();
    for (size_t i = 0; i < streams.size(); ++i) {
      if (streams[i].is_decode != is_decode) continue;
      claims_.push_back({.id = streams[i].id,
                         .tenant = streams[i].tenant,
                         .rows = streams[i].rows});
      places_.push_back(i);
    }
    (is_decode ? decodes_ : prompts_).Divide(claims_, supply, &grants_);
    int granted = 0;
    for (size_t i = 0; i < grants_.size(); ++i) {
      (*rows)[places_[i]] = grants_[i];
      granted += grants_[i];
    }
    return granted;
  };
  const bool has_prompts = std::any_of(
      streams.begin(), streams.end(),
      [](const WorkingStream& stream) { return !stream.is_decode; });
  const int rows_max = limits.rows_max;
  // A decode's rows go together where they can: half a draft is worth little.
  const int decode_rows = divide(
      true, {.rows = has_prompts ? rows_max - RowsKept(rows_max) : rows_max,
             .portion = rows_max});
  if (!has_prompts) return;
  divide(false,
         {.rows = decode_rows == 0 ? rows_max
                                   : PromptRowsBeside(decode_rows, limits),
          .portion = kPromptRowsMin});
}

}  // namespace tandem
