#include "services/client/live_turns.h"

#include <utility>
#include <vector>

namespace tandem::client {

LiveTurns::Hold::Hold(std::shared_ptr<LiveTurns> turns) {
  absl::MutexLock lock(&turns->mutex_);
  if (turns->is_closed_) return;
  ++turns->calls_;
  turns_ = std::move(turns);
}

LiveTurns::Hold::Hold(Hold&& other) noexcept = default;

LiveTurns::Hold::~Hold() {
  if (turns_ == nullptr) return;
  absl::MutexLock lock(&turns_->mutex_);
  --turns_->calls_;
}

void LiveTurns::Add(const std::shared_ptr<LiveTurn>& turn) {
  absl::MutexLock lock(&mutex_);
  turns_.emplace(turn.get(), turn);
}

void LiveTurns::Remove(const LiveTurn* turn) {
  absl::MutexLock lock(&mutex_);
  turns_.erase(turn);
}

void LiveTurns::CloseAll() {
  std::vector<std::shared_ptr<LiveTurn>> turns;
  {
    absl::MutexLock lock(&mutex_);
    is_closed_ = true;
    for (const auto& [key, weak] : turns_) {
      // One that is being destroyed has no call.
      if (std::shared_ptr<LiveTurn> turn = weak.lock()) {
        turns.push_back(std::move(turn));
      }
    }
  }
  for (const std::shared_ptr<LiveTurn>& turn : turns) turn->Close();
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](int* calls) { return *calls == 0; }, &calls_));
}

}  // namespace tandem::client
