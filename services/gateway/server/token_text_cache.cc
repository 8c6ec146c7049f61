#include "services/gateway/server/token_text_cache.h"

#include <utility>

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
  for (const int32_t id : ids) {
    if (texts->count(id) > 0) continue;
    request.clear_token_ids();
    request.add_token_ids(id);
    request.add_token_ids(id);
    TANDEM_ASSIGN_OR_RETURN(const v1::DetokenizeResponse response,
                            client_->Detokenize(request, call));
    texts->emplace(id, OneOfTwo(response.text()));
  }
  absl::MutexLock lock(&mutex_);
  if (size_ >= kTokenTextsMax) {
    known_.clear();
    size_ = 0;
  }
  TokenTexts& known = known_[started.fingerprint()];
  for (const int32_t id : ids) {
    if (known.emplace(id, texts->at(id)).second) ++size_;
  }
  return absl::OkStatus();
}

}  // namespace tandem::gateway
