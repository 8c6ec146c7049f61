// Plans the rounds of one turn: what the request allows, what the controller
// picks, and prompt lookup. The turn (engine/session/turn.h) asks it; its
// driver tells it what rounds took. Pure. Owned by the driver; one thread.

#ifndef TANDEM_ENGINE_SPECULATION_SPECULATOR_H_
#define TANDEM_ENGINE_SPECULATION_SPECULATOR_H_

#include <vector>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/sampling/logits_processor.h"
#include "engine/speculation/draft_controller.h"
#include "engine/speculation/ngram_drafter.h"

namespace tandem {

struct DraftPlan {
  DraftSource source = DraftSource::kNone;
  int length = 0;                   // of kModel: tokens to ask for
  std::vector<TokenId> draft = {};  // of kLookup
};

// What a round stands on.
struct RoundRoom {
  absl::Span<const TokenId> prompt;     // all before the generated ones
  absl::Span<const TokenId> generated;  // grows from round to round
  int length_max = 0;                   // of any draft
  int model_max = 0;                    // of the drafter's; 0: none there
};

// Tokens that a round of the turn may draft at most; what a drafter is opened
// for. 0: no speculation.
int DraftLengthMax(const GenOptions& options);
// True where the turn may use a draft model.
bool MayUseModel(const GenOptions& options);

class Speculator {
 public:
  // `controller` outlives this.
  Speculator(DraftController* controller, const GenOptions& options);

  // Asked by the turn.
  DraftPlan PlanRound(const RoundRoom& room);
  // The round under way was verified and the turn goes on.
  void OnRound(int drafted, int accepted);

  // Told by the driver, before it gives the answer to the turn: how long it
  // waited for a proposal whose first pass had `rows` rows, or for a
  // verification, and how long of that it was in the worker. Not told of those
  // that ran the prompt.
  void OnProposed(int length, int rows, double us, double served_us);
  void OnVerified(int drafted, double us, double served_us);
  // It waited in vain: a drafter takes at least so long for `length` tokens.
  void OnDraftLate(int length, int rows, double us);
  // The drafter does not answer now; its rounds are drafted otherwise.
  void SetModelBusy(bool busy) { model_busy_ = busy; }

 private:
  DraftController* const controller_;
  const bool is_fixed_;
  const int length_max_;
  const DraftSources sources_;
  NgramDrafter ngrams_;
  size_t known_ = 0;  // tokens that ngrams_ has
  bool model_busy_ = false;
  DraftController::Round round_;  // the one under way
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_SPECULATOR_H_
