#include "engine/grammar/automaton/grammar_matcher.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

constexpr SetId kDropped = UINT32_MAX;
// More than a draft may have, so that taking one back needs no reading.
constexpr size_t kTokensKept = 64;
// What a parser may hold before old sets are dropped. A long JSON text takes
// under 1 MiB.
constexpr size_t kParserBytesMax = 8 << 20;
// Bytes that ForcedTokens looks ahead for each token.
constexpr size_t kForcedBytesPerToken = 16;

void SetBits(absl::Span<const TokenId> tokens, absl::Span<uint64_t> mask) {
  for (const TokenId id : tokens) mask[id / 64] |= uint64_t{1} << id % 64;
}

absl::Status TooComplex() {
  return Exhausted(
      "the grammar is too ambiguous, or the text nests too deep; simplify the "
      "grammar");
}

}  // namespace

GrammarMatcher::GrammarMatcher(std::shared_ptr<const TokenMasks> masks)
    : masks_(std::move(masks)),
      parser_(std::make_shared<GrammarParser>(&masks_->grammar())),
      sets_{parser_->Start()} {}

SetId GrammarMatcher::Read(SetId set, TokenId token) const {
  const absl::string_view text = masks_->trie().text(token);
  if (text.empty()) return kNoSet;
  for (const char byte : text) {
    set = parser_->Step(set, static_cast<uint8_t>(byte));
  }
  return set;
}

absl::Status GrammarMatcher::Accept(TokenId token) {
  TANDEM_CHECK(token >= 0 && token < masks_->trie().vocab_size());
  const SetId next = Read(sets_.back(), token);
  if (next == kNoSet) {
    return InvalidArgument(
        kReasonInvalidToken,
        absl::StrCat("token ", token, " is not what the grammar allows after ",
                     length(), " tokens"));
  }
  if (parser_->set(next).over_limit) return TooComplex();
  tokens_.push_back(token);
  sets_.push_back(next);
  if (parser_->bytes() > kParserBytesMax) DropOldSets();
  return absl::OkStatus();
}

void GrammarMatcher::DropOldSets() {
  auto parser = std::make_shared<GrammarParser>(&masks_->grammar());
  for (size_t i = 0; i < sets_.size(); ++i) {
    const bool is_kept = i + kTokensKept >= sets_.size();
    sets_[i] = is_kept && sets_[i] != kDropped
                   ? parser->CopySet(*parser_, sets_[i])
                   : kDropped;
  }
  parser_ = std::move(parser);
}

void GrammarMatcher::Truncate(size_t length) {
  TANDEM_CHECK(length <= tokens_.size());
  tokens_.resize(length);
  sets_.resize(length + 1);
  if (sets_.back() != kDropped) return;
  GrammarMatcher again(masks_);
  for (const TokenId token : tokens_) {
    TANDEM_CHECK(again.Accept(token).ok());
  }
  *this = std::move(again);
}

bool GrammarMatcher::IsAllowed(TokenId token) const {
  const SetId next = Read(sets_.back(), token);
  return next != kNoSet && !parser_->set(next).over_limit;
}

absl::Status GrammarMatcher::FillMask(absl::Span<uint64_t> mask) const {
  TANDEM_CHECK(mask.size() == masks_->mask_words());
  std::fill(mask.begin(), mask.end(), 0);
  StateMask own;
  for (const ParseItem& item : current().items) {
    const StateMask& state_mask = masks_->Of(item.state, &own);
    if (state_mask.is_too_complex) return TooComplex();
    AddItemTokens(item, state_mask, mask);
  }
  return absl::OkStatus();
}

void GrammarMatcher::AddItemTokens(const ParseItem& item,
                                   const StateMask& state_mask,
                                   absl::Span<uint64_t> mask) const {
  const Grammar& grammar = masks_->grammar();
  const RuleId rule = grammar.states[item.state].rule;
  Bounds bounds = {.least = 0, .most = kUnbounded};
  if (grammar.rules[rule].is_counted)
    bounds = parser_->frame(item.frame).bounds;
  const uint32_t rounds_left =
      bounds.most == kUnbounded ? kUnbounded : bounds.most - item.rounds;
  uint32_t tokens_end = 0;
  for (const MaskLevel& level : state_mask.levels) {
    if (level.rounds <= rounds_left) tokens_end = level.tokens_end;
  }
  const uint32_t all =
      state_mask.levels.empty() ? 0 : state_mask.levels.back().tokens_end;
  if (tokens_end == all && !state_mask.bits.empty()) {
    for (size_t i = 0; i < mask.size(); ++i) mask[i] |= state_mask.bits[i];
  } else if (tokens_end > 0) {
    SetBits(absl::MakeSpan(state_mask.tokens).first(tokens_end), mask);
  }
  if (state_mask.rests.empty()) return;
  const SetId after = parser_->After(item.frame);
  for (const MaskRest& rest : state_mask.rests) {
    if (rest.rounds > rounds_left ||
        uint64_t{item.rounds} + rest.rounds < bounds.least) {
      continue;
    }
    SetId set = after;
    for (const char byte : rest.bytes) {
      set = parser_->Step(set, static_cast<uint8_t>(byte));
      if (set == kNoSet) break;
    }
    if (set != kNoSet && !parser_->set(set).over_limit) {
      SetBits(rest.tokens, mask);
    }
  }
}

std::string GrammarMatcher::ForcedBytes(size_t bytes_max) const {
  const Grammar& grammar = masks_->grammar();
  std::string forced;
  SetId id = sets_.back();
  while (forced.size() < bytes_max) {
    const ParseSet& set = parser_->set(id);
    if (set.may_end || set.over_limit) break;
    const uint8_t byte =
        grammar.BytesOf(grammar.states[set.items[0].state])[0].first;
    bool is_forced = true;
    for (const ParseItem& item : set.items) {
      for (const ByteEdge& edge : grammar.BytesOf(grammar.states[item.state])) {
        is_forced &= edge.first == byte && edge.last == byte;
      }
    }
    if (!is_forced) break;
    forced.push_back(static_cast<char>(byte));
    id = parser_->Step(id, byte);
  }
  return forced;
}

std::vector<TokenId> GrammarMatcher::ForcedTokens(size_t tokens_max) const {
  const std::string forced = ForcedBytes(tokens_max * kForcedBytesPerToken);
  absl::string_view left = forced;
  std::vector<TokenId> tokens;
  while (tokens.size() < tokens_max && !left.empty()) {
    const TokenId token = masks_->trie().LongestIn(left);
    if (token < 0) break;
    tokens.push_back(token);
    left.remove_prefix(masks_->trie().text(token).size());
  }
  return tokens;
}

}  // namespace tandem
