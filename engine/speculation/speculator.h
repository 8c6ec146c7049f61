// Plans the rounds of one turn: what the request allows, the length that the
// target's DraftPolicy has, and prompt lookup. The turn (engine/session/turn.h)
// asks it, and its driver reports what rounds took. Pure. Owned by the driver;
// one thread.

#ifndef TANDEM_ENGINE_SPECULATION_SPECULATOR_H_
#define TANDEM_ENGINE_SPECULATION_SPECULATOR_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/speculation/acceptance.h"
#include "engine/speculation/draft_policy.h"
#include "engine/speculation/draft_source.h"
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
  // `policy`: of the turn's target.
  Speculator(std::shared_ptr<DraftPolicy> policy, const GenOptions& options);
  ~Speculator();
  Speculator(const Speculator&) = delete;
  Speculator& operator=(const Speculator&) = delete;

  // The turn has another target.
  void SetPolicy(std::shared_ptr<DraftPolicy> policy);
  const std::shared_ptr<DraftPolicy>& policy() const { return policy_; }

  // A drafter can be had, that has the first `cached` tokens of the session;
  // absent: none can.
  void SetDrafter(std::optional<int64_t> cached);
  // True where that drafter should be opened now.
  bool WantsDrafter();

  // Asked by the turn.
  DraftPlan PlanRound(const RoundRoom& room);
  // The round under way was verified and the turn goes on.
  void OnRound(int drafted, int accepted);

  // Called by the driver before it gives an answer to the turn. A request of
  // the round under way took `us`, of that `served_us` in the worker.
  void OnRequest(double us, double served_us);
  // The round ran a prompt, or many old tokens: its time says nothing.
  void SkipTimes() { round_.is_timed = false; }
  // The round goes on without its draft, which counts as wrong.
  void OnDraftLate() { round_.is_late = true; }
  // The drafter does not answer now; its rounds are drafted otherwise.
  void SetModelBusy(bool busy) { model_busy_ = busy; }

 private:
  struct RoundUnderWay {
    DraftPolicy::Round seen = {};
    int run_class = 0;
    int planned = 0;
    bool is_timed = true;
    bool is_late = false;
  };

  // Lookup's chances go by the length of the run that was found.
  static constexpr int kClasses =
      NgramDrafter::kLongestRun - NgramDrafter::kShortestRun + 1;

  // Tokens of the draft model in the round to come.
  int PlanModel(const RoundRoom& room, int length_max);
  // What lookup finds; nothing where it is not wanted.
  NgramDrafter::Match LookUp(const RoundRoom& room);
  // Tokens to draft by lookup where the draft model has `model_length`.
  int PlanLookup(int run_class, int model_length, int length_max);

  std::shared_ptr<DraftPolicy> policy_;
  DraftPolicy::Seat seat_;
  const bool is_fixed_;
  const int length_max_;
  const DraftSources sources_;
  NgramDrafter ngrams_;
  size_t known_ = 0;  // tokens that ngrams_ has
  bool model_busy_ = false;

  // Tokens of the session, and those that a drafter has, which may not be open.
  bool has_drafter_ = false;
  int64_t tokens_ = 0;
  int64_t drafter_has_ = 0;
  // At the first round.
  std::optional<int64_t> first_tokens_;
  int64_t first_lacking_ = 0;

  std::array<Acceptance, kClasses> lookup_;
  std::array<int64_t, kClasses> lookup_seen_ = {};  // rounds_ then
  int64_t rounds_ = 0;
  double credit_us_ = 0;  // for probes of lookup

  RoundUnderWay round_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_SPECULATOR_H_
