// The one thread of a worker that computes. It owns the engine and all
// sequences; streams hand it work through a bounded queue and get results by
// callback. No gRPC here.
//
// A round: take the queued commands (closes first: their KV is free for the
// opens), open what waits for KV and fits now (open_queue.h), build one batch
// from all streams with work (batch_planner.h), run Engine::Step once, give its
// rows to the SequenceDecoders, deliver what is finished. With nothing to do
// the thread sleeps.
//
// After a Step the thread waits a little (CohortWait) for the next requests of
// the streams that it has just answered and whose last requests came that fast:
// else the first of them would get a pass of its own, and the others would have
// to wait for that. A drafter is asked only after the target's pass, and asleep
// until then: woken by a stream, it waits a little for those whose requests
// came together with that one's the last time, a wave.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_COMPUTE_LOOP_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_COMPUTE_LOOP_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/session/sequence_decoder.h"
#include "services/common/worker_protocol.h"
#include "services/worker/schedule/batch_planner.h"
#include "services/worker/schedule/compute_turn.h"
#include "services/worker/schedule/open_queue.h"
#include "services/worker/schedule/room_forecast.h"
#include "services/worker/schedule/step_costs.h"
#include "services/worker/schedule/step_turn.h"

namespace tandem {

using StreamId = uint64_t;

inline constexpr double kStallFactor = 3;
inline constexpr absl::Duration kFirstStepLimit = absl::Seconds(60);

// To a draft or to a target worker; checked by the caller.
using ComputeRequest = std::variant<ProposeAction, VerifyAction>;

// What a stream begins with.
struct StreamOpen {
  SequenceDecoderOptions decoder;
  // Streams are served fairly between tenants.
  std::string tenant = {};
  // Where the engine has no room the open waits for some so long at most; 0:
  // not at all.
  absl::Duration queue_timeout = absl::ZeroDuration();
};

// Answers an open.
struct OpenedStream {
  Position cached_tokens = 0;  // of the opening tokens, not run again
  int64_t queued_us = 0;       // waiting for room
};

struct ComputeResult {
  DecodedTokens tokens;
  // The request's share, by rows, of the wall time of the passes that ran
  // while it was active.
  int64_t compute_us = 0;
};

// Takes what the loop has for one stream. All on the compute thread, which no
// function may keep waiting: they only enqueue.
class ComputeClient {
 public:
  virtual ~ComputeClient() = default;
  // Answers Open, once. Errors: as SequenceDecoder::Open; RESOURCE_EXHAUSTED
  // with EXHAUSTED, and a retry delay, also where no room came in time or the
  // queue is full.
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

// The wait for the streams that were just answered: ends when all have a new
// request or are closed, and after the lesser of these. A coordinator's round
// trip is 0.2 to 1.5 ms: where the wait is shorter, streams that fell into
// different passes stay apart. 2 in place of 0.5 ms gave four streams 12% more
// tokens (round trips of 0.8 ms, passes of 93 ms).
struct CohortWait {
  absl::Duration most = absl::Milliseconds(2);
  double step_share = 0.15;  // of the wall time of the Step before

  absl::Duration After(double step_us) const {
    return std::min(most, absl::Microseconds(step_us * step_share));
  }
};

struct ComputeLoopOptions {
  // Streams with a sequence at once at most: the engine's sequences.
  int streams_max = 1024;
  // Opens that wait for room at once at most; over that they are refused at
  // once.
  int queue_max = 1024;
  CohortWait cohort_wait = {};
  // For the rest of a wave. Four streams of one target, drafts of 1 to 3
  // tokens, workers in turns: 1.2 times the tokens.
  CohortWait wave_wait = {.most = absl::Milliseconds(2), .step_share = 0.25};
  // May be null: no turns.
  std::unique_ptr<ComputeTurn> turn;
  // A target in turns waits for drafts under way until all its sequences are
  // ready, but so many times its last pass at most, and not where so large a
  // share of them is ready without a draft: few that draft do not keep waiting
  // those that do not.
  double draft_patience = 2;
  double plain_share = 0.75;
  // A drafter's drafts count as under way for so long after the last of them:
  // until the sessions are at the target.
  absl::Duration draft_linger = absl::Microseconds(500);
  // Turns with the other loops of the process; outlives the loop, may be null.
  StepTurn* step_turn = nullptr;
  // Called on any thread, with no lock held, after the load has changed; may
  // be empty.
  std::function<void()> on_load_changed;
  // Called on the compute thread after each Step; may be empty.
  std::function<void(const StepReport&)> on_step;
};

struct ComputeLoad {
  int streams_open = 0;    // with those that wait for room
  int streams_queued = 0;  // that wait for room
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
  // with EXHAUSTED (streams_max and queue_max); then `client` hears nothing.
  absl::StatusOr<StreamId> Open(StreamOpen open, ComputeClient* client);
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
    StreamOpen open;
    ComputeClient* client = nullptr;
  };
  struct RequestCommand {
    ComputeRequest request;
    absl::Time arrived;
  };
  struct CloseCommand {};
  struct Command {
    StreamId stream = 0;
    std::variant<OpenCommand, RequestCommand, CloseCommand> what;
  };
  // An open that has no room yet.
  struct Queued {
    SequenceDecoderOptions decoder;
    absl::Time since;
    int64_t pages = 0;
  };
  struct Stream {
    StreamId id = 0;
    ComputeClient* client = nullptr;
    std::string tenant;
    std::optional<Queued> queued;
    std::unique_ptr<SequenceDecoder> decoder;  // null: queued, or dead
    int64_t pages = 0;                         // of the decoder's sequence
    std::deque<ComputeRequest> waiting;
    bool is_plain = false;  // the active request verifies no draft
    int pending = 0;        // waiting and active
    double compute_us = 0;  // of the active request
    // When the last answer was given, while no request has followed; and how
    // long the last request that did took to come.
    std::optional<absl::Time> answered_at;
    absl::Duration return_time = absl::ZeroDuration();
    // That its last request came with; 0: alone.
    uint64_t wave = 0;
  };
  class Rows;

  void Run();
  // Waits for the streams just answered, and where there is no work for
  // commands; false: stop.
  bool TakeCommands();
  // Waits for the streams of cohort_, `wait` at most.
  void AwaitCohort(absl::Duration wait) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The first requests of a wave are there: waits for the rest of it.
  void AwaitWave() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasRows() const;
  // Rows of requests that clients wait for.
  bool HasDecodes() const;
  // Whether a pass should have those too that draft now.
  bool WaitsForDrafts() const;
  void RunCommands();
  void RunRequest(StreamId id, RequestCommand command);
  void OpenStream(StreamId id, OpenCommand command);
  // Gives the stream its sequence and answers it. Errors: RESOURCE_EXHAUSTED;
  // then it was not answered.
  absl::Status TryOpen(Stream* stream, SequenceDecoderOptions options);
  // Opens what waits and fits, and refuses what has waited too long.
  void ServeOpenQueue();
  // Answers that there is no room.
  void RefuseOpen(Stream* stream, const Queued& queued);
  absl::Duration RetryDelay(int64_t pages) const;
  void CloseStream(StreamId id);
  // Ends the stream's sequence: its pages are free.
  void DropDecoder(Stream* stream);
  int64_t PagesOf(Position tokens_max) const;
  // Starts requests until one is under way or none waits; delivers results.
  void Advance(Stream* stream);
  // The stream is answered: its next request may come soon.
  void ExpectReturn(Stream* stream);
  // Takes `requests` from the count of pending ones.
  void Settle(int requests);
  // Ends the stream's decoding with an error.
  void Fail(Stream* stream, const absl::Status& status);
  // One pass, between the loops of this process and of others.
  void RunInTurn();
  // False: without the turn between processes.
  bool AcquireTurn();
  void BuildBatch();
  absl::Status Step(double* step_us);
  void Deliver(const absl::Status& status, double step_us);
  void NotifyLoadChanged();

  const std::unique_ptr<Engine> engine_;
  const ComputeLoopOptions options_;

  mutable absl::Mutex mutex_;
  std::vector<Command> queue_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  StreamId next_stream_ ABSL_GUARDED_BY(mutex_) = 1;
  int streams_open_ ABSL_GUARDED_BY(mutex_) = 0;
  int streams_queued_ ABSL_GUARDED_BY(mutex_) = 0;
  int requests_pending_ ABSL_GUARDED_BY(mutex_) = 0;
  StepCosts costs_ ABSL_GUARDED_BY(mutex_);
  double sequences_per_step_ ABSL_GUARDED_BY(mutex_) = 0;
  // Rows of the Step under way, and when its round began; infinite past:
  // asleep.
  int round_rows_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time round_began_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  // Streams that are waited for: answered in the last round, or of the wave
  // that begins, without a request yet.
  std::set<StreamId> cohort_ ABSL_GUARDED_BY(mutex_);

  // The compute thread's own.
  std::map<StreamId, Stream> streams_;
  std::vector<Command> commands_;
  absl::Duration cohort_wait_ = absl::ZeroDuration();  // of the last round
  absl::Duration wave_wait_ = absl::ZeroDuration();
  uint64_t wave_ = 0;  // the last one
  absl::Time wave_began_ = absl::InfinitePast();
  OpenQueue opens_;
  bool room_changed_ = false;  // since the queue's head was tried
  int64_t pages_queued_ = 0;
  int sequences_open_ = 0;
  RoomForecast pages_forecast_{absl::InfinitePast()};
  RoomForecast sequences_forecast_{absl::InfinitePast()};
  BatchPlanner planner_;
  std::vector<WorkingStream> working_;
  std::vector<int> rows_;
  std::vector<StepItem> batch_;
  std::vector<Stream*> batch_streams_;
  int batch_rows_ = 0;
  int batch_decodes_ = 0;      // items that clients wait for
  int batch_decode_rows_ = 0;  // rows of those
  absl::Duration draft_patience_ = absl::ZeroDuration();
  bool turn_failed_ = false;

  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_COMPUTE_LOOP_H_
