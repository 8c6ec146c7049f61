#include "tools/tandem/chat/figures.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tandem::cli {
namespace {

// Times that are kept: the speed of a machine changes as others use it.
constexpr size_t kTimesKept = 64;
// Fewer say little: one that waited for others moves their median.
constexpr size_t kTimesMin = 8;
// A turn of fewer rounds has no mean.
constexpr int64_t kRoundsMin = 4;

double PerSecond(int64_t tokens, int64_t us) {
  return Ratio(static_cast<double>(tokens), static_cast<double>(us) / 1e6);
}

std::string Acceptance(const v1::SpeculationStats& stats) {
  if (stats.drafted_tokens() == 0) return "nothing was drafted";
  return absl::StrFormat("%.0f%% of %d drafted tokens accepted",
                         100 * AcceptanceRate(stats), stats.drafted_tokens());
}

std::string ShownGain(const DraftGain& gain) {
  return absl::StrFormat(", %s %.1f times as fast as without drafts",
                         gain.is_measured ? "about" : "at most", gain.times);
}

}  // namespace

void PlainRounds::Add(const v1::TokensGenerated& event, absl::Time now) {
  const bool is_plain = event.rounds_size() == 1 &&
                        event.rounds(0).drafted_tokens() == 0 &&
                        event.rounds(0).tokens() == 1;
  if (is_plain && last_event_.has_value()) {
    if (times_.size() < kTimesKept) {
      times_.push_back(now - *last_event_);
    } else {
      times_[next_] = now - *last_event_;
      next_ = (next_ + 1) % kTimesKept;
    }
  }
  last_event_ = now;
}

std::optional<absl::Duration> PlainRounds::Median() const {
  if (times_.size() < kTimesMin) return std::nullopt;
  std::vector<absl::Duration> sorted = times_;
  const auto middle =
      sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

std::optional<DraftGain> EstimateGain(
    const v1::TurnEnded& ended, std::optional<absl::Duration> plain_round) {
  const v1::SpeculationStats& stats = ended.speculation();
  const int64_t us = stats.total_us() - stats.first_token_us();
  if (stats.rounds() < kRoundsMin || stats.drafted_tokens() == 0 || us <= 0) {
    return std::nullopt;
  }
  const double rounds = static_cast<double>(stats.rounds());
  // The first round ends with the first token.
  const double round_us = static_cast<double>(us) / (rounds - 1);
  const double tokens_per_round =
      static_cast<double>(ended.usage().generated_tokens()) / rounds;
  const double plain_us =
      plain_round.has_value()
          ? absl::ToDoubleMicroseconds(*plain_round)
          : round_us - static_cast<double>(stats.draft_us()) / rounds;
  if (plain_us <= 0) return std::nullopt;
  return DraftGain{.times = tokens_per_round * plain_us / round_us,
                   .is_measured = plain_round.has_value()};
}

std::string FigureLine(const TurnRecord& record,
                       std::optional<absl::Duration> plain_round) {
  const v1::SpeculationStats& stats = record.ended.speculation();
  const std::optional<DraftGain> gain = EstimateGain(record.ended, plain_round);
  return absl::StrCat(
      absl::StrFormat(
          "%.1f tokens/s, %s, first token after %.0f ms",
          PerSecond(record.ended.usage().generated_tokens(), stats.total_us()),
          Acceptance(stats),
          static_cast<double>(stats.first_token_us()) / 1000),
      gain.has_value() ? ShownGain(*gain) : "");
}

std::string ConversationFigures(absl::Span<const TurnRecord* const> turns) {
  int64_t tokens = 0;
  v1::SpeculationStats sums;
  for (const TurnRecord* turn : turns) {
    const v1::SpeculationStats& stats = turn->ended.speculation();
    tokens += turn->ended.usage().generated_tokens();
    sums.set_rounds(sums.rounds() + stats.rounds());
    sums.set_drafted_tokens(sums.drafted_tokens() + stats.drafted_tokens());
    sums.set_accepted_tokens(sums.accepted_tokens() + stats.accepted_tokens());
    sums.set_total_us(sums.total_us() + stats.total_us());
  }
  return absl::StrFormat(
      "conversation: %d turns, %d tokens in %.2f s (%.1f/s), %d rounds, %s\n",
      turns.size(), tokens, static_cast<double>(sums.total_us()) / 1e6,
      PerSecond(tokens, sums.total_us()), sums.rounds(), Acceptance(sums));
}

}  // namespace tandem::cli
