// A turn's drafter: opens one where it pays, asks it for drafts, waits for them
// no longer than is worth it, and goes on without one that is lost. Owned by
// the TurnRunner; everything belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_DRAFT_LANE_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_DRAFT_LANE_H_

#include <memory>
#include <optional>

#include "engine/speculation/draft_controller.h"
#include "engine/speculation/speculator.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/turn_context.h"
#include "services/coordinator/turn/worker_lane.h"
#include "services/coordinator/turn/worker_link.h"

namespace tandem {

class DraftLane : private WorkerStreamEvents {
 public:
  // Both outlive the lane.
  DraftLane(TurnContext* context, LaneOwner* owner);

  // After the target's: opens a drafter, if one is there and may pay. True
  // where it did.
  bool Start();
  // Ends the stream and its timers.
  void Close();
  // Plans the turn's rounds; from Start to Close.
  Speculator* speculator() { return speculator_.get(); }

  // Asks for a draft. A request ahead is left out where one is unanswered.
  void Propose(ProposeAction propose);
  // The target has verified a round. Opens a drafter that was deferred, when
  // there is credit for it.
  void OnVerified(const LaneRoundTrip& trip);

  // True where a draft worker is there to be asked, or is left out because its
  // prompt would not pay.
  bool has_drafter() const {
    return found_ && (!last_worker().name.empty() || is_deferred_);
  }
  LastWorker last_worker() const { return lane_.last_worker(); }
  // With what was learned in this turn. Taken, it leaves its credit with the
  // taker.
  const DraftController& controller() const { return controller_; }
  DraftController TakeController();

 private:
  void OnOpened(const OpenedSequence& opened) override;
  void OnAnswer(WorkerAnswer answer) override;
  void OnClosed(const absl::Status& status) override;

  // Opens a drafter if there is one and, at the turn's beginning, if that may
  // pay; one that may not is deferred until there is credit for it.
  bool Open();
  void OpenDeferred();
  void OnLate();
  void Lose();
  // Gives the controller what the workers have reported since.
  void TakeCosts();
  // How long the round waits for the newest request.
  MonotonicDuration Patience() const;
  // Calls `then` at this time after the newest request was sent.
  void SetTimer(MonotonicDuration since_sent, void (DraftLane::*then)());

  TurnContext* const context_;
  LaneOwner* const owner_;
  WorkerLane lane_;
  DraftController controller_;
  std::unique_ptr<Speculator> speculator_;
  // That the controller has.
  std::shared_ptr<const WorkerCosts> target_costs_;
  std::shared_ptr<const WorkerCosts> costs_;
  std::string target_name_;
  EventLoop::TimerId timer_;
  bool found_ = false;  // in this turn, a drafter that fits
  bool is_deferred_ = false;
  // What a drafter's prompt takes, or would have, when the turn began.
  std::optional<double> opening_us_;
  int rounds_to_opening_ = 1;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_DRAFT_LANE_H_
