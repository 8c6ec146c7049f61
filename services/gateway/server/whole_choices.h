// Reads the turns of a request with several choices to their ends and answers
// with one reply. Lives as long as it has something to do.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_WHOLE_CHOICES_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_WHOLE_CHOICES_H_

#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/client/client.h"
#include "services/gateway/http/http_message.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/whole_reply.h"
#include "services/gateway/server/choice_turns.h"
#include "services/gateway/server/token_text_cache.h"

namespace tandem::gateway {

class WholeChoices : public std::enable_shared_from_this<WholeChoices> {
 public:
  // `texts` outlives this; `answer` runs once, on any thread.
  WholeChoices(std::shared_ptr<ChoiceTurns> turns, ReplyFormat format,
               client::CallOptions call, TokenTextCache* texts,
               std::function<void(HttpResponse)> answer);

  // Takes choice 0's first event and asks for the rest.
  void Begin(const v1::ConverseResponse& started);

 private:
  void Ask(int choice);
  void OnEvent(int choice, const client::NextEvent& event);
  void OnAllEnded();
  void Fail(const absl::Status& status);

  const std::shared_ptr<ChoiceTurns> turns_;
  const ReplyFormat format_;
  const client::CallOptions call_;
  TokenTextCache* const texts_;
  const std::function<void(HttpResponse)> answer_;
  // Each belongs to the callback of its choice's event.
  std::vector<GatheredTurn> gathered_;
  absl::Mutex mutex_;
  int open_ ABSL_GUARDED_BY(mutex_);
  bool has_failed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_WHOLE_CHOICES_H_
