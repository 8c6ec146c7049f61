// The one thread of a worker that computes. It owns the engine and all
// sequences; streams hand it work through a bounded queue and get results by
// callback. No gRPC here.
//
// A round: take the queued commands (closes first: their KV is free for the
// opens), build one batch from all streams with work (batch_planner.h), run
// Engine::Step once, give its rows to the SequenceDecoders, deliver what is
// finished. With nothing to do the thread sleeps.

#ifndef TANDEM_SERVICES_WORKER_COMPUTE_LOOP_H_
#define TANDEM_SERVICES_WORKER_COMPUTE_LOOP_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/session/sequence_decoder.h"
#include "services/worker/batch_planner.h"
#include "services/worker/compute_turn.h"
#include "services/worker/step_costs.h"

namespace tandem {

using StreamId = uint64_t;

// A stream admits this many requests (its open among them) that are not
// answered; callers keep to it, and the queue's bound follows from it.
inline constexpr int kStreamRequestsMax = 4;

inline constexpr double kStallFactor = 3;
inline constexpr absl::Duration kFirstStepLimit = absl::Seconds(60);

struct ComputeRequest {
  enum class Kind { kPropose, kVerify };
  Kind kind = Kind::kPropose;
  Position position = 0;
  std::vector<TokenId> tokens;
  int draft_length = 0;        // kPropose
  std::vector<TokenId> draft;  // kVerify
};

struct ComputeResult {
  DecodeResult decoded;
  // The request's share, by rows, of the wall time of the passes that ran
  // while it was active.
  int64_t compute_us = 0;
};

// What opening a stream came to.
struct OpenedStream {
  Position cached_tokens = 0;  // of the opening tokens, not run again
};

// Takes what the loop has for one stream. All on the compute thread, which no
// function may keep waiting: they only enqueue.
class ComputeClient {
 public:
  virtual ~ComputeClient() = default;
  // Answers Open, once.
  virtual void OnOpened(const absl::StatusOr<OpenedStream>& opened) = 0;
  // Answers one request, in their order. An error (which may come without a
  // request, from prefill) is the end: nothing but OnClosed follows.
  virtual void OnResult(absl::StatusOr<ComputeResult> result) = 0;
  // Answers Close: the KV is free, and the loop does not know the client any
  // more.
  virtual void OnClosed() = 0;
};

// A pass that is over.
struct StepReport {
  bool ok = false;
  int decode_rows = 0;  // of requests that clients wait for
  int prompt_rows = 0;
  double step_us = 0;
};

struct ComputeLoopOptions {
  // Streams at once at most.
  int streams_max = 1024;
  // May be null: no turns.
  std::unique_ptr<ComputeTurn> turn;
  // Called on any thread, with no lock held, after the load has changed; may
  // be empty.
  std::function<void()> on_load_changed;
  // Called on the compute thread after each Step; may be empty.
  std::function<void(const StepReport&)> on_step;
};

struct ComputeLoad {
  int streams_open = 0;
  int requests_pending = 0;
  KvUsage kv;
  std::map<int, double> step_costs_us;  // by rows
  // Of the passes that had any: requests that clients wait for in one pass,
  // moving average; 0: none yet.
  double sequences_per_step = 0;
};

class ComputeLoop {
 public:
  ComputeLoop(std::unique_ptr<Engine> engine, ComputeLoopOptions options);
  // Ends the thread after the Step under way. Every open stream gets OnClosed.
  ~ComputeLoop();

  ComputeLoop(const ComputeLoop&) = delete;
  ComputeLoop& operator=(const ComputeLoop&) = delete;

  // Any thread, none blocks.

  // Opens a stream; `client` lives until OnClosed. Errors: RESOURCE_EXHAUSTED
  // with EXHAUSTED (streams_max); then `client` hears nothing.
  absl::StatusOr<StreamId> Open(SequenceDecoderOptions options,
                                ComputeClient* client);
  // Errors: RESOURCE_EXHAUSTED with EXHAUSTED where the queue is full, which
  // callers that keep to kStreamRequestsMax do not see.
  absl::Status Submit(StreamId stream, ComputeRequest request);
  // Once per Open.
  void Close(StreamId stream);

  ComputeLoad load() const;
  // True where the thread has been in one round for longer than `limit` and
  // than kStallFactor times what its Step should take at most. Before the first
  // Step, of which nothing is known, kFirstStepLimit stands for that.
  bool IsStalled(absl::Duration limit) const;
  const EngineInfo& engine_info() const { return engine_->info(); }

 private:
  struct OpenCommand {
    SequenceDecoderOptions options;
    ComputeClient* client = nullptr;
  };
  struct CloseCommand {};
  struct Command {
    StreamId stream = 0;
    std::variant<OpenCommand, ComputeRequest, CloseCommand> what;
  };
  struct Stream {
    ComputeClient* client = nullptr;
    std::unique_ptr<SequenceDecoder> decoder;  // null: dead
    std::deque<ComputeRequest> waiting;
    int pending = 0;        // waiting and active
    double compute_us = 0;  // of the active request
  };
  class Rows;

  void Run();
  // Waits for commands while `has_work` is false; false: stop.
  bool TakeCommands();
  void RunCommands();
  void OpenStream(StreamId id, OpenCommand command);
  void CloseStream(StreamId id);
  // Starts requests until one is under way or none waits; delivers results.
  void Advance(Stream* stream);
  // Takes `requests` from the count of pending ones.
  void Settle(int requests);
  // Ends the stream's decoding with an error.
  void Fail(Stream* stream, const absl::Status& status);
  void BuildBatch();
  // Returns the rows that the stream takes.
  int AddToBatch(StreamId id, int rows_max);
  void RunBatch();
  absl::Status StepInTurn(double* step_us);
  void NotifyLoadChanged();

  const std::unique_ptr<Engine> engine_;
  const ComputeLoopOptions options_;

  mutable absl::Mutex mutex_;
  std::vector<Command> queue_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  StreamId next_stream_ ABSL_GUARDED_BY(mutex_) = 1;
  int streams_open_ ABSL_GUARDED_BY(mutex_) = 0;
  int requests_pending_ ABSL_GUARDED_BY(mutex_) = 0;
  StepCosts costs_ ABSL_GUARDED_BY(mutex_);
  double sequences_per_step_ ABSL_GUARDED_BY(mutex_) = 0;
  // Rows of the Step under way, and when its round began; infinite past:
  // asleep.
  int round_rows_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time round_began_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();

  // The compute thread's own.
  std::map<StreamId, Stream> streams_;
  std::vector<Command> commands_;
  ServedLast served_last_;
  std::vector<WorkingStream> working_;
  std::vector<size_t> order_;
  std::vector<StepItem> batch_;
  std::vector<Stream*> batch_streams_;
  int batch_rows_ = 0;
  int batch_decodes_ = 0;      // items that clients wait for
  int batch_decode_rows_ = 0;  // rows of those
  bool turn_failed_ = false;

  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_COMPUTE_LOOP_H_
