// The seam between turns and workers: a link is one model of one worker, a
// stream is one sequence at that model, for one turn. Implemented over gRPC
// (grpc_worker_link.h) and by fakes in tests. Everything here belongs to the
// event loop, where it does not say "any thread".

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
#include "engine/sampling/raw_logprobs.h"
#include "engine/session/turn.h"
#include "engine/speculation/cost_curve.h"
#include "engine/speculation/draft_policy.h"
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
  // The part of a worker's KV that the tenant may have while others wait; 0: as
  // the worker has it.
  double tenant_kv_share = 0;
  // How long the worker may let the sequence wait for KV.
  MonotonicDuration queue_timeout = {};
  std::optional<TraceContext> trace = {};
  // Log-probabilities of `tokens` from this index on, 1 .. tokens.size() - 1;
  // 0: none. And alternatives for each.
  Position score_from = 0;
  int score_alternatives = 0;
};

struct OpenedSequence {
  std::string fingerprint;
  int64_t cached_tokens = 0;  // of the request's, whose KV the worker had
  int64_t queued_us = 0;      // microseconds of waiting for KV
};

// The answer to a ProposeAction or a VerifyAction.
struct WorkerAnswer {
  Position position = 0;  // where the request's tokens end
  // Drafted, or chosen by the target.
  std::vector<SampledToken> tokens;
  int64_t compute_us = 0;  // microseconds of computing
  int64_t served_us = 0;   // at the worker, with waiting; 0: not reported
};

// Some of the scores that an open asked for; their tokens have no ids.
struct WorkerScores {
  Position position = 0;  // of the first, in the open's tokens
  std::vector<ScoredToken> tokens = {};
};

// What a stream reports, on the event loop. Its owner may destroy it inside
// these.
class WorkerStreamEvents {
 public:
  virtual ~WorkerStreamEvents() = default;
  virtual void OnOpened(const OpenedSequence& opened) = 0;
  // As it came over the wire: it may be one that was not asked for.
  virtual void OnAnswer(WorkerAnswer answer) = 0;
  // Likewise; nothing for who asks for no scores.
  virtual void OnScored(WorkerScores /*scores*/) {}
  // The worker or the connection ended the stream (OK counts too); last.
  virtual void OnClosed(const absl::Status& status) = 0;
};

// One sequence. Its destructor ends the stream at once, which frees the
// worker's KV; no event comes after that.
class WorkerStream {
 public:
  virtual ~WorkerStream() = default;
  virtual void Propose(ProposeAction propose) = 0;
  virtual void Verify(VerifyAction verify) = 0;
};

// What passes of a worker's model cost lately, as the worker reports it.
// Immutable.
struct WorkerCosts {
  CostCurve passes;
  double sequences = 1;  // sequences that share a pass, on average
  double streams = 0;    // open streams, without those that wait for KV
  // The worker computes in turns with another one on the same cores.
  bool takes_turns = false;
};

// One model of one worker. It must live while a stream is opened, not as long
// as the stream.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  // Decides draft lengths for all turns whose target this is. Any thread.
  const std::shared_ptr<DraftPolicy>& draft_policy() const {
    return draft_policy_;
  }
  // The newest report of costs; null: none yet. Any thread.
  virtual std::shared_ptr<const WorkerCosts> costs() const = 0;
  // The load as far as this process knows it now. Any thread.
  virtual WorkerLoad load() const = 0;
  // Opens a sequence; requests may follow at once. `loop` and `events` outlive
  // the stream. `deadline`: when the worker may end the stream by itself.
  virtual std::unique_ptr<WorkerStream> Open(
      OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
      std::optional<MonotonicTime> deadline) = 0;

 private:
  const std::shared_ptr<DraftPolicy> draft_policy_ =
      std::make_shared<DraftPolicy>();
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
  // Tokens at the sequence's beginning whose KV the worker may have.
  Position cached = 0;
};

// A worker that had a sequence, and how many of the sequence's tokens.
struct LastWorker {
  std::string name = {};
  Position tokens = 0;
};

// The sequence that a worker is needed for. Refers to what the caller has.
struct SequenceNeed {
  absl::string_view tenant = {};
  absl::Span<const TokenId> tokens = {};
  Position tokens_max = 0;  // tokens that the sequence will hold at most
  int generated_max = 0;    // of those, tokens that are still to be generated
  LastWorker last_worker = {};  // of the session
};

struct TargetQuery {
  std::string model_id;
  std::string fingerprint = {};             // empty: any
  std::string vocabulary_fingerprint = {};  // empty: any
  // Names of workers to pick only where there is no other.
  std::vector<std::string> avoid = {};
  SequenceNeed need = {};
};

struct DrafterQuery {
  std::string vocabulary_fingerprint;  // of the target
  int vocab_size_min = 0;              // of the drafter
  Position context_min = 0;            // its context must exceed this
  SequenceNeed need = {};
};

// The tokens whose KV a worker has computed, or is about to compute.
struct ComputedSequence {
  const std::string& worker;  // its name
  absl::string_view tenant;
  absl::string_view fingerprint;  // of the worker's model
  absl::Span<const TokenId> tokens;
};

// Where turns get workers from: the router, or a fake.
class WorkerDirectory {
 public:
  virtual ~WorkerDirectory() = default;
  // Nothing where no worker fits now.
  virtual std::optional<WorkerChoice> PickTarget(const TargetQuery& query) = 0;
  virtual std::optional<WorkerChoice> PickDrafter(
      const DrafterQuery& query) = 0;
  // Remembers `sequence` for later picks.
  virtual void OnComputed(const ComputedSequence& sequence) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_WORKER_LINK_H_
