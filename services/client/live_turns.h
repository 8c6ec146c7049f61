// What a client has under way: its turns, which end with it, and their calls,
// whose end it waits for. gRPC must not destroy a channel inside a callback of
// the channel's calls, so the client, which outlives them all, does it.
//
// Shared by a client, its turns and their calls; any thread.

#ifndef TANDEM_SERVICES_CLIENT_LIVE_TURNS_H_
#define TANDEM_SERVICES_CLIENT_LIVE_TURNS_H_

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace tandem::client {

// A turn, as its client sees it.
class LiveTurn {
 public:
  virtual ~LiveTurn() = default;
  // The client goes: ends the turn and its call, whatever is under way.
  virtual void Close() = 0;
};

class LiveTurns {
 public:
  // A call under way. CloseAll waits for the last one's end.
  class Hold {
   public:
    explicit Hold(std::shared_ptr<LiveTurns> turns);
    Hold(Hold&& other) noexcept;
    Hold& operator=(Hold&&) = delete;
    ~Hold();
    // False: the client is gone, and there may be no call.
    bool is_held() const { return turns_ != nullptr; }

   private:
    std::shared_ptr<LiveTurns> turns_;
  };

  // From here until Remove, CloseAll closes the turn.
  void Add(const std::shared_ptr<LiveTurn>& turn);
  // By the turn's destructor.
  void Remove(const LiveTurn* turn);
  // Closes all turns and returns when no call is left. Once.
  void CloseAll();

 private:
  absl::Mutex mutex_;
  absl::flat_hash_map<const LiveTurn*, std::weak_ptr<LiveTurn>> turns_
      ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::client

#endif  // TANDEM_SERVICES_CLIENT_LIVE_TURNS_H_
