#include "engine/speculation/ngram_drafter.h"

#include <algorithm>

#include "engine/base/check.h"

namespace tandem {
namespace {

// Slots that a token has at least: three runs end at it.
constexpr size_t kSlotsPerToken = 8;

}  // namespace

void NgramDrafter::Append(TokenId token) {
  // Runs are entered once the token that follows is there, so a search for the
  // text's end does not find the end itself.
  if (!tokens_.empty()) Enter(tokens_.size());
  tokens_.push_back(token);
  if (tokens_.size() == 2 * kWindow) {
    tokens_.erase(tokens_.begin(), tokens_.begin() + kWindow);
    Rebuild(slots_.size());
  } else if (tokens_.size() * kSlotsPerToken > slots_.size()) {
    Rebuild(std::max(2 * slots_.size(), 2 * kSlotsPerToken));
  }
}

size_t NgramDrafter::SlotOf(size_t end, int run) const {
  uint64_t hash = static_cast<uint64_t>(run);
  for (size_t i = end - static_cast<size_t>(run); i < end; ++i) {
    hash = (hash ^ static_cast<uint32_t>(tokens_[i])) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 29;
  }
  return hash & (slots_.size() - 1);
}

void NgramDrafter::Enter(size_t end) {
  if (slots_.empty()) return;
  for (int run = kShortestRun;
       run <= kLongestRun && static_cast<size_t>(run) <= end; ++run) {
    slots_[SlotOf(end, run)] = static_cast<uint32_t>(end);
  }
}

void NgramDrafter::Rebuild(size_t slots) {
  slots_.assign(slots, 0);
  for (size_t end = 1; end < tokens_.size(); ++end) Enter(end);
}

NgramDrafter::Match NgramDrafter::Find() const {
  const size_t size = tokens_.size();
  for (int run = kLongestRun; run >= kShortestRun; --run) {
    if (static_cast<size_t>(run) >= size) continue;
    const size_t next = slots_[SlotOf(size, run)];
    size_t length = 0;
    while (length < std::min<size_t>(next, static_cast<size_t>(run)) &&
           tokens_[next - length - 1] == tokens_[size - length - 1]) {
      ++length;
    }
    if (length == static_cast<size_t>(run)) {
      return {.length = run, .next = static_cast<uint32_t>(next)};
    }
  }
  return {};
}

std::vector<TokenId> NgramDrafter::Draft(const Match& match, int length) const {
  TANDEM_CHECK(match.length > 0 && match.next < tokens_.size());
  std::vector<TokenId> draft;
  draft.reserve(static_cast<size_t>(length));
  const size_t held = tokens_.size() - match.next;
  for (size_t i = 0; i < static_cast<size_t>(length); ++i) {
    draft.push_back(i < held ? tokens_[match.next + i] : draft[i - held]);
  }
  return draft;
}

}  // namespace tandem
