// The streams that a client can come back to: those that are sent now, and for
// kResumeTime those that were left or have ended. After that a turn that has
// not ended is cancelled. Owned by the GatewayServer; any thread.
//
// A stream belongs to the one who shows the API key that it was started with;
// to others it looks like none.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_STREAM_STORE_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_STREAM_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "services/client/client.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {

inline constexpr absl::Duration kResumeTime = absl::Seconds(30);
// Streams that are kept without a client, and bytes of what they repeat of
// their requests, which are 1 KiB mostly; one more ends the one that was left
// first.
inline constexpr size_t kLeftStreamsMax = 4096;
inline constexpr size_t kLeftBytesMax = size_t{64} << 20;

struct StoredStream {
  TurnName name;
  ReplyFormat format;
  client::CallOptions call;  // with the client's key
  // While it is sent.
  std::shared_ptr<client::TurnStream> turn;
  int64_t prompt_tokens = 0;
};

class StreamStore {
 public:
  // `cancel` ends the turn of a stream whose time is over; on a thread of the
  // store, or of who calls it.
  StreamStore(std::function<void(const StoredStream&)> cancel,
              absl::Duration resume_time = kResumeTime);
  ~StreamStore() { Stop(); }

  StreamStore(const StreamStore&) = delete;
  StreamStore& operator=(const StreamStore&) = delete;

  // `stream` is being sent, from now on by its caller alone. The number is for
  // Leave.
  int64_t Put(StoredStream stream);
  // The stream of Put's `number` is not sent any more; nothing where it was Put
  // again since. `has_ended`: so has its turn.
  void Leave(const TurnName& name, int64_t number, bool has_ended);
  // The stream called `name` that was started with `api_key`.
  std::optional<StoredStream> Find(const TurnName& name,
                                   const std::string& api_key);

  // Cancels nothing any more. Once, by the owner's thread.
  void Stop();

  // Streams without a client.
  size_t left() const;

 private:
  struct Entry {
    StoredStream stream;
    int64_t number = 0;
    size_t bytes = 0;  // that it keeps of its request
    bool has_ended = false;
    bool is_left = false;
  };
  struct Left {
    std::string key;
    int64_t number = 0;  // Put's of the time
  };
  using Entries = std::map<std::string, Entry>;  // by WriteTurnName

  void Run();
  // Takes out what is due at `now`, and the first ones above the bound.
  std::optional<StoredStream> TakeDue(absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<void(const StoredStream&)> cancel_;
  const absl::Duration resume_time_;
  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  // Those without a client, in the order in which they were left.
  std::multimap<absl::Time, Left> left_ ABSL_GUARDED_BY(mutex_);
  size_t left_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // of entries that are left
  int64_t numbers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  TimedWait changed_;
  std::thread thread_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_STREAM_STORE_H_
