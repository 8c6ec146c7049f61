#include "services/gateway/server/turn_end.h"

namespace tandem::gateway {
namespace {

// Holds the turn until its end has come.
void ReadToEnd(const std::shared_ptr<client::TurnStream>& turn) {
  turn->Next([turn](const client::NextEvent& event) {
    if (event.ok() && event->has_value()) ReadToEnd(turn);
  });
}

}  // namespace

void EndTurn(const std::shared_ptr<client::TurnStream>& turn) {
  turn->Cancel();
  ReadToEnd(turn);
}

}  // namespace tandem::gateway
