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
  // Behind a complete text there is no token to choose.
  done_ =
      row == draft_.size() || token.id != draft_[row] || processor_->is_over();
  tokens_.push_back(std::move(token));
  return absl::OkStatus();
}

}  // namespace tandem
