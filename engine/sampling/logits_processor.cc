#include "engine/sampling/logits_processor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/base/fixed_math.h"
#include "engine/sampling/noise.h"
#include "engine/sampling/raw_logprobs.h"

namespace tandem {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Up to this many candidates are simply sorted; above, only as many as top-p
// keeps are put in order, this many first and then twice as many each time.
constexpr size_t kSortedFirst = 128;

// Calls offer(id, logit) in id order for each logit at or above floor(), which
// may rise on the way; a few below may come too.
template <typename Floor, typename Offer>
void ForEachFrom(absl::Span<const float> logits, Floor floor, Offer offer) {
  for (size_t begin = 0; begin < logits.size(); begin += kLogitsBlock) {
    const float* const block = logits.data() + begin;
    const size_t size = std::min(kLogitsBlock, logits.size() - begin);
    if (size == kLogitsBlock) {
      const float lowest_kept = floor();
      int kept = 0;
      for (size_t lane = 0; lane < kLogitsBlock; ++lane) {
        kept += block[lane] >= lowest_kept ? 1 : 0;
      }
      if (kept == 0) continue;
    }
    for (size_t lane = 0; lane < size; ++lane) {
      offer(static_cast<TokenId>(begin + lane), block[lane]);
    }
  }
}

// The largest float that is not above `x`, or -infinity.
float RoundDown(double x) {
  const float rounded = static_cast<float>(x);
  return rounded > x ? std::nextafter(rounded, -kInfinity) : rounded;
}

// Quotients logit / temperature that RoughSum takes at most.
constexpr double kRoughScaleMax = 0x1p20;
// How far RoughSum may be from the sum of weights in candidate order, relative
// to it. The polynomial errs by 6e-9; a quotient below 2^21 by 2^-31, which
// goes to the power's exponent; the additions of 2^20 terms by 2^-33.
constexpr double kRoughError = 1e-7;

// The sum of e^((logit - highest) / temperature) over a row, in code that the
// compiler turns into vectors.
double RoughSum(absl::Span<const float> logits, double highest,
                double temperature) {
  constexpr double kRoundShift = 0x1.8p52;  // x + it: integer in the low bits
  constexpr double kInverseLn2 = 1.4426950408889634;
  constexpr double kLn2 = 0.6931471805599453;
  const double inverse = 1 / temperature;
  const double scaled_highest = highest / temperature;
  double sums[kLogitsBlock] = {};
  const auto add = [&](float logit, double* sum) {
    double x = logit * inverse - scaled_highest;
    x = x < -700.0 ? -700.0 : x;  // -infinity too; no sum shows it
    const double shifted = x * kInverseLn2 + kRoundShift;
    const double z = x - (shifted - kRoundShift) * kLn2;  // |z| <= 0.347
    double p = 1.0 / 5040;
    p = p * z + 1.0 / 720;
    p = p * z + 1.0 / 120;
    p = p * z + 1.0 / 24;
    p = p * z + 1.0 / 6;
    p = p * z + 0.5;
    p = p * z + 1.0;
    p = p * z + 1.0;
    // The integer goes to the power's exponent.
    *sum += std::bit_cast<double>(std::bit_cast<uint64_t>(p) +
                                  (std::bit_cast<uint64_t>(shifted) << 52));
  };
  size_t i = 0;
  for (; i + kLogitsBlock <= logits.size(); i += kLogitsBlock) {
    const float* const block = logits.data() + i;
    for (size_t lane = 0; lane < kLogitsBlock; ++lane)
      add(block[lane], sums + lane);
  }
  for (; i < logits.size(); ++i) add(logits[i], sums);
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace

LogitsProcessor::LogitsProcessor(const GenOptions& options, int vocab_size,
                                 absl::Span<const TokenId> history,
                                 Position generated_from,
                                 TokenConstraint constraint)
    : options_(options),
      temperature_(options.temperature),
      penalises_(options.repetition_penalty != 1 ||
                 options.presence_penalty != 0 ||
                 options.frequency_penalty != 0),
      generated_from_(generated_from),
      constraint_(std::move(constraint)) {
  TANDEM_CHECK(generated_from <= static_cast<Position>(history.size()));
  for (const LogitBias& entry : options.logit_bias) {
    TANDEM_CHECK(entry.id < vocab_size);
    bias_[entry.id] = entry.bias;
  }
  history_.reserve(history.size() + options.max_tokens / 16);
  for (const TokenId token : history) Append(token);
}

void LogitsProcessor::Append(TokenId token) {
  if (penalises_) {
    Count& count = counts_[token];
    ++count.session;
    if (length() >= generated_from_) ++count.generated;
  }
  // An error comes again with the next Sample.
  if (length() >= generated_from_) (void)constraint_.Append(token);
  history_.push_back(token);
}

void LogitsProcessor::Truncate(Position length) {
  TANDEM_CHECK(length >= 0 && length <= this->length());
  constraint_.Truncate(std::min<int64_t>(
      constraint_.length(), std::max<int64_t>(0, length - generated_from_)));
  while (this->length() > length) {
    const TokenId token = history_.back();
    history_.pop_back();
    if (!penalises_) continue;
    const auto count = counts_.find(token);
    if (this->length() >= generated_from_) --count->second.generated;
    if (--count->second.session == 0) counts_.erase(count);
  }
}

double LogitsProcessor::Penalised(TokenId id, double logit) const {
  const auto count = counts_.find(id);
  if (count == counts_.end()) return logit;
  const double repetition = options_.repetition_penalty;
  logit = logit > 0 ? logit / repetition : logit * repetition;
  if (count->second.generated > 0) {
    logit -= options_.presence_penalty;
    logit -= double{options_.frequency_penalty} * count->second.generated;
  }
  return logit;
}

void LogitsProcessor::SetAsideAdjusted(absl::Span<float> logits) {
  adjusted_.clear();
  for (const auto& [id, bias] : bias_) {
    const double biased = double{logits[id]} + bias;
    adjusted_.push_back(
        {.id = id, .raw = logits[id], .logit = Penalised(id, biased)});
  }
  for (const auto& [id, count] : counts_) {
    if (bias_.contains(id)) continue;
    adjusted_.push_back(
        {.id = id, .raw = logits[id], .logit = Penalised(id, logits[id])});
  }
  for (const Adjusted& entry : adjusted_) logits[entry.id] = -kInfinity;
}

LogitsProcessor::Candidate LogitsProcessor::First(
    absl::Span<const float> logits, float highest) const {
  const bool set_aside =
      std::any_of(adjusted_.begin(), adjusted_.end(),
                  [highest](const Adjusted& a) { return a.raw == highest; });
  if (set_aside) highest = Summarise(logits).highest;
  Candidate first{.logit = -kInfinity, .id = -1};
  if (highest > -kInfinity) {
    const auto found = std::find(logits.begin(), logits.end(), highest);
    first = {.logit = highest,
             .id = static_cast<TokenId>(found - logits.begin())};
  }
  for (const Adjusted& entry : adjusted_) {
    const Candidate candidate{.logit = entry.logit, .id = entry.id};
    if (entry.logit > -kInfinity && Before(candidate, first)) first = candidate;
  }
  return first;
}

void LogitsProcessor::SelectFrom(absl::Span<const float> logits, double floor) {
  const auto offer = [this, floor](TokenId id, double logit) {
    if (logit >= floor && logit > -kInfinity) {
      candidates_.push_back({.logit = logit, .id = id});
    }
  };
  for (const Adjusted& entry : adjusted_) offer(entry.id, entry.logit);
  const float row_floor = RoundDown(floor);
  ForEachFrom(
      logits, [row_floor] { return row_floor; }, offer);
}

void LogitsProcessor::OfferTopK(Candidate candidate) {
  candidates_.push_back(candidate);
  if (candidates_.size() < candidates_max_) return;
  const auto last = candidates_.begin() + (options_.top_k - 1);
  std::nth_element(candidates_.begin(), last, candidates_.end(), Before);
  top_k_floor_ = last->logit;
  top_k_row_floor_ = RoundDown(top_k_floor_);
  candidates_.resize(options_.top_k);
}

void LogitsProcessor::SelectTopK(absl::Span<const float> logits, double floor) {
  const size_t kept = static_cast<size_t>(options_.top_k);
  candidates_max_ = 2 * kept + kSortedFirst;
  top_k_floor_ = floor;
  top_k_row_floor_ = RoundDown(floor);
  const auto offer = [this](TokenId id, double logit) {
    if (logit >= top_k_floor_ && logit > -kInfinity) {
      OfferTopK({.logit = logit, .id = id});
    }
  };
  for (const Adjusted& entry : adjusted_) offer(entry.id, entry.logit);
  ForEachFrom(
      logits, [this] { return top_k_row_floor_; }, offer);
  if (candidates_.size() <= kept) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + (kept - 1),
                   candidates_.end(), Before);
  candidates_.resize(kept);
}

// exp of the distance to the highest, after the temperature. Two quotients,
// not the quotient of the difference: the argmax takes the same quotients.
double LogitsProcessor::Weight(double logit, double logit_max) const {
  return FixedExp(logit / temperature_ - logit_max / temperature_);
}

size_t LogitsProcessor::CountTopPExactly(double logit_max) {
  std::sort(candidates_.begin(), candidates_.end(), Before);
  double total = 0;
  for (const Candidate& c : candidates_) total += Weight(c.logit, logit_max);
  const double wanted = options_.top_p * total;
  double sum = 0;
  for (size_t i = 0; i < candidates_.size(); ++i) {
    sum += Weight(candidates_[i].logit, logit_max);
    if (sum >= wanted) return i + 1;
  }
  return candidates_.size();
}

LogitsProcessor::Cut LogitsProcessor::CutWhereSure(double logit_max,
                                                   double total, double band) {
  const size_t size = candidates_.size();
  const double wanted = options_.top_p * total;
  double sum = 0;
  size_t ordered = 0;
  for (size_t i = 0; i < size; ++i) {
    if (i == ordered) {
      const size_t more = std::min(size, std::max(kSortedFirst, 2 * ordered));
      const auto begin = candidates_.begin();
      if (more < size) {
        std::nth_element(begin + ordered, begin + more, candidates_.end(),
                         Before);
      }
      std::sort(begin + ordered, begin + more, Before);
      ordered = more;
    }
    sum += Weight(candidates_[i].logit, logit_max);
    if (sum < wanted - band) continue;
    if (sum <= wanted + band) return Cut::kTooClose;
    candidates_.resize(i + 1);
    return Cut::kDone;
  }
  return Cut::kTooFew;
}

void LogitsProcessor::CutTopP(double logit_max) {
  if (candidates_.size() > kSortedFirst) {
    // The sum in any order decides wherever it is not too close to call: n
    // additions of positive numbers err by less than n * 2^-53 of their sum, in
    // this total and in the one in candidate order.
    double total = 0;
    for (const Candidate& c : candidates_) total += Weight(c.logit, logit_max);
    const double band =
        static_cast<double>(candidates_.size()) * 0x1p-50 * total;
    if (CutWhereSure(logit_max, total, band) != Cut::kTooClose) return;
  }
  candidates_.resize(CountTopPExactly(logit_max));
}

// Without top-k the candidates of a large vocabulary are too many to weigh and
// order all: a rough sum over the row tells how far down the cut lies.
void LogitsProcessor::SelectTopP(absl::Span<const float> logits,
                                 double logit_max) {
  if (std::fabs(logit_max / temperature_) <= kRoughScaleMax) {
    double total = RoughSum(logits, logit_max, temperature_);
    for (const Adjusted& entry : adjusted_) {
      total += Weight(entry.logit, logit_max);
    }
    for (const double reach : {8.0, 24.0}) {  // in powers of e
      candidates_.clear();
      SelectFrom(logits, logit_max - reach * temperature_);
      const Cut cut = CutWhereSure(logit_max, total, kRoughError * total);
      if (cut == Cut::kDone) return;
      if (cut == Cut::kTooClose) break;
    }
  }
  candidates_.clear();
  SelectFrom(logits, -kInfinity);
  CutTopP(logit_max);
}

TokenId LogitsProcessor::Choose(absl::Span<const float> logits,
                                const Candidate& first) {
  candidates_.clear();
  const double scaled_max = first.logit / temperature_;
  // Where no order is needed, only tokens that the noise can still lift to
  // the top are candidates. The floor is lower than need be by far more than
  // the quotients' rounding.
  const bool cuts_top_p = options_.top_p < 1;
  const double reach =
      (kGumbelNoiseMax - kGumbelNoiseMin) * temperature_ * (1 + 0x1p-20) +
      std::fabs(first.logit) * 0x1p-40;
  const double floor = first.logit - reach;
  if (options_.top_k > 0 &&
      static_cast<size_t>(options_.top_k) < logits.size()) {
    SelectTopK(logits, cuts_top_p ? -kInfinity : floor);
    if (cuts_top_p) CutTopP(first.logit);
  } else if (cuts_top_p) {
    SelectTopP(logits, first.logit);
  } else {
    SelectFrom(logits, floor);
  }

  const NoiseKey key = {.seed = options_.seed.value_or(0),
                        .choice = options_.choice};
  TokenId chosen = first.id;
  double best = scaled_max + GumbelNoise(key, length(), first.id);
  for (const Candidate& c : candidates_) {
    const double scaled = c.logit / temperature_;
    if (scaled + kGumbelNoiseMax < best) continue;
    if (options_.min_p > 0 && Weight(c.logit, first.logit) < options_.min_p) {
      continue;
    }
    const double score = scaled + GumbelNoise(key, length(), c.id);
    if (score > best || (score == best && c.id < chosen)) {
      best = score;
      chosen = c.id;
    }
  }
  return chosen;
}

absl::Status LogitsProcessor::Constrain(absl::Span<float> logits,
                                        float* highest) {
  raw_.clear();
  if (!constraint_.is_binding()) return absl::OkStatus();
  if (options_.logprobs.has_value()) raw_.assign(logits.begin(), logits.end());
  TANDEM_RETURN_IF_ERROR(constraint_.Apply(logits));
  *highest = Summarise(logits).highest;
  return absl::OkStatus();
}

absl::StatusOr<SampledToken> LogitsProcessor::Sample(absl::Span<float> logits) {
  RowSummary summary = Summarise(logits);
  if (summary.corrupt) return CorruptionError(logits);
  TANDEM_RETURN_IF_ERROR(Constrain(logits, &summary.highest));
  SetAsideAdjusted(logits);
  const Candidate first = First(logits, summary.highest);
  if (first.id < 0) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, {.reason = kReasonNoToken},
        absl::StrCat("every token is banned at position ", length(),
                     constraint_.has_grammar()
                         ? ", with those that the grammar does not allow"
                         : ""));
  }
  SampledToken token{.id = first.id, .logprob = 0, .alternatives = {}};
  if (options_.temperature > 0) token.id = Choose(logits, first);
  if (options_.logprobs.has_value()) {
    for (const Adjusted& entry : adjusted_) logits[entry.id] = entry.raw;
    if (!raw_.empty()) std::copy(raw_.begin(), raw_.end(), logits.begin());
    const RawLogprobs logprobs(logits);
    token.logprob = logprobs.Of(logits[token.id]);
    token.alternatives = logprobs.Highest(*options_.logprobs);
  }
  return token;
}

}  // namespace tandem
