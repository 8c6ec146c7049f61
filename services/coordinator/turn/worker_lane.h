// A turn's stream at one worker, and its requests that are unanswered. Answers
// come in the order of requests. Owned by a TargetLane or a DraftLane;
// everything belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_WORKER_LANE_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_WORKER_LANE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/sampling/gen_options.h"
#include "engine/session/turn.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/turn_context.h"
#include "services/coordinator/turn/worker_link.h"

namespace tandem {

enum class TurnState {
  kNew,        // before Start
  kRunning,    // tokens come, or a target is looked for
  kSuspended,  // waits for Resume; status() says why if not for the client
  kEnded,      // finish_reason() says why
  kFailed,     // can never go on: status()
};

// A request that a worker has answered, or will.
struct LaneRequest {
  Position answer_position = 0;
  MonotonicTime sent_at;
  int rows = 0;          // tokens that the worker may lack
  int draft_length = 0;  // asked for, or to be verified
  bool is_ahead = false;
  bool is_dropped = false;  // nothing waits for the answer any more
};

// What an answered request took, in microseconds.
struct LaneRoundTrip {
  LaneRequest request;
  int64_t us = 0;
  int64_t compute_us = 0;  // of that, the worker computing
  int64_t served_us = 0;   // of that, in the worker
  // The stream's first request, which runs the prompt too: its time says
  // nothing of rounds.
  bool ran_prompt = false;

  // All but the computing, which is a draft's or a verification's.
  void AddTo(TurnTimes* times) const {
    times->rpc_us += us - compute_us;
    times->wait_us += served_us - compute_us;
  }
};

// The runner, as lanes see it. Any of these may end the turn and close the
// lane.
class LaneOwner {
 public:
  virtual ~LaneOwner() = default;
  // Carries out what the turn wants.
  virtual void Perform(std::vector<TurnAction> actions) = 0;
  virtual void OnVerified(const LaneRoundTrip& trip,
                          absl::Span<const SampledToken> tokens) = 0;
  // No target can be had: kSuspended, or kFailed where the turn can not go on.
  virtual void Stop(TurnState state, const absl::Status& status) = 0;
  // Comes last in each event and timer. May destroy runner and lanes.
  virtual void Notify() = 0;
};

class WorkerLane {
 public:
  struct Opening {
    GenOptions options;
    std::string fingerprint = {};          // empty: any
    MonotonicDuration queue_timeout = {};  // that the worker may wait for KV
  };

  // `context` outlives the lane.
  explicit WorkerLane(TurnContext* context) : context_(context) {}

  // Opens a stream with the turn's tokens, in place of one that may be there.
  // `events` outlives the stream.
  void Open(const WorkerChoice& worker, Opening opening,
            WorkerStreamEvents* events);
  // Ends the stream; the worker may keep the KV of the tokens.
  void Close();
  // Ends the stream of a worker that is of no use any more.
  void Lose();

  void OnOpened() { is_confirmed_ = true; }
  void Propose(ProposeAction propose);
  void Verify(VerifyAction verify);
  // What the oldest unanswered request took; nothing where `answer` is not its
  // answer, which breaks the protocol.
  std::optional<LaneRoundTrip> Take(const WorkerAnswer& answer);
  // Nothing waits for the unanswered requests any more.
  void DropUnanswered();

  bool is_open() const { return stream_ != nullptr; }
  bool is_confirmed() const { return is_confirmed_; }
  bool ran_prompt() const { return ran_prompt_; }
  const WorkerChoice& worker() const { return worker_; }
  const std::deque<LaneRequest>& unanswered() const { return unanswered_; }
  // The worker that has the turn's tokens; no name where it was lost.
  LastWorker last_worker() const;
  void SetLastWorker(std::string name) { last_name_ = std::move(name); }

 private:
  void ReportComputed() const;
  void Reset();

  TurnContext* const context_;
  std::unique_ptr<WorkerStream> stream_;
  WorkerChoice worker_;
  std::string last_name_;
  bool is_confirmed_ = false;  // the worker has said `opened`
  bool ran_prompt_ = false;
  std::deque<LaneRequest> unanswered_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_WORKER_LANE_H_
