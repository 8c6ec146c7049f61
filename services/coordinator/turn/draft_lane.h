// A turn's drafter: opens one where it pays, asks it for drafts, waits for them
// no longer than is worth it, and goes on without one that is lost. One that
// hangs is not asked again until it answers, or the pool ends its stream. Owned
// by the TurnRunner; everything belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_DRAFT_LANE_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_DRAFT_LANE_H_

#include <memory>
#include <optional>

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
  // The target has verified a round. Opens a drafter that was deferred, once
  // the target's policy wants one.
  void OnVerified(const LaneRoundTrip& trip);

  // True where a draft worker is there to be asked, or is not opened because
  // drafts do not pay now.
  bool has_drafter() const {
    return found_ && (!last_worker().name.empty() || is_deferred_);
  }
  LastWorker last_worker() const { return lane_.last_worker(); }

 private:
  void OnOpened(const OpenedSequence& opened) override;
  void OnAnswer(WorkerAnswer answer) override;
  void OnClosed(const absl::Status& status) override;

  // Opens a drafter if there is one; defers that while the target's policy
  // wants none.
  bool Open();
  void OnLate();
  void Lose();
  // Gives the target's policy the newest reports.
  void TakeCosts();
  // How long the round waits for the newest request.
  MonotonicDuration Patience() const;
  // What of that is for the prompt, which a first request waits for.
  MonotonicDuration PromptTime() const;

  TurnContext* const context_;
  LaneOwner* const owner_;
  WorkerLane lane_;
  std::unique_ptr<Speculator> speculator_;
  EventLoop::TimerId timer_;
  bool found_ = false;  // in this turn, a drafter that fits
  bool is_deferred_ = false;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_DRAFT_LANE_H_
