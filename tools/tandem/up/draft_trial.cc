#include "tools/tandem/up/draft_trial.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "tools/tandem/base/output.h"

namespace tandem::cli {
namespace {

// Plain prose, which every model goes on with. A text is known to no model by
// heart, so acceptance is that of ordinary use.
constexpr char kPrompt[] =
    "Once upon a time, in a small town by the sea, there lived an old "
    "clockmaker who had a cat. Every morning the two of them walked to the "
    "harbour to see which ships had come in. One day";
constexpr int kTokens = 64;
// Two tokens have one time between them: fewer say nothing.
constexpr int64_t kTokensMin = 8;

v1::TurnRequest MakeTurn(v1::DraftSources sources) {
  v1::TurnRequest turn;
  turn.set_text(kPrompt);
  turn.set_timeout_ms(kTrialTurnMs);
  v1::GenerationOptions& options = *turn.mutable_options();
  options.set_max_tokens(kTokens);
  options.set_ignore_eos(true);
  options.set_seed(1);  // the same text each time
  options.set_draft_sources(sources);
  return turn;
}

// Tokens a second after the first one; 0: too few tokens.
double RateOf(const v1::TurnEnded& ended) {
  const int64_t tokens = ended.usage().generated_tokens();
  const v1::SpeculationStats& stats = ended.speculation();
  const int64_t decode_us = stats.total_us() - stats.first_token_us();
  if (tokens < kTokensMin || decode_us <= 0) return 0;
  return static_cast<double>(tokens - 1) * 1e6 / static_cast<double>(decode_us);
}

double Median(std::vector<double> values) {
  const auto middle =
      values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

absl::StatusOr<TrialResult> TryDraft(const RunOneTurn& run) {
  const v1::TurnRequest drafted = MakeTurn(v1::DRAFT_SOURCES_UNSPECIFIED);
  const v1::TurnRequest plain = MakeTurn(v1::DRAFT_SOURCES_LOOKUP);
  for (const v1::TurnRequest& turn : {plain, drafted}) {
    TANDEM_RETURN_IF_ERROR(run(turn).status());
  }
  std::vector<double> drafted_rates;
  std::vector<double> plain_rates;
  TrialResult result;
  const absl::Time end = MonotonicNow() + absl::Milliseconds(kTrialBudgetMs);
  for (int i = 0; i < kTrialPairs && (i == 0 || MonotonicNow() < end); ++i) {
    TANDEM_ASSIGN_OR_RETURN(const v1::TurnEnded with, run(drafted));
    TANDEM_ASSIGN_OR_RETURN(const v1::TurnEnded without, run(plain));
    const std::pair rates(RateOf(with), RateOf(without));
    if (rates.first == 0 || rates.second == 0) continue;
    drafted_rates.push_back(rates.first);
    plain_rates.push_back(rates.second);
    result.acceptance = AcceptanceRate(with.speculation());
  }
  if (plain_rates.empty()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "fewer than %d tokens came in %d ms", kTokensMin, kTrialTurnMs));
  }
  result.drafted_per_second = Median(std::move(drafted_rates));
  result.plain_per_second = Median(std::move(plain_rates));
  return result;
}

std::string DescribeTrial(const TrialResult& result) {
  return absl::StrFormat(
      "%.1f tokens/s with it, %.1f without (%.2f times), %.0f%% of drafted "
      "tokens accepted",
      result.drafted_per_second, result.plain_per_second, result.gain(),
      result.acceptance * 100);
}

}  // namespace tandem::cli
