#include "engine/sampling/token_constraint.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// What a matcher says of its limits, as an error of the request: no other
// worker could do better.
absl::Status InRequestTerms(const absl::Status& status, int64_t index) {
  if (!absl::IsResourceExhausted(status)) return status;
  return InvalidField("response_format",
                      absl::StrCat("can not be followed after token ", index,
                                   " of the turn: ", status.message()));
}

void SetBit(TokenId id, bool value, std::vector<uint64_t>* mask) {
  const auto word = static_cast<size_t>(id) / 64;
  if (word >= mask->size()) return;
  const uint64_t bit = uint64_t{1} << id % 64;
  (*mask)[word] = value ? (*mask)[word] | bit : (*mask)[word] & ~bit;
}

void BanWhereClear(absl::Span<const uint64_t> mask, absl::Span<float> logits) {
  for (size_t begin = 0; begin < logits.size(); begin += 64) {
    const uint64_t word = begin / 64 < mask.size() ? mask[begin / 64] : 0;
    if (word == ~uint64_t{0}) continue;
    const size_t size = std::min<size_t>(64, logits.size() - begin);
    for (size_t i = 0; i < size; ++i) {
      if ((word >> i & 1) == 0) logits[begin + i] = -kInfinity;
    }
  }
}

}  // namespace

TokenConstraint::TokenConstraint(ConstraintSetup setup)
    : setup_(std::move(setup)) {
  std::sort(setup_.stop_tokens.begin(), setup_.stop_tokens.end());
  if (setup_.masks != nullptr) matcher_.emplace(setup_.masks);
}

bool TokenConstraint::IsStop(TokenId token) const {
  return std::binary_search(setup_.stop_tokens.begin(),
                            setup_.stop_tokens.end(), token);
}

bool TokenConstraint::MayEndBy(TokenId token) const {
  if (matcher_->may_end()) return true;
  const TokenTrie& trie = setup_.masks->trie();
  return token >= 0 && token < trie.vocab_size() && trie.IsControl(token) &&
         matcher_->IsAllowed(token);
}

absl::Status TokenConstraint::Append(TokenId token) {
  const int64_t index = length_++;
  if (!has_grammar()) return absl::OkStatus();
  if (halt_.has_value()) return halt_->why;
  absl::Status status;
  if (!IsStop(token)) {
    status = matcher_->Accept(token);
    if (status.ok()) return status;
    status = InRequestTerms(status, index);
  } else if (!MayEndBy(token)) {
    status = InvalidArgument(
        kReasonInvalidToken,
        absl::StrCat("token ", token, " ends the turn after ", index,
                     " tokens, where the grammar does not let the text end"));
  }
  halt_ = {.at = index, .why = status};
  return status;
}

void TokenConstraint::Truncate(int64_t length) {
  TANDEM_CHECK(length >= 0 && length <= length_);
  length_ = length;
  if (!has_grammar()) return;
  if (halt_.has_value() && length <= halt_->at) halt_.reset();
  if (matcher_->length() > static_cast<size_t>(length)) {
    matcher_->Truncate(static_cast<size_t>(length));
  }
}

bool TokenConstraint::is_over() const {
  if (!has_grammar()) return false;
  return halt_.has_value() ? halt_->why.ok() : matcher_->only_ends();
}

bool TokenConstraint::Allows(TokenId token) const {
  if (!has_grammar()) return true;
  if (halt_.has_value()) return false;
  return IsStop(token) ? MayEndBy(token) : matcher_->IsAllowed(token);
}

absl::Status TokenConstraint::FillMask() {
  mask_.assign(setup_.masks->mask_words(), 0);
  if (halt_.has_value()) return halt_->why;
  const absl::Status status = matcher_->FillMask(absl::MakeSpan(mask_));
  if (!status.ok()) return InRequestTerms(status, length_);
  for (const TokenId id : setup_.stop_tokens) SetBit(id, false, &mask_);
  const bool goes_on = std::any_of(mask_.begin(), mask_.end(),
                                   [](uint64_t word) { return word != 0; });
  // min_tokens yields where there is nothing but the end.
  if (length_ >= setup_.min_tokens || !goes_on) {
    for (const TokenId id : setup_.stop_tokens) {
      if (MayEndBy(id)) SetBit(id, true, &mask_);
    }
  }
  return absl::OkStatus();
}

absl::Status TokenConstraint::Apply(absl::Span<float> logits) {
  if (has_grammar()) {
    TANDEM_RETURN_IF_ERROR(FillMask());
    BanWhereClear(mask_, logits);
  } else if (is_binding()) {
    for (const TokenId id : setup_.stop_tokens) {
      if (static_cast<size_t>(id) < logits.size()) logits[id] = -kInfinity;
    }
  }
  return absl::OkStatus();
}

}  // namespace tandem
