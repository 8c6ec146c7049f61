// What sessions that share a target's passes agree on: how often drafts are
// right, and how long they are. Each by itself would draft when the others do
// not; then the target waits for the one, or the one for the next pass, and all
// lose. Any thread may call.

#ifndef TANDEM_ENGINE_SPECULATION_DRAFT_ACCORD_H_
#define TANDEM_ENGINE_SPECULATION_DRAFT_ACCORD_H_

#include <mutex>
#include <optional>

#include "engine/speculation/acceptance.h"

namespace tandem {

class DraftAccord {
 public:
  explicit DraftAccord(double prior) : acceptance_(prior) {}

  // A draft of the model had its first `accepted` of `drafted` tokens right.
  void Add(int drafted, int accepted);
  Acceptance acceptance() const;

  // Nothing before the first SetLength.
  std::optional<int> length() const;
  void SetLength(int length);

 private:
  // std::mutex: ThreadSanitizer does not see into Abseil's.
  mutable std::mutex mutex_;
  Acceptance acceptance_;      // guarded by mutex_
  std::optional<int> length_;  // guarded by mutex_
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_DRAFT_ACCORD_H_
