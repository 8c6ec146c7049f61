// The seam between turns and workers: a link is one model of one worker, a
// stream is one sequence at it, for one turn. Implemented over gRPC
// (grpc_worker_link.h) and by fakes in tests.
//
// Everything here belongs to the event loop of the turn.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_WORKER_LINK_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_WORKER_LINK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/sampling/logits_processor.h"
#include "engine/session/turn.h"
#include "engine/speculation/cost_curve.h"
#include "services/common/trace_context.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/load_tracker.h"

namespace tandem {

struct OpenRequest {
  // For logs and traces: the session, and the turn's number in it.
  std::string session_id;
  int64_t turn = 0;
  std::string model_id;
  std::string fingerprint;  // empty: any
  std::vector<TokenId> tokens;
  Position generated_from = 0;
  Position tokens_max = 0;
  GenOptions options;
  std::string tenant = {};
  // How long the worker may let it wait for KV.
  MonotonicDuration queue_timeout = {};
  std::optional<TraceContext> trace = {};
};

struct OpenedSequence {
  std::string fingerprint;
  int64_t cached_tokens = 0;  // of the request's tokens, not run again
  int64_t queued_us = 0;      // waiting for KV
};

// The answer to a ProposeAction or a VerifyAction.
struct WorkerAnswer {
  Position position = 0;  // where the request's tokens end
  // Drafted, or chosen by the target.
  std::vector<SampledToken> tokens;
  int64_t compute_us = 0;
  int64_t served_us = 0;  // at the worker, with waiting; 0: not reported
};

// What a stream reports, on the loop. A stream may be destroyed inside these.
class WorkerStreamEvents {
 public:
  virtual ~WorkerStreamEvents() = default;
  virtual void OnOpened(const OpenedSequence& opened) = 0;
  // As it came over the wire: it may be one that was not asked for.
  virtual void OnAnswer(WorkerAnswer answer) = 0;
  // The worker or the connection ended the stream (OK counts too); last.
  virtual void OnClosed(const absl::Status& status) = 0;
};

// One sequence. Destroying it ends the stream, at once, and frees the worker's
// KV; no event comes after that.
class WorkerStream {
 public:
  virtual ~WorkerStream() = default;
  virtual void Propose(ProposeAction propose) = 0;
  virtual void Verify(VerifyAction verify) = 0;
};

// What passes of a worker's model cost lately, as the worker reports.
// Immutable.
struct WorkerCosts {
  CostCurve passes;
  double sequences = 1;  // that share a pass
  double streams = 0;    // open, without those that wait for room
  // It computes in turns with another worker on the same cores.
  bool takes_turns = false;
};

// One model of one worker. Outlives its streams' opening, not the streams.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  // The newest report; null: none yet. Any thread.
  virtual std::shared_ptr<const WorkerCosts> costs() const = 0;
  // As far as it is known now. Any thread.
  virtual WorkerLoad load() const = 0;
  // Opens a sequence; requests may follow at once. `loop` and `events` outlive
  // the stream. `deadline`: when the worker may give up by itself.
  virtual std::unique_ptr<WorkerStream> Open(
      OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
      std::optional<MonotonicTime> deadline) = 0;
};

// A worker that was picked for a turn.
struct WorkerChoice {
  std::shared_ptr<WorkerLink> link;
  std::string name;  // its address
  std::string model_id;
  std::string fingerprint;
  std::string vocabulary_fingerprint;
  Position context_max = 0;
  int vocab_size = 0;
  // Of the sequence's tokens: those that it may have the KV of.
  Position cached = 0;
};

// A worker that had a sequence, and how many of its tokens.
struct LastWorker {
  std::string name = {};
  Position tokens = 0;
};

// The sequence that a worker is wanted for. Points to what the caller has.
struct SequenceNeed {
  absl::string_view tenant = {};
  absl::Span<const TokenId> tokens = {};
  Position tokens_max = 0;  // that it will hold
  int generated_max = 0;
  LastWorker last_worker = {};  // of the session
};

struct TargetQuery {
  std::string model_id;
  std::string fingerprint = {};             // empty: any
  std::string vocabulary_fingerprint = {};  // empty: any
  // Names of workers to take only if there is no other.
  std::vector<std::string> avoid = {};
  SequenceNeed need = {};
};

struct DrafterQuery {
  std::string vocabulary_fingerprint;  // of the target
  int vocab_size_min = 0;              // of the drafter
  Position context_min = 0;            // tokens that its context must exceed
  SequenceNeed need = {};
};

// Tokens whose KV a worker computes or has computed.
struct ComputedSequence {
  const std::string& worker;  // its name
  absl::string_view tenant;
  absl::string_view fingerprint;  // of the worker's model
  absl::Span<const TokenId> tokens;
};

// Where turns get workers from: the router, or a fake. Any thread.
class WorkerDirectory {
 public:
  virtual ~WorkerDirectory() = default;
  // Nothing where no worker fits now.
  virtual std::optional<WorkerChoice> PickTarget(const TargetQuery& query) = 0;
  virtual std::optional<WorkerChoice> PickDrafter(
      const DrafterQuery& query) = 0;
  // For picks to come.
  virtual void OnComputed(const ComputedSequence& sequence) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_WORKER_LINK_H_
