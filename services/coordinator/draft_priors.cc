#include "services/coordinator/draft_priors.h"

namespace tandem {

DraftController DraftPriors::Get(const std::string& fingerprint) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = priors_.find(fingerprint);
  return found == priors_.end() ? DraftController() : found->second;
}

void DraftPriors::Put(const std::string& fingerprint,
                      const DraftController& controller) {
  const DraftController softened = controller.Softened();
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = priors_.find(fingerprint);
  if (found != priors_.end()) {
    found->second = softened;
  } else if (priors_.size() < kFingerprintsMax) {
    priors_.emplace(fingerprint, softened);
  }
}

}  // namespace tandem
