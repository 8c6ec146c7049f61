// The one thread of a worker that computes. It owns the engine and all
// sequences; streams hand it work through a bounded queue and get results by
// callback. No gRPC here.
//
// A round: take the queued commands (closes first: their KV is free for the
// opens), open what waits for KV and fits now (admission_queue.h), and where
// there is work run a pass: wait for the streams that are about to come
// (pass_gate.h) and for the processor (loop_order.h, processor_lock.h), build
// one batch from all streams with work (batch_planner.h), run Engine::Step
// once, give its rows to the SequenceDecoders, deliver what is finished. With
// nothing to do the thread sleeps.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_COMPUTE_LOOP_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_COMPUTE_LOOP_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/session/sequence_decoder.h"
#include "engine/speculation/cost_curve.h"
#include "services/common/worker_protocol.h"
#include "services/worker/schedule/admission_queue.h"
#include "services/worker/schedule/batch_planner.h"
#include "services/worker/schedule/loop_order.h"
#include "services/worker/schedule/pass_gate.h"
#include "services/worker/schedule/processor_lock.h"

namespace tandem {

using StreamId = uint64_t;

inline constexpr double kStallFactor = 3;
// Two tenants that contend have half of the KV each.
inline constexpr double kTenantKvShare = 0.5;
inline constexpr absl::Duration kFirstStepLimit = absl::Seconds(60);

// To a draft or to a target worker; checked by the caller.
using ComputeRequest = std::variant<ProposeAction, VerifyAction>;

// What a stream begins with.
struct StreamOpen {
  SequenceDecoderOptions decoder;
  // Streams are served fairly between tenants.
  std::string tenant = {};
  // As ComputeLoopOptions; 0: as there.
  double tenant_kv_share = 0;
  // How long the open waits at most for KV or a place that the engine does not
  // have now; 0: not at all.
  absl::Duration queue_timeout = absl::ZeroDuration();
};

// Answers an open.
struct OpenedStream {
  Position cached_tokens = 0;  // of the opening tokens, not run again
  int64_t queued_us = 0;       // waiting for KV or a place
};

struct ComputeResult {
  DecodedTokens tokens;
  // The request's share, by rows, of the wall time of the passes that ran
  // while it was active.
  int64_t compute_us = 0;
};

// Takes what the loop has for one stream. All functions are called on the
// compute thread, which none may keep waiting: they only enqueue.
class ComputeClient {
 public:
  virtual ~ComputeClient() = default;
  // Answers Open, once. Errors: as SequenceDecoder::Open; RESOURCE_EXHAUSTED
  // with EXHAUSTED, and a retry delay, also where nothing became free in time
  // or the queue is full.
  virtual void OnOpened(const absl::StatusOr<OpenedStream>& opened) = 0;
  // Answers the oldest request. An error (which may come without a
  // request, from prefill) is the end: nothing but OnClosed follows.
  virtual void OnResult(absl::StatusOr<ComputeResult> result) = 0;
  // More of what the open's score_from asks for, in order, at most
  // kScoredRowsMax at a time; before any result.
  virtual void OnScored(const std::vector<ScoredToken>& scores) = 0;
  // Answers Close: the KV is free, and the loop does not know the client any
  // more.
  virtual void OnClosed() = 0;
};

// A pass that is over.
struct StepReport {
  bool ok = false;
  int decodes = 0;      // requests that clients wait for
  int decode_rows = 0;  // rows of those
  int prompt_rows = 0;
  double step_us = 0;

  int rows() const { return decode_rows + prompt_rows; }
};

struct ComputeLoopOptions {
  // Streams with a sequence at once at most: the engine's sequences.
  int streams_max = 1024;
  // Opens that wait for KV or a place at once at most; beyond that they are
  // refused at once.
  int queue_max = 1024;
  // The part of the KV pages beyond which a tenant's opens wait while another
  // tenant's do; 1: none. A tenant that holds nothing may take more at once.
  double tenant_kv_share = kTenantKvShare;
  PassGateOptions gate = {};
  // One pass at a time, between processes and between the loops of this one,
  // whose order outlives the loop. Both may be null.
  std::unique_ptr<ProcessorLock> processor;
  LoopOrder* loop_order = nullptr;
  // Called on any thread, with no lock held, after the load has changed.
  std::function<void()> on_load_changed = [] {};
  // Called on the compute thread after each pass.
  std::function<void(const StepReport&)> on_step = [](const StepReport&) {};
};

struct ComputeLoad {
  int streams_open = 0;    // with those that wait for KV or a place
  int streams_queued = 0;  // that wait for KV or a place
  int requests_pending = 0;
  KvUsage kv;
  CostCurve step_costs;
  // Requests that clients wait for in one pass, moving average over the passes
  // that had any; 0: none yet.
  double sequences_per_step = 0;
};

class ComputeLoop {
 public:
  ComputeLoop(std::unique_ptr<Engine> engine, ComputeLoopOptions options);
  // Ends the thread after the pass under way. Every open stream gets OnClosed.
  ~ComputeLoop();

  ComputeLoop(const ComputeLoop&) = delete;
  ComputeLoop& operator=(const ComputeLoop&) = delete;

  // Any thread, none blocks.

  // Opens a stream; `client` lives until OnClosed. Errors: RESOURCE_EXHAUSTED
  // with EXHAUSTED (streams_max and queue_max); then `client` hears nothing.
  absl::StatusOr<StreamId> Open(StreamOpen open, ComputeClient* client);
  // Errors: RESOURCE_EXHAUSTED with EXHAUSTED where the queue is full, which
  // callers that keep to kStreamRequestsMax do not see.
  absl::Status Submit(StreamId stream, ComputeRequest request);
  // Once per Open.
  void Close(StreamId stream);

  ComputeLoad load() const;
  // Of the model.
  const Tokenizer& tokenizer() const { return engine_->tokenizer(); }
  // True where the thread has been in one round for longer than `limit` and
  // than kStallFactor times what its pass should take at most; before the first
  // pass kFirstStepLimit stands for that.
  bool IsStalled(absl::Duration limit) const;

 private:
  struct OpenCommand {
    StreamOpen open;
    ComputeClient* client = nullptr;
  };
  struct CloseCommand {};
  struct Command {
    StreamId stream = 0;
    std::variant<OpenCommand, ComputeRequest, CloseCommand> what;
  };
  // An open that has no place yet.
  struct Queued {
    SequenceDecoderOptions decoder;
    absl::Time since;
  };
  struct Stream {
    StreamId id = 0;
    ComputeClient* client = nullptr;
    std::string tenant;
    double kv_share = 1;  // of its tenant
    int64_t pages = 0;    // of KV that its sequence takes
    std::optional<Queued> queued;
    std::unique_ptr<SequenceDecoder> decoder;  // null: queued, or dead
    std::deque<ComputeRequest> waiting;
    int pending = 0;        // waiting and active
    double compute_us = 0;  // of the active request
  };
  // What one pass computes.
  struct Pass {
    std::vector<RowClaim> decodes;  // of streams that clients wait for
    std::vector<RowClaim> prompts;
    std::vector<StepItem> items;   // of those that rows were granted to
    std::vector<Stream*> streams;  // of each item
    StepReport report;
  };
  // The round under way: its rows, and since when; infinite past: asleep.
  struct Round {
    int rows = 0;
    absl::Time began = absl::InfinitePast();
  };
  enum class Work { kNone, kPrompts, kDecodes };
  class Rows;

  void Run();
  // Sleeps while there is nothing to do; false: stop.
  bool AwaitCommands();
  // Runs what is queued.
  void RunCommands();
  void RunRequest(StreamId id, ComputeRequest request);
  void OpenStream(StreamId id, OpenCommand command);
  // Gives the stream its sequence and answers it. Errors: RESOURCE_EXHAUSTED;
  // then it was not answered.
  absl::Status TryOpen(Stream* stream, SequenceDecoderOptions options);
  // Opens what waits and fits, and refuses what has waited too long.
  void ServeAdmissions();
  // Makes an open the head whose tenant is not over its share, if there is one.
  void PassToShares();
  bool IsOverShare(const Stream& stream) const;
  // Answers that there is no KV or no place.
  void Refuse(Stream* stream);
  void CloseStream(StreamId id);
  // Ends the stream's sequence: its pages are free.
  void DropDecoder(Stream* stream);
  // Starts requests until one is under way or none may start; delivers results
  // and scores.
  void Advance(Stream* stream);
  // Takes `requests` from the count of pending ones.
  void Settle(int requests);
  // The stream's requests will not be answered: as Settle, and it is not
  // waited for.
  void Drop(StreamId id, int requests);
  // Ends the stream's decoding with an error.
  void Fail(Stream* stream, const absl::Status& status);
  // Whether there are rows to compute, and whether clients wait for some.
  Work FindWork() const;
  void RunPass();
  // Waits for the streams that the next pass should have.
  void AwaitGate();
  void SetRoundBegan(absl::Time time);
  void BuildPass();
  void Deliver(const absl::Status& status);

  const std::unique_ptr<Engine> engine_;
  const ComputeLoopOptions options_;

  TimedWait changed_;  // what the compute thread waits for
  mutable absl::Mutex mutex_;
  std::vector<Command> queue_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  StreamId next_stream_ ABSL_GUARDED_BY(mutex_) = 1;
  ComputeLoad load_ ABSL_GUARDED_BY(mutex_);  // but for the KV
  Round round_ ABSL_GUARDED_BY(mutex_);
  PassGate gate_ ABSL_GUARDED_BY(mutex_);

  // The compute thread's own.
  std::map<StreamId, Stream> streams_;
  AdmissionQueue admissions_;
  bool has_freed_ = false;  // since the head of admissions_ was tried
  int sequences_open_ = 0;
  BatchPlanner planner_;
  Pass pass_;

  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_COMPUTE_LOOP_H_
