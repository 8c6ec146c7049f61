// A turn's target: opens one, verifies there, and replaces one that is lost,
// for as long as the turn's budgets allow. Owned by the TurnRunner; everything
// belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_TARGET_LANE_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_TARGET_LANE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/prompt_quarantine.h"
#include "services/coordinator/turn/turn_context.h"
#include "services/coordinator/turn/worker_lane.h"
#include "services/coordinator/turn/worker_link.h"

namespace tandem {

class TargetLane : private WorkerStreamEvents {
 public:
  // Both outlive the lane.
  TargetLane(TurnContext* context, LaneOwner* owner)
      : context_(context), owner_(owner), lane_(context) {}

  // Opens `worker`. The turn's budgets begin anew.
  void Start(const WorkerChoice& worker);
  // In place of Start, for a turn whose client knows of it, and which has moved
  // `moves` times.
  void Restore(int64_t moves) {
    cached_prompt_tokens_ = 0;
    moves_ = moves;
  }
  // Opens a target for a turn that was closed; one is looked for where there is
  // none now.
  void Resume();
  // Ends the stream and the search for another one.
  void Close();

  // False between two targets.
  bool is_open() const { return lane_.is_open(); }
  void Verify(VerifyAction verify) { lane_.Verify(std::move(verify)); }

  // True once a target has confirmed that it has the turn's model, which is
  // when the client hears of the turn.
  bool is_confirmed() const { return cached_prompt_tokens_.has_value(); }
  // Tokens of the prompt whose KV the first target had.
  int64_t cached_prompt_tokens() const {
    return cached_prompt_tokens_.value_or(0);
  }
  // How often the turn went on at another target than before, or at one that it
  // had lost.
  int64_t moves() const { return moves_; }
  LastWorker last_worker() const { return lane_.last_worker(); }
  // True where other streams wait for KV at the target.
  bool has_queue() const {
    return is_open() && lane_.worker().link->load().streams_queued > 0;
  }
  // What the last target that was lost said; for the log only.
  const absl::Status& lost_status() const { return lost_status_; }

 private:
  enum class Wait { kNone, kOver };

  void OnOpened(const OpenedSequence& opened) override;
  void OnAnswer(WorkerAnswer answer) override;
  void OnClosed(const absl::Status& status) override;

  void Begin();
  // False where the prompt's quarantine lets the turn open no target now: it
  // has failed then, or looks again later.
  bool MayOpen();
  void Open(const WorkerChoice& worker);
  std::optional<WorkerChoice> Pick() const;
  void Lose(const absl::Status& status);
  // Opens another target, or looks again after a pause, or gives up.
  void Look(Wait wait);
  void LookLater(MonotonicDuration wait);
  void GiveUp();
  // True where targets serve another version of the turn's model, and none its
  // own.
  bool HasModelChanged() const;
  bool WasTried(const WorkerChoice& worker) const;
  PromptHash Prompt() const;
  // How long the next target may let the turn wait for KV.
  MonotonicDuration QueueTimeout() const;

  TurnContext* const context_;
  LaneOwner* const owner_;
  WorkerLane lane_;
  MonotonicTime launched_at_;  // by Start or Resume
  // Of a search: since when, and streams opened since there was progress.
  std::optional<MonotonicTime> lost_at_;
  absl::Status lost_status_;
  int opens_ = 0;
  std::vector<std::string> tried_;  // names
  EventLoop::TimerId timer_;
  std::optional<int64_t> cached_prompt_tokens_;
  // Where the turn was last, in this process; "" where it was lost.
  std::optional<std::string> home_;
  int64_t moves_ = 0;
  // At the target, until it answers.
  std::optional<PromptQuarantine::Stay> stay_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_TARGET_LANE_H_
