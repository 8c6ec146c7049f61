#include "engine/speculation/draft_accord.h"

namespace tandem {

void DraftAccord::Add(int drafted, int accepted) {
  const std::lock_guard<std::mutex> lock(mutex_);
  acceptance_.Age();
  acceptance_.Add(drafted, accepted);
}

Acceptance DraftAccord::acceptance() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return acceptance_;
}

std::optional<int> DraftAccord::length() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return length_;
}

void DraftAccord::SetLength(int length) {
  const std::lock_guard<std::mutex> lock(mutex_);
  length_ = length;
}

}  // namespace tandem
