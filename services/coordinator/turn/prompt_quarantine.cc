#include "services/coordinator/turn/prompt_quarantine.h"

// As in store/row_codec.cc: no program needs the library.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/base/status.h"

namespace tandem {

PromptHash HashPrompt(absl::string_view fingerprint,
                      absl::Span<const TokenId> prompt) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(
      prompt.data(), prompt.size() * sizeof(TokenId),
      XXH3_64bits(fingerprint.data(), fingerprint.size()));
  return {hash.high64, hash.low64};
}

PromptQuarantine::Stay::Stay(PromptQuarantine* quarantine,
                             const PromptHash& prompt, std::string worker)
    : quarantine_(quarantine),
      prompt_(prompt),
      worker_(std::move(worker)),
      began_(quarantine->loop_->Now()) {
  if (quarantine_->Find(prompt_) != nullptr) {
    quarantine_->trials_.push_back(this);
  }
}

PromptQuarantine::Stay::~Stay() { std::erase(quarantine_->trials_, this); }

void PromptQuarantine::Stay::OnAnswer() {
  std::erase(quarantine_->trials_, this);
  const Suspect* const suspect = quarantine_->Find(prompt_);
  if (suspect != nullptr && !suspect->is_convicted) {
    quarantine_->suspects_.erase(prompt_);
  }
}

void PromptQuarantine::Stay::OnDeath() { quarantine_->OnDeath(*this); }

PromptQuarantine::Leave PromptQuarantine::Ask(const PromptHash& prompt) {
  Suspect* const suspect = Find(prompt);
  if (suspect == nullptr) return Leave::kGo;
  const MonotonicTime now = loop_->Now();
  if (suspect->is_convicted) {
    if (now - suspect->last.at < kProofTime) return Leave::kWait;
    if (!std::exchange(suspect->is_refused, true)) on_convicted_();
    return Leave::kNever;
  }
  const bool is_taken = std::any_of(
      trials_.begin(), trials_.end(),
      [now](const Stay* stay) { return now - stay->began_ < kTrialMax; });
  return is_taken ? Leave::kWait : Leave::kGo;
}

void PromptQuarantine::OnAlive(const std::string& worker) {
  for (auto it = suspects_.begin(); it != suspects_.end();) {
    Suspect& suspect = it->second;
    bool is_cleared = false;
    if (!suspect.is_refused && suspect.last.worker == worker) {
      suspect.is_convicted = false;
      suspect.last.worker.clear();
      is_cleared = --suspect.deaths == 0;
    }
    it = is_cleared ? suspects_.erase(it) : std::next(it);
  }
}

absl::Status PromptQuarantine::Refusal() {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.reason = kReasonPromptQuarantined},
                   "workers have ended while they computed this prompt: it is "
                   "not tried for some minutes; send another one");
}

PromptQuarantine::Suspect* PromptQuarantine::Find(const PromptHash& prompt) {
  const auto found = suspects_.find(prompt);
  if (found == suspects_.end()) return nullptr;
  if (loop_->Now() - found->second.last.at < kQuarantineTime) {
    return &found->second;
  }
  suspects_.erase(found);
  return nullptr;
}

PromptQuarantine::Suspect* PromptQuarantine::Add(const PromptHash& prompt) {
  const MonotonicTime now = loop_->Now();
  std::erase_if(suspects_, [now](const auto& entry) {
    return now - entry.second.last.at >= kQuarantineTime;
  });
  if (suspects_.size() >= kSuspectsMax) {
    suspects_.erase(std::min_element(suspects_.begin(), suspects_.end(),
                                     [](const auto& one, const auto& other) {
                                       return one.second.last.at <
                                              other.second.last.at;
                                     }));
  }
  return &suspects_[prompt];
}

void PromptQuarantine::OnDeath(const Stay& stay) {
  const bool is_alone = IsAlone(stay);
  std::erase(trials_, &stay);
  if (explained_.has_value() && IsDeathOf(*explained_, stay)) return;
  Suspect* suspect = Find(stay.prompt_);
  if (suspect == nullptr) suspect = Add(stay.prompt_);
  // Another turn with the prompt was there too.
  if (suspect->deaths > 0 && IsDeathOf(suspect->last, stay)) return;
  ++suspect->deaths;
  suspect->last = {.worker = stay.worker_, .at = loop_->Now()};
  if (suspect->deaths >= kDeathsMax || (suspect->deaths == 2 && is_alone)) {
    Convict(stay, suspect);
  }
}

// Of others who were suspect before, whether they are heard of earlier or
// later.
bool PromptQuarantine::IsAlone(const Stay& stay) const {
  const bool is_beside_trial =
      std::any_of(trials_.begin(), trials_.end(), [&stay](const Stay* trial) {
        return trial->worker_ == stay.worker_ && trial->prompt_ != stay.prompt_;
      });
  return !is_beside_trial && std::none_of(suspects_.begin(), suspects_.end(),
                                          [&stay](const auto& entry) {
                                            const auto& [prompt, other] = entry;
                                            return prompt != stay.prompt_ &&
                                                   other.deaths > 1 &&
                                                   IsDeathOf(other.last, stay);
                                          });
}

void PromptQuarantine::Convict(const Stay& stay, Suspect* suspect) {
  suspect->is_convicted = true;
  explained_ = suspect->last;
  for (auto it = suspects_.begin(); it != suspects_.end();) {
    Suspect& other = it->second;
    const bool is_cleared = !other.is_convicted &&
                            IsDeathOf(other.last, stay) && --other.deaths == 0;
    it = is_cleared ? suspects_.erase(it) : std::next(it);
  }
}

}  // namespace tandem
