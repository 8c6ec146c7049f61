#include "engine/speculation/verify.h"

namespace tandem {

Verification::Verification(LogitsProcessor* processor,
                           absl::Span<const TokenId> draft)
    : processor_(processor), draft_(draft) {}

absl::Status Verification::OnRow(absl::Span<float> logits) {
  if (done_) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(SampledToken token, processor_->Sample(logits));
  const size_t row = tokens_.size();
  processor_->Append(token.id);
  done_ = row == draft_.size() || token.id != draft_[row];
  tokens_.push_back(std::move(token));
  return absl::OkStatus();
}

}  // namespace tandem
