// Whether a draft model pays on this machine: a short measurement against a
// coordinator that has it. One thread.

#ifndef TANDEM_TOOLS_TANDEM_UP_DRAFT_TRIAL_H_
#define TANDEM_TOOLS_TANDEM_UP_DRAFT_TRIAL_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::cli {

// Below this gain a draft is not worth the memory that it takes. Two runs of
// the same turns differ by up to 3% on an idle machine.
inline constexpr double kTrialGainMin = 1.05;

struct TrialResult {
  double drafted_per_second = 0;  // tokens
  double plain_per_second = 0;
  double acceptance = 0;  // of drafted tokens, 0 to 1

  double gain() const { return drafted_per_second / plain_per_second; }
  bool pays() const { return gain() >= kTrialGainMin; }
};

// Runs one turn to its end.
using RunOneTurn =
    std::function<absl::StatusOr<v1::TurnEnded>(const v1::TurnRequest&)>;

// Runs the same text in turn with drafts of the model and without them (prompt
// lookup is there either way): once unmeasured, so that costs are known and the
// prompt is cached, then up to kTrialPairs times for kTrialBudget. The medians.
// Errors: those of turns; FAILED_PRECONDITION where no pair has tokens enough.
absl::StatusOr<TrialResult> TryDraft(const RunOneTurn& run);

inline constexpr int kTrialPairs = 3;
// For the measured pairs, in milliseconds, and of one turn at most.
inline constexpr int64_t kTrialBudgetMs = 10'000;
inline constexpr int64_t kTrialTurnMs = 4'000;

// "61.0 tokens/s with it, 40.1 without (1.52 times), 71% of drafted tokens
// accepted".
std::string DescribeTrial(const TrialResult& result);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_UP_DRAFT_TRIAL_H_
