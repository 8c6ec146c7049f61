// The engine's one verb, as values: what a Step is given and gives back.

#ifndef TANDEM_ENGINE_MODEL_STEP_H_
#define TANDEM_ENGINE_MODEL_STEP_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/types.h"

namespace tandem {

// A sequence that is open in one engine.
using SequenceId = int32_t;

// Of a sequence to open.
struct SequenceOptions {
  // Tokens that it will hold at most.
  Position tokens_max = 0;
  // What it will begin with, at most tokens_max. Where the KV of whole pages of
  // these tokens is kept, the sequence begins with it, up to the last token but
  // one; and its own pages are kept. Empty: the sequence shares nothing.
  absl::Span<const TokenId> tokens = {};
  // Only sequences of one tenant share KV.
  absl::string_view tenant = {};
  // Kept KV is used for the first so many tokens at most: rows from there on
  // are wanted.
  Position kept_max = std::numeric_limits<Position>::max();
};

enum class WantedRows {
  kNone,  // prefill: only the KV matters
  kLast,  // the row after the last token
  kAll,   // the row after every token from rows_from on
};

// One sequence's part of a Step. The KV is cut at `position` (a rollback when
// it is below the current length, never above it) and the tokens are run at
// position, position + 1, ...
struct StepItem {
  SequenceId sequence = 0;
  Position position = 0;
  absl::Span<const TokenId> tokens = {};  // at least one; alive during the Step
  WantedRows rows = WantedRows::kNone;
  size_t rows_from = 0;  // kAll: index in tokens, below their number
};

// Takes each wanted row in place. Called on the thread that called Step, item
// by item and in ascending row order within an item.
class RowConsumer {
 public:
  virtual ~RowConsumer() = default;
  // `item` indexes the batch, `row` the item's wanted rows (kLast: 0).
  // `logits` [vocab_size] may be overwritten and are gone after the call.
  virtual void OnRow(size_t item, size_t row, absl::Span<float> logits) = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_STEP_H_
