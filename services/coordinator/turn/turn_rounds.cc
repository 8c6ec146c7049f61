#include "services/coordinator/turn/turn_rounds.h"

#include <algorithm>

#include "engine/base/check.h"

namespace tandem {
namespace {

// What is left of a round of `draft` behind its first `skipped` tokens.
VerifiedDraft Rest(const VerifiedDraft& draft, int64_t skipped) {
  const auto left = [skipped](uint8_t count) {
    return static_cast<uint8_t>(std::max<int64_t>(0, count - skipped));
  };
  return {.drafted = left(draft.drafted),
          .accepted = left(draft.accepted),
          .from_lookup = draft.from_lookup && left(draft.drafted) > 0};
}

}  // namespace

void TurnRounds::Add(const EmitAction& emit) {
  const int64_t end =
      emit.first_token + static_cast<int64_t>(emit.tokens.size());
  rounds_.push_back({.text_end = emit.text_end,
                     .tokens_end = static_cast<uint32_t>(end),
                     .draft = emit.draft});
}

TurnRounds::Iterator TurnRounds::At(int64_t token) const {
  const auto is_before = [](int64_t index, const Round& round) {
    return index < int64_t{round.tokens_end};
  };
  return std::upper_bound(rounds_.begin(), rounds_.end(), token, is_before);
}

TurnProgress TurnRounds::NextGroup(int64_t tokens, int64_t tokens_max) const {
  Iterator round = At(tokens);
  TANDEM_CHECK(round != rounds_.end());
  while (round + 1 != rounds_.end() &&
         int64_t{(round + 1)->tokens_end} - tokens <= tokens_max) {
    ++round;
  }
  return {.tokens = int64_t{round->tokens_end}, .text_bytes = round->text_end};
}

std::vector<RoundPart> TurnRounds::Between(int64_t from, int64_t to) const {
  std::vector<RoundPart> parts;
  int64_t at = from;
  for (Iterator round = At(from); at < to; ++round) {
    TANDEM_CHECK(round != rounds_.end() && int64_t{round->tokens_end} <= to);
    const int64_t begin =
        round == rounds_.begin() ? 0 : int64_t{(round - 1)->tokens_end};
    const int64_t end = int64_t{round->tokens_end};
    parts.push_back({.draft = Rest(round->draft, at - begin),
                     .tokens = static_cast<int>(end - at)});
    at = end;
  }
  return parts;
}

}  // namespace tandem
