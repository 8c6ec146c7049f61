// One Decode stream: the gRPC reactor between a coordinator and the compute
// loop. It checks messages, hands them to the loop, and writes the answers in
// order; its end, for whatever reason, closes the sequence.
//
// Owns itself: deleted when gRPC (OnDone), the loop (OnClosed) and the grammar
// thread are done with it. Reactions come on gRPC's threads, ComputeClient's
// functions on the compute thread; none blocks. StartRead, StartWrite and
// Finish only enqueue (no reaction runs inside them), so they are called under
// the mutex, which keeps their order right.

#ifndef TANDEM_SERVICES_WORKER_SERVER_DECODE_STREAM_H_
#define TANDEM_SERVICES_WORKER_SERVER_DECODE_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <deque>
#include <functional>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "services/common/trace_context.h"
#include "services/worker/models/model_set.h"
#include "services/worker/schedule/compute_loop.h"
#include "services/worker/server/grammar_thread.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

struct DecodeStreamOptions {
  // Outlives the stream, which uses one of its models from `open` on.
  ModelSet* models = nullptr;
  // Compiles the grammars of streams; outlives them.
  GrammarThread* grammars = nullptr;
  // True while the worker takes no new sequences.
  std::function<bool()> is_draining;
  // The trace of the call, for the log.
  std::optional<TraceContext> trace = {};
  // Last call of the stream, after which it is gone.
  std::function<void()> on_gone;
};

class DecodeStream final
    : public grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>,
      public ComputeClient {
 public:
  explicit DecodeStream(DecodeStreamOptions options);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void OnOpened(const absl::StatusOr<OpenedStream>& opened) override;
  void OnResult(absl::StatusOr<ComputeResult> result) override;
  void OnScored(const std::vector<ScoredToken>& scores) override;
  void OnClosed() override;

 private:
  // A request that is not answered yet.
  struct Pending {
    Position first_position = 0;  // of the answer's ids
    absl::Time arrived = MonotonicNow();
  };

  ~DecodeStream() override = default;

  absl::Status Accept() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AcceptOpen(const v1::OpenSequence& open)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives the sequence to the loop; the answer is pending.
  absl::Status OpenSequence(StreamOpen open)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // On the grammar thread: the same, once the sequence's grammar is compiled.
  void CompileAndOpen(const ServedModel& model, StreamOpen open);
  absl::Status AcceptRequest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the stream once, with `status` after the answers that are ready.
  void End(const grpc::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts whatever can be started: a write, the finish, a read.
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Unref();

  const DecodeStreamOptions options_;
  // gRPC, the loop while it is open, and the grammar thread while it compiles.
  std::atomic<int> references_{1};

  absl::Mutex mutex_;
  v1::DecodeRequest request_ ABSL_GUARDED_BY(mutex_);    // being read
  v1::DecodeResponse response_ ABSL_GUARDED_BY(mutex_);  // being written
  // In use from `open` on; null before.
  const ServedModel* model_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::optional<StreamId> stream_ ABSL_GUARDED_BY(mutex_);
  Position tokens_max_ ABSL_GUARDED_BY(mutex_) = 0;
  bool wants_logprobs_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the open's tokens: the next to be scored, and the end of them.
  Position score_next_ ABSL_GUARDED_BY(mutex_) = 0;
  Position score_end_ ABSL_GUARDED_BY(mutex_) = 0;
  // Together at most kStreamRequestsMax, with the write under way: above that
  // no more is read, and the transport's flow control holds the sender.
  std::deque<Pending> pending_ ABSL_GUARDED_BY(mutex_);
  // With scores, as many as the open's tokens have.
  std::deque<v1::DecodeResponse> answers_ ABSL_GUARDED_BY(mutex_);
  bool compiling_ ABSL_GUARDED_BY(mutex_) = false;  // nothing is read then
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool write_failed_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_DECODE_STREAM_H_
