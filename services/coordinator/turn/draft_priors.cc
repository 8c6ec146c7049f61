#include "services/coordinator/turn/draft_priors.h"

namespace tandem {

DraftController DraftPriors::Get(const std::string& fingerprint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = priors_.find(fingerprint);
  if (found == priors_.end()) return DraftController();
  DraftController& prior = found->second;
  const DraftController given = prior;
  prior.AddOpeningCredit(-prior.opening_credit_us());
  return given;
}

void DraftPriors::Put(const std::string& fingerprint,
                      const DraftController& controller) {
  DraftController softened = controller.Softened();
  softened.AddOpeningCredit(controller.opening_credit_us());
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = priors_.find(fingerprint);
  if (found != priors_.end()) {
    softened.AddOpeningCredit(found->second.opening_credit_us());
    found->second = softened;
  } else if (priors_.size() < kFingerprintsMax) {
    priors_.emplace(fingerprint, softened);
  }
}

std::shared_ptr<DraftAccord> DraftPriors::AccordOf(const std::string& target) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!accords_.contains(target) && accords_.size() >= kAccordsMax) {
    std::erase_if(accords_, [](const auto& entry) {
      return entry.second.use_count() == 1;
    });
  }
  std::shared_ptr<DraftAccord>& accord = accords_[target];
  if (accord == nullptr) {
    accord = std::make_shared<DraftAccord>(DraftController::kModelPrior);
  }
  return accord;
}

}  // namespace tandem
