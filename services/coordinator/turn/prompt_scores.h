// Log-probabilities of the prompt's own tokens of a turn, for a client that
// asks for them: has the tokens scored beside the turn, piece by piece, and
// hands the scores out in their order. A piece begins when the last one was
// handed out, so a slow reader holds it back, and a worker keeps no KV for it.
// Owned by the stream of the turn's client; everything belongs to the event
// loop.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_PROMPT_SCORES_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_PROMPT_SCORES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/types.h"
#include "engine/sampling/logits_processor.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/score_lane.h"
#include "services/coordinator/turn/turn_runner.h"

namespace tandem {

// Tokens of a piece, and the scores that are held at most: 0.5 MB with 20
// alternatives each. A worker needs KV for as many beside the turn's own.
inline constexpr Position kPromptPieceTokens = 2048;

// Scores that follow each other.
struct PromptScoresPart {
  int64_t first_token = 0;                // among the turn's own prompt tokens
  std::vector<SampledToken> tokens = {};  // at least one
};

class PromptScores : private ScoreLaneOwner {
 public:
  // `loop` and `directory` outlive the PromptScores.
  struct Setup {
    EventLoop* loop = nullptr;
    WorkerDirectory* directory = nullptr;
    TurnLimits limits = {};
    // When the client itself gives up.
    std::optional<MonotonicTime> deadline = {};
    // There are more scores, or none will come. May destroy the PromptScores.
    std::function<void()> on_change = {};
  };

  // `runner`, whose setup asks for log-probabilities, outlives this. The client
  // has those of the first `received` tokens, which are no more than there are.
  PromptScores(const Setup& setup, const TurnRunner* runner, int64_t received);

  // The scores that come next, `tokens_max` at most; nothing where they are not
  // there yet. The turn has a target by then.
  std::optional<PromptScoresPart> Next(int64_t tokens_max);
  // No more scores come: all were handed out, or the turn was cancelled or ran
  // out of time, and its client does not wait for them.
  bool is_over() const;
  // Not OK: why the scores that are missing can not be had.
  absl::Status status() const;

 private:
  void OnLaneChanged() override;
  // Has the piece from next_ on scored.
  void OpenPiece();

  const Setup setup_;
  const TurnRunner* const runner_;
  const PromptLogprobs asked_;
  Position next_;       // index in the session of what is handed out next
  const Position end_;  // of the prompt
  int64_t pieces_ = 0;
  ScoreContext context_;  // outlives the lane
  // Of the piece under way, `taken_` scores of which were handed out.
  std::optional<ScoreLane> lane_;
  size_t taken_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_PROMPT_SCORES_H_
