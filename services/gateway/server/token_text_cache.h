// The texts of single tokens, which the API's log-probabilities name and the
// service's do not: asked for by Detokenize, and kept. Owned by the
// GatewayServer; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_TOKEN_TEXT_CACHE_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_TOKEN_TEXT_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "services/client/client.h"
#include "services/gateway/openai/reply_parts.h"
#include "services/gateway/server/call_pool.h"

namespace tandem::gateway {

// Of all models together: 64 MiB at the 130 bytes that one takes. Where it is
// reached all are forgotten, and asked for again.
inline constexpr size_t kTokenTextsMax = 500000;

// Of the pool that it uses.
inline constexpr int kTextsThreads = 2;
// The calls for the unknown ones of a reply end after this: 20,000 to 100,000
// of them, at 0.2 to 1 ms each.
inline constexpr absl::Duration kTextsTimeout = absl::Seconds(20);

// `twice`: a text that a token gives twice over, where the first may have lost
// its leading space (SentencePiece). The text of one.
std::string OneOfTwo(absl::string_view twice);

class TokenTextCache {
 public:
  using Done = std::function<void(absl::StatusOr<TokenTexts>)>;

  // Both outlive this.
  TokenTextCache(client::Client* client, CallPool* pool)
      : client_(client), pool_(pool) {}

  TokenTextCache(const TokenTextCache&) = delete;
  TokenTextCache& operator=(const TokenTextCache&) = delete;

  // The texts of `ids` of the model of `started`; `done` runs once, at once
  // where all are known, else on a thread of the pool. Errors: of Detokenize;
  // RESOURCE_EXHAUSTED where too many calls wait, or where kTextsTimeout is
  // over. What was found until then is known the next time.
  void Get(const v1::TurnStarted& started, const client::CallOptions& call,
           std::vector<int32_t> ids, Done done);

 private:
  // The known ones among `ids`, and in `*unknown` the others.
  TokenTexts Find(const std::string& fingerprint,
                  const std::vector<int32_t>& ids,
                  std::vector<int32_t>* unknown);
  absl::Status Ask(const v1::TurnStarted& started,
                   const client::CallOptions& call,
                   const std::vector<int32_t>& ids, TokenTexts* texts);
  void Keep(const std::string& fingerprint, int32_t id,
            const std::string& text);

  client::Client* const client_;
  CallPool* const pool_;
  absl::Mutex mutex_;
  // By fingerprint.
  std::map<std::string, TokenTexts> known_ ABSL_GUARDED_BY(mutex_);
  size_t size_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_TOKEN_TEXT_CACHE_H_
