// How a turn that nobody waits for any more is ended for good. Any thread.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_TURN_END_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_TURN_END_H_

#include <memory>

#include "services/client/client.h"

namespace tandem::gateway {

// Cancels `turn` and reads it to its end, in the background. No Next of it is
// under way.
void EndTurn(const std::shared_ptr<client::TurnStream>& turn);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_TURN_END_H_
