// What a turn came to, on the wire: engine values -> protobuf. Pure functions;
// any thread.

#ifndef TANDEM_SERVICES_COMMON_TURN_CONVERSION_H_
#define TANDEM_SERVICES_COMMON_TURN_CONVERSION_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/session/turn.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// UNSPECIFIED for kError, which is sent as a status.
v1::FinishReason ToProto(FinishReason reason);
v1::Usage ToProto(const TurnUsage& usage);
// Sets all that is counted; times are the driver's.
void SetCounts(const SpeculationCounts& counts, v1::SpeculationStats* stats);

// What drafting of a turn depended on.
struct DraftConditions {
  const GenOptions& options;
  int64_t room = 0;  // tokens that the context had for the turn's text
  bool has_drafter = false;
  const SpeculationCounts& counts;
};

// Why nothing was drafted, the nearest reason; UNSPECIFIED where something was,
// or where the drafter was asked and proposed nothing.
v1::NoDraftReason WhyNoDraft(const DraftConditions& conditions);

// What a receipt is made of; it outlives the call.
struct ReceiptSource {
  absl::string_view model_id;
  absl::string_view fingerprint;
  absl::Span<const TokenId> prompt;     // all before the first generated token
  const GenOptions& options;            // with a seed
  absl::Span<const TokenId> generated;  // of the whole turn
};

// A function of the source and the version alone: the same whoever makes it. Of
// options that were left out it has this version's defaults, of those that
// never change a text nothing.
v1::Receipt MakeReceipt(const ReceiptSource& source);
// Whether a turn that ended so came to its own end and has a receipt: not one
// that was cancelled, ran out of time or failed.
bool HasReceipt(v1::FinishReason reason);
// As Receipt has it: SHA-256, in 64 hexadecimal digits, of the ids as 32-bit
// integers in little-endian order.
std::string HashOfTokens(absl::Span<const TokenId> ids);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_TURN_CONVERSION_H_
