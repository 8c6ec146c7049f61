#include "services/gateway/server/token_text_cache.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/monotonic_clock.h"

namespace tandem::gateway {

std::string OneOfTwo(absl::string_view twice) {
  // One that lost a space is a byte shorter than the other.
  return std::string(twice.substr(twice.size() / 2));
}

void TokenTextCache::Get(const v1::TurnStarted& started,
                         const client::CallOptions& call,
                         std::vector<int32_t> ids, Done done) {
  std::vector<int32_t> unknown;
  TokenTexts texts = Find(started.fingerprint(), ids, &unknown);
  if (unknown.empty()) return done(std::move(texts));
  const bool runs =
      pool_->Run([this, started, call, texts, unknown, done]() mutable {
        const absl::Status status = Ask(started, call, unknown, &texts);
        if (!status.ok()) return done(status);
        done(std::move(texts));
      });
  if (!runs) done(Exhausted("too many requests wait at the gateway"));
}

TokenTexts TokenTextCache::Find(const std::string& fingerprint,
                                const std::vector<int32_t>& ids,
                                std::vector<int32_t>* unknown) {
  TokenTexts texts;
  absl::MutexLock lock(&mutex_);
  const TokenTexts& known = known_[fingerprint];
  for (const int32_t id : ids) {
    const auto found = known.find(id);
    if (found != known.end()) {
      texts.insert(*found);
    } else {
      unknown->push_back(id);
    }
  }
  return texts;
}

absl::Status TokenTextCache::Ask(const v1::TurnStarted& started,
                                 const client::CallOptions& call,
                                 const std::vector<int32_t>& ids,
                                 TokenTexts* texts) {
  v1::DetokenizeRequest request;
  request.set_model_id(started.model_id());
  request.set_skip_special(false);
  const absl::Time end = MonotonicNow() + kTextsTimeout;
  for (const int32_t id : ids) {
    // Another request may have asked meanwhile.
    std::vector<int32_t> unknown;
    if (texts->count(id) == 0) {
      texts->merge(Find(started.fingerprint(), {id}, &unknown));
    }
    if (unknown.empty()) continue;
    if (MonotonicNow() > end) {
      return Exhausted(absl::StrCat(
          "the texts of the tokens that log-probabilities name did not come "
          "within ",
          absl::FormatDuration(kTextsTimeout), "; those that came are kept"));
    }
    request.clear_token_ids();
    request.add_token_ids(id);
    request.add_token_ids(id);
    TANDEM_ASSIGN_OR_RETURN(const v1::DetokenizeResponse response,
                            client_->Detokenize(request, call));
    const std::string text = OneOfTwo(response.text());
    texts->emplace(id, text);
    Keep(started.fingerprint(), id, text);
  }
  return absl::OkStatus();
}

void TokenTextCache::Keep(const std::string& fingerprint, int32_t id,
                          const std::string& text) {
  absl::MutexLock lock(&mutex_);
  if (size_ >= kTokenTextsMax) {
    known_.clear();
    size_ = 0;
  }
  if (known_[fingerprint].emplace(id, text).second) ++size_;
}

}  // namespace tandem::gateway
