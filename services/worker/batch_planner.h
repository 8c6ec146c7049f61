// Which streams get how many rows of the next Step. A pure function.
//
// Decode rows come first: clients wait for them. Prompt chunks share what is
// left. Both go round: a stream that was served is last in line, so none
// starves. Beside decode rows prompts get at most kPrefillRowsBesideDecode,
// because every waiting client would wait for the long pass, and at least
// kPrefillRowsMin, however many wait.

#ifndef TANDEM_SERVICES_WORKER_BATCH_PLANNER_H_
#define TANDEM_SERVICES_WORKER_BATCH_PLANNER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace tandem {

inline constexpr int kPrefillRowsBesideDecode = 64;
// A share below this is not worth a place in the pass; the next pass has it.
inline constexpr int kPrefillRowsMin = 16;

// A stream that has work.
struct WorkingStream {
  uint64_t id = 0;
  bool is_decode = false;
};

// Ids of the streams that were served last, by kind.
struct ServedLast {
  uint64_t decode = 0;
  uint64_t prefill = 0;
};

// The order in which streams are offered rows: decode streams from the one
// after `last.decode` round, then prefill streams likewise. Indexes of
// `streams`, which stand in ascending order of id, go to `order`.
void PlanOrder(absl::Span<const WorkingStream> streams, const ServedLast& last,
               std::vector<size_t>* order);

// Rows that each kind may take at most; together they may be more than
// rows_max, decode takes its part first.
struct RowBudget {
  int decode = 0;
  int prefill = 0;
};
RowBudget DivideRows(int rows_max, int decode_streams, int prefill_streams);

// Rows that the next of `streams_left` prefill streams may take of
// `rows_left`.
int PrefillShare(int rows_left, int streams_left);

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_BATCH_PLANNER_H_
