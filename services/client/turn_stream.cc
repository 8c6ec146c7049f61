#include "services/client/turn_stream.h"

#include <utility>

#include "absl/synchronization/notification.h"
#include "services/client/resuming_turn.h"

namespace tandem::client {

TurnStream::TurnStream(std::shared_ptr<ResumingTurn> turn)
    : turn_(std::move(turn)) {}

TurnStream::~TurnStream() { turn_->Leave(); }

void TurnStream::Next(std::function<void(NextEvent)> done) {
  turn_->Next(std::move(done));
}

NextEvent TurnStream::Next() {
  absl::Notification came;
  NextEvent result = absl::UnknownError("");
  turn_->Next([&came, &result](NextEvent next) {
    result = std::move(next);
    came.Notify();
  });
  came.WaitForNotification();
  return result;
}

void TurnStream::Cancel() { turn_->Cancel(); }

void TurnStream::Leave() { turn_->Leave(); }

TurnPosition TurnStream::position() const { return turn_->position(); }

std::optional<v1::TurnStarted> TurnStream::started() const {
  return turn_->started();
}

}  // namespace tandem::client
