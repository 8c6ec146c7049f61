#include "services/worker/batch_planner.h"

#include <algorithm>

namespace tandem {
namespace {

void AppendRound(absl::Span<const WorkingStream> streams, bool is_decode,
                 uint64_t last, std::vector<size_t>* order) {
  for (const bool after_last : {true, false}) {
    for (size_t i = 0; i < streams.size(); ++i) {
      if (streams[i].is_decode == is_decode &&
          (streams[i].id > last) == after_last) {
        order->push_back(i);
      }
    }
  }
}

}  // namespace

void PlanOrder(absl::Span<const WorkingStream> streams, const ServedLast& last,
               std::vector<size_t>* order) {
  order->clear();
  AppendRound(streams, true, last.decode, order);
  AppendRound(streams, false, last.prefill, order);
}

RowBudget DivideRows(int rows_max, int decode_streams, int prefill_streams) {
  if (prefill_streams == 0) return {.decode = rows_max, .prefill = 0};
  if (decode_streams == 0) return {.decode = 0, .prefill = rows_max};
  // A quarter where the whole pass is narrow.
  const int kept = std::min(kPrefillRowsMin, rows_max / 4);
  return {.decode = rows_max - kept,
          .prefill = std::min(rows_max, kPrefillRowsBesideDecode)};
}

int PrefillShare(int rows_left, int streams_left) {
  const int share = (rows_left + streams_left - 1) / streams_left;
  return std::min(rows_left, std::max(share, kPrefillRowsMin));
}

}  // namespace tandem
