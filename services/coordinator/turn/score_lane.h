// The scores of the last tokens of a sequence: opens it at a target worker,
// takes their log-probabilities, and goes on at another worker where one is
// lost. Scores are a function of the tokens before them, so those that came
// stay. Owned by who asks for them: a Score call, which has a continuation
// scored, or a turn's PromptScores. Everything belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_SCORE_LANE_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_SCORE_LANE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "services/common/trace_context.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/prompt_quarantine.h"
#include "services/coordinator/turn/turn_context.h"
#include "services/coordinator/turn/worker_link.h"

namespace tandem {

// What the lanes of one call, or turn, share; outlives them.
struct ScoreContext {
  EventLoop* loop = nullptr;
  WorkerDirectory* directory = nullptr;
  PromptQuarantine* quarantine = nullptr;  // may be null
  TurnLimits limits = {};
  std::string tenant = {};
  double tenant_kv_share = 0;
  std::string model_id = {};
  std::string vocabulary_fingerprint = {};
  // When the client itself gives up.
  std::optional<MonotonicTime> deadline = {};
  std::optional<TraceContext> trace = {};
  // Of the worker that was opened first: all scores of a call are of one model.
  std::string fingerprint = {};
  // A worker has answered: the call is worth a longer search for another one.
  bool is_begun = false;
};

class ScoreLaneOwner {
 public:
  virtual ~ScoreLaneOwner() = default;
  // Comes last in each event and timer. May destroy the lane.
  virtual void OnLaneChanged() = 0;
};

class ScoreLane : private WorkerStreamEvents {
 public:
  enum class State { kRunning, kDone, kFailed };
  // What is scored: `tokens` from index score_from >= 1 on, below their number.
  struct Sequence {
    int64_t number = 0;  // in the call, from 1; for the workers' logs
    std::vector<TokenId> tokens = {};
    Position score_from = 0;
    int alternatives = 0;  // of each, 0 .. kLogprobsLimit
  };

  ScoreLane(ScoreContext* context, ScoreLaneOwner* owner, Sequence sequence)
      : context_(context), owner_(owner), sequence_(std::move(sequence)) {}
  ~ScoreLane() override;

  ScoreLane(const ScoreLane&) = delete;
  ScoreLane& operator=(const ScoreLane&) = delete;

  // Once; the owner hears nothing inside it.
  void Start();

  State state() const { return state_; }
  // In kFailed.
  const absl::Status& status() const { return status_; }
  int64_t number() const { return sequence_.number; }
  // Natural logarithms, of the tokens from score_from on that there are yet.
  absl::Span<const float> logprobs() const { return logprobs_; }
  // To each of those; empty where none are asked for.
  absl::Span<const std::vector<TokenLogprob>> alternatives() const {
    return alternatives_;
  }
  // Each of those is the most probable token.
  bool is_greedy() const { return is_greedy_; }

 private:
  enum class Wait { kNone, kOver };

  void OnOpened(const OpenedSequence& opened) override;
  void OnAnswer(WorkerAnswer answer) override;
  void OnScored(WorkerScores scores) override;
  void OnClosed(const absl::Status& status) override;

  // Opens a worker, or looks again after a pause, or gives up.
  void Look(Wait wait);
  void LookLater(MonotonicDuration wait);
  // False where the prompt's quarantine lets no worker have it now: the lane
  // has failed then, or looks again later.
  bool MayOpen();
  void Open(const WorkerChoice& worker);
  // Takes the scores; false where they are not those that come next.
  bool Take(WorkerScores scores);
  void Lose(const absl::Status& status);
  void Fail(const absl::Status& status);
  // That no worker can be had, in words for the client.
  absl::Status NoneLeft() const;
  TargetQuery Query(std::string fingerprint) const;
  bool WasTried(const std::string& worker) const;
  MonotonicDuration QueueTimeout() const;

  ScoreContext* const context_;
  ScoreLaneOwner* const owner_;
  const Sequence sequence_;

  State state_ = State::kRunning;
  absl::Status status_;
  std::vector<float> logprobs_;
  std::vector<std::vector<TokenLogprob>> alternatives_;
  bool is_greedy_ = true;

  std::unique_ptr<WorkerStream> stream_;
  bool is_confirmed_ = false;  // the worker has said `opened`
  std::optional<PromptQuarantine::Stay> stay_;
  // Of the search: since when there was no progress, streams opened since, and
  // where, the last one last.
  MonotonicTime since_;
  int opens_ = 0;
  std::vector<std::string> tried_;  // names
  absl::Status lost_status_;
  EventLoop::TimerId timer_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_SCORE_LANE_H_
