#include "engine/sampling/raw_logprobs.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/fixed_math.h"

namespace tandem {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

absl::Status Corruption(absl::string_view what) {
  return MakeError(absl::StatusCode::kInternal,
                   {.reason = kReasonNumericCorruption}, what);
}

}  // namespace

RowSummary Summarise(absl::Span<const float> logits) {
  float highest[kLogitsBlock];
  uint32_t corrupt[kLogitsBlock] = {};
  std::fill_n(highest, kLogitsBlock, -kInfinity);
  size_t i = 0;
  for (; i + kLogitsBlock <= logits.size(); i += kLogitsBlock) {
    const float* const block = logits.data() + i;
    for (size_t lane = 0; lane < kLogitsBlock; ++lane) {
      const float x = block[lane];
      highest[lane] = x > highest[lane] ? x : highest[lane];
      corrupt[lane] |= x < kInfinity ? 0 : 1;  // false for NaN too
    }
  }
  for (; i < logits.size(); ++i) {
    highest[0] = std::max(highest[0], logits[i]);
    corrupt[0] |= logits[i] < kInfinity ? 0 : 1;
  }
  RowSummary summary;
  for (size_t lane = 0; lane < kLogitsBlock; ++lane) {
    summary.highest = std::max(summary.highest, highest[lane]);
    summary.corrupt |= corrupt[lane] != 0;
  }
  return summary;
}

absl::Status CorruptionError(absl::Span<const float> logits) {
  const auto first = std::find_if(logits.begin(), logits.end(),
                                  [](float x) { return !(x < kInfinity); });
  return Corruption(absl::StrCat("the logit of token ", first - logits.begin(),
                                 " is ", *first));
}

RawLogprobs::RawLogprobs(absl::Span<const float> logits)
    : logits_(logits), max_(*std::max_element(logits.begin(), logits.end())) {
  double sum = 0;
  for (const float x : logits) sum += FixedExp(double{x} - max_);
  log_sum_ = FixedLog(sum);
}

float RawLogprobs::Of(float logit) const {
  return static_cast<float>((double{logit} - max_) - log_sum_);
}

std::vector<TokenLogprob> RawLogprobs::Highest(int count) const {
  if (count == 0) return {};
  std::vector<TokenId> ids(logits_.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<TokenId>(i);
  const size_t kept = std::min<size_t>(count, ids.size());
  std::partial_sort(
      ids.begin(), ids.begin() + kept, ids.end(), [this](TokenId a, TokenId b) {
        return logits_[a] != logits_[b] ? logits_[a] > logits_[b] : a < b;
      });
  std::vector<TokenLogprob> result;
  for (size_t i = 0; i < kept && logits_[ids[i]] > -kInfinity; ++i) {
    result.push_back({.id = ids[i], .logprob = Of(logits_[ids[i]])});
  }
  return result;
}

absl::StatusOr<ScoredToken> ScoreToken(absl::Span<const float> logits,
                                       TokenId id, int alternatives) {
  const RowSummary summary = Summarise(logits);
  if (summary.corrupt) return CorruptionError(logits);
  if (summary.highest == -kInfinity) {
    return Corruption("the logits of all tokens are -infinity");
  }
  const RawLogprobs logprobs(logits);
  const auto first = std::find(logits.begin(), logits.end(), summary.highest);
  return ScoredToken{.token = {.id = id,
                               .logprob = logprobs.Of(logits[id]),
                               .alternatives = logprobs.Highest(alternatives)},
                     .is_greedy = first - logits.begin() == id};
}

}  // namespace tandem
