// What a turn came to, on the wire: engine values -> protobuf. Pure functions;
// any thread.

#ifndef TANDEM_SERVICES_COMMON_TURN_CONVERSION_H_
#define TANDEM_SERVICES_COMMON_TURN_CONVERSION_H_

#include <cstdint>

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

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_TURN_CONVERSION_H_
