// What a turn came to, on the wire: engine values -> protobuf. Pure functions;
// any thread.

#ifndef TANDEM_SERVICES_COMMON_TURN_CONVERSION_H_
#define TANDEM_SERVICES_COMMON_TURN_CONVERSION_H_

#include "engine/session/turn.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// UNSPECIFIED for kError, which is told as a status.
v1::FinishReason ToProto(FinishReason reason);
v1::Usage ToProto(const TurnUsage& usage);
// Sets all that is counted; times are the driver's.
void SetCounts(const SpeculationCounts& counts, v1::SpeculationStats* stats);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_TURN_CONVERSION_H_
