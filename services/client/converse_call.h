// One Converse stream over gRPC's callback API, read on demand: no thread of
// its own. Lives until its call is over, whoever else lets go of it. Any
// thread.

#ifndef TANDEM_SERVICES_CLIENT_CONVERSE_CALL_H_
#define TANDEM_SERVICES_CLIENT_CONVERSE_CALL_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <deque>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/client/live_turns.h"
#include "tandem/v1/generation.grpc.pb.h"

namespace tandem::client {

// `context`, of any call of the library, gets a deadline, of absl::Now, and the
// key that the call shows; empty: none.
void SetUpCall(const std::string& api_key, absl::Time deadline,
               grpc::ClientContext* context);

// How a stream ended.
struct StreamEnd {
  grpc::Status status;
  // Whether the first message went to a connection. False: there was none, or
  // none any more.
  bool first_was_sent = false;
};

// Hears of a stream, on a thread of gRPC, without a lock, one call at a time.
class StreamListener {
 public:
  virtual ~StreamListener() = default;
  // What Read asked for.
  virtual void OnEvent(v1::ConverseResponse event) = 0;
  // The last call. It needs a Read, Finish or Abort to come.
  virtual void OnEnd(const StreamEnd& end) = 0;
};

struct ConverseSetup {
  LiveTurns::Hold hold;               // is_held
  v1::GenerationService::Stub* stub;  // outlives the hold
  std::string api_key;                // empty: none
  absl::Time deadline;                // of absl::Now
  std::shared_ptr<StreamListener> listener;
};

class ConverseCall final
    : public grpc::ClientBidiReactor<v1::ConverseRequest,
                                     v1::ConverseResponse> {
 public:
  // Sends `first` as soon as there is a connection.
  static std::shared_ptr<ConverseCall> Start(ConverseSetup setup,
                                             v1::ConverseRequest first);

  // Asks for the next event; not before the last one has come. Nothing after
  // Finish or Abort.
  void Read();
  void Cancel();
  // The turn is over: half-closes, and drops what else comes.
  void Finish();
  // Resets the stream, and drops what else comes.
  void Abort();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  explicit ConverseCall(ConverseSetup setup);

  void Write(v1::ConverseRequest request);
  // One write in flight; the half-close is the last.
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From here on events are dropped until the stream ends.
  void Drain();

  // First: goes last, after the context has let go of the channel.
  const LiveTurns::Hold hold_;
  const std::shared_ptr<StreamListener> listener_;
  grpc::ClientContext context_;
  v1::ConverseResponse response_;       // gRPC's while reading_
  std::shared_ptr<ConverseCall> self_;  // from Start to OnDone

  absl::Mutex mutex_;
  std::deque<v1::ConverseRequest> writes_ ABSL_GUARDED_BY(mutex_);
  bool first_was_sent_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // a read has failed
  bool half_close_asked_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool any_write_done_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::client

#endif  // TANDEM_SERVICES_CLIENT_CONVERSE_CALL_H_
