#include "engine/grammar/automaton/token_masks.h"

#include <utility>

#include "engine/grammar/automaton/state_mask_walk.h"

namespace tandem {
namespace {

constexpr size_t kParserBytesMax = 16 << 20;

size_t BytesOf(const StateMask& mask) {
  size_t bytes = sizeof(StateMask) + mask.tokens.size() * sizeof(TokenId) +
                 mask.levels.size() * sizeof(MaskLevel) +
                 mask.bits.size() * sizeof(uint64_t);
  for (const MaskRest& rest : mask.rests) {
    bytes += sizeof(MaskRest) + rest.bytes.size() +
             rest.tokens.size() * sizeof(TokenId);
  }
  return bytes;
}

}  // namespace

TokenMasks::TokenMasks(Grammar grammar, std::shared_ptr<const TokenTrie> trie,
                       size_t bytes_max)
    : grammar_(std::move(grammar)),
      trie_(std::move(trie)),
      bytes_max_(bytes_max),
      masks_(grammar_.states.size()) {}

TokenMasks::~TokenMasks() = default;

const StateMask& TokenMasks::Compute(StateId state, StateMask* own) const {
  const absl::MutexLock lock(&computing_);
  if (const StateMask* known = masks_[state].load(std::memory_order_acquire)) {
    return *known;
  }
  if (parser_ == nullptr || parser_->bytes() > kParserBytesMax) {
    parser_ = std::make_unique<GrammarParser>(&grammar_);
  }
  StateMaskWalk walk(parser_.get(), trie_.get());
  StateMask mask = walk.Run(state);
  steps_ += walk.steps();
  const size_t bytes = BytesOf(mask);
  if (bytes_ + bytes > bytes_max_) {
    *own = std::move(mask);
    return *own;
  }
  bytes_ += bytes;
  owned_.push_back(std::make_unique<StateMask>(std::move(mask)));
  masks_[state].store(owned_.back().get(), std::memory_order_release);
  return *owned_.back();
}

void TokenMasks::Warm(size_t steps_max) const {
  if (was_warmed_.exchange(true)) return;
  StateMask own;
  for (StateId id = 0; id < grammar_.states.size(); ++id) {
    const GrammarState& state = grammar_.states[id];
    if (state.bytes_begin == state.bytes_end) continue;
    Of(id, &own);
    const absl::MutexLock lock(&computing_);
    if (steps_ >= steps_max) return;
  }
}

}  // namespace tandem
