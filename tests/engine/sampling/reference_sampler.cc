#include "tests/engine/sampling/reference_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "engine/base/fixed_math.h"
#include "engine/sampling/logits_processor.h"
#include "engine/sampling/noise.h"

namespace tandem {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

}  // namespace

GenOptions PlainOptions() {
  GenOptions options;
  options.temperature = 1;
  options.top_p = 1;
  options.top_k = 0;
  options.repetition_penalty = 1;
  options.seed = 7;
  return options;
}

std::vector<ScoredToken> ReferenceKept(const GenOptions& options,
                                       absl::Span<const TokenId> history,
                                       Position generated_from,
                                       absl::Span<const float> logits) {
  std::vector<ScoredToken> kept;
  for (size_t i = 0; i < logits.size(); ++i) {
    const TokenId id = static_cast<TokenId>(i);
    double logit = logits[i];
    for (const LogitBias& bias : options.logit_bias) {
      if (bias.id == id) logit += bias.bias;
    }
    const auto in_session = std::count(history.begin(), history.end(), id);
    const auto in_turn =
        std::count(history.begin() + generated_from, history.end(), id);
    if (in_session > 0) {
      const double repetition = options.repetition_penalty;
      logit = logit > 0 ? logit / repetition : logit * repetition;
    }
    if (in_turn > 0) {
      logit -= options.presence_penalty;
      logit -= double{options.frequency_penalty} * static_cast<double>(in_turn);
    }
    if (logit > -kInf) kept.push_back({.logit = logit, .id = id});
  }
  std::sort(kept.begin(), kept.end(),
            [](const ScoredToken& a, const ScoredToken& b) {
              return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
            });
  if (options.temperature == 0) return kept;
  const double t = options.temperature;
  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < kept.size()) {
    kept.resize(options.top_k);
  }
  const auto weight = [&kept, t](const ScoredToken& s) {
    return FixedExp(s.logit / t - kept[0].logit / t);
  };
  if (options.top_p < 1) {
    double total = 0;
    for (const ScoredToken& s : kept) total += weight(s);
    double sum = 0;
    size_t count = 0;
    while (count < kept.size()) {
      sum += weight(kept[count++]);
      if (sum >= options.top_p * total) break;
    }
    kept.resize(count);
  }
  size_t count = 0;
  while (count < kept.size() && weight(kept[count]) >= options.min_p) ++count;
  kept.resize(count);
  return kept;
}

TokenId ReferenceSample(const GenOptions& options,
                        absl::Span<const TokenId> history,
                        Position generated_from,
                        absl::Span<const float> logits) {
  const std::vector<ScoredToken> kept =
      ReferenceKept(options, history, generated_from, logits);
  if (options.temperature == 0) return kept.at(0).id;
  double best = -kInf;
  TokenId chosen = -1;
  for (const ScoredToken& s : kept) {
    const double score =
        s.logit / double{options.temperature} +
        GumbelNoise({.seed = *options.seed, .choice = options.choice},
                    static_cast<Position>(history.size()), s.id);
    if (score > best || (score == best && s.id < chosen)) {
      best = score;
      chosen = s.id;
    }
  }
  return chosen;
}

TokenId SampleId(const GenOptions& options, absl::Span<const TokenId> history,
                 Position generated_from, std::vector<float> logits) {
  LogitsProcessor processor(options, static_cast<int>(logits.size()), history,
                            generated_from);
  const absl::StatusOr<SampledToken> token =
      processor.Sample(absl::MakeSpan(logits));
  EXPECT_TRUE(token.ok()) << token.status();
  return token.ok() ? token->id : -1;
}

}  // namespace tandem
