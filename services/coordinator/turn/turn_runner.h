// Drives one Turn over worker streams: carries the turn's requests to a target
// and a drafter, and their answers back. TargetLane and DraftLane know how to
// get and keep those. No gRPC here. Owned by a session, or by the client stream
// that opens the turn; everything belongs to the event loop.
//
// The reader (a client's stream) takes tokens and text from the runner at its
// own pace and reports how far it is; a runner whose reader lags starts no new
// round. A suspended turn holds no worker; it goes on from its committed tokens
// with the same text.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_TURN_RUNNER_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_TURN_RUNNER_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/session/turn.h"
#include "services/coordinator/turn/draft_lane.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/target_lane.h"
#include "services/coordinator/turn/turn_context.h"
#include "services/coordinator/turn/turn_rounds.h"
#include "services/coordinator/turn/worker_lane.h"
#include "services/coordinator/turn/worker_link.h"

namespace tandem {

// Called, on the loop, when the runner's state or tokens have changed. May
// destroy the runner.
class TurnListener {
 public:
  virtual ~TurnListener() = default;
  virtual void OnTurnChanged() = 0;
};

// A turn that another process drove, as the store has it.
struct RestoredTurn {
  TurnModel model;
  std::vector<TokenId> generated;
  MonotonicDuration elapsed = {};  // of the turn's time
  int64_t moves = 0;               // between processes
  std::optional<FinishReason> end = {};
};

class TurnRunner : private LaneOwner {
 public:
  // `loop` and `directory` outlive the runner.
  TurnRunner(EventLoop* loop, WorkerDirectory* directory,
             const TurnLimits& limits, TurnSetup setup);
  ~TurnRunner() override;

  // May be null.
  void SetListener(TurnListener* listener) { listener_ = listener; }

  // Opens `target` and a drafter; once, first.
  void Start(const WorkerChoice& target);
  // In place of Start: the turn is suspended, or has ended.
  void Restore(const RestoredTurn& restored);
  // Closes both streams; the turn can be resumed. `status`: why, OK where the
  // client is the reason. Nothing once the turn is over.
  void Suspend(const absl::Status& status);
  // Goes on; in kSuspended only.
  void Resume();
  // Ends the turn with kCancelled or kDeadline at its committed tokens; where
  // it runs and its reader has more of them, as soon as it has made those
  // again. Nothing once it is over.
  void Cancel(FinishReason reason);

  // The reader has this many tokens of the turn; of a restored one they may be
  // more than it has made again yet.
  void SetTokensRead(int64_t tokens);

  TurnState state() const { return state_; }
  bool active() const { return state_ == TurnState::kRunning; }
  // True once the client may know of the turn: its tokens are the history of
  // the session.
  bool taken() const {
    return target_.is_confirmed() || state_ == TurnState::kEnded;
  }
  // Another process drove it before: its client may have tokens that it does
  // not have again yet.
  bool is_restored() const { return is_restored_; }
  const absl::Status& status() const { return status_; }
  FinishReason finish_reason() const { return finish_reason_; }

  const Turn& turn() const { return context_.turn; }
  // Without its spec, which the turn has.
  const TurnSetup& setup() const { return context_.setup; }
  const TurnModel& model() const { return context_.model; }
  // Those of a turn that runs are of now. The total counts on over all
  // processes that drive the turn.
  TurnTimes times() const;
  TurnUsage usage() const;
  const TargetLane& target() const { return target_; }
  const DraftLane& drafter() const { return drafter_; }

  // The rounds that are over.
  const TurnRounds& rounds() const { return rounds_; }

 private:
  void Perform(std::vector<TurnAction> actions) override;
  void OnVerified(const LaneRoundTrip& trip,
                  absl::Span<const SampledToken> tokens) override;
  void Stop(TurnState state, const absl::Status& status) override;
  void Notify() override;

  // The turn's lanes are open, or being opened: begins with its first round.
  void Launch();
  // Sends the turn's request, unless its worker is missing or the reader lags.
  void SendPending();
  void ReportOver() const;

  TurnContext context_;
  TurnListener* listener_ = nullptr;
  TurnState state_ = TurnState::kNew;
  bool is_restored_ = false;
  bool has_run_ = false;  // in this process
  // Was asked for when the turn was behind its reader.
  std::optional<FinishReason> end_behind_;
  absl::Status status_;
  FinishReason finish_reason_ = FinishReason::kError;
  TargetLane target_;
  DraftLane drafter_;
  std::optional<TurnAction> pending_;  // ProposeAction or VerifyAction
  EventLoop::TimerId timeout_timer_;
  // When tokens came last; absent right after Start and Resume.
  std::optional<MonotonicTime> tokens_at_;
  int64_t tokens_read_ = 0;
  TurnRounds rounds_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_TURN_RUNNER_H_
