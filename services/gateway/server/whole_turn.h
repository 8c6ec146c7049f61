// Reads a turn to its end and answers with one reply. Lives as long as it has
// something to do.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_WHOLE_TURN_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_WHOLE_TURN_H_

#include <functional>
#include <memory>

#include "services/client/client.h"
#include "services/gateway/http/http_message.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/whole_reply.h"
#include "services/gateway/server/token_text_cache.h"

namespace tandem::gateway {

class WholeTurn : public std::enable_shared_from_this<WholeTurn> {
 public:
  // `started` is the turn's first event. `texts` outlives this; `answer` runs
  // once, on any thread.
  WholeTurn(std::shared_ptr<client::TurnStream> turn, ReplyFormat format,
            client::CallOptions call, TokenTextCache* texts,
            std::function<void(HttpResponse)> answer);

  // Takes the turn's first event and asks for the rest.
  void Begin(const v1::ConverseResponse& started);

 private:
  void Next();
  void OnEvent(const client::NextEvent& event);
  void OnEnded();

  const std::shared_ptr<client::TurnStream> turn_;
  const ReplyFormat format_;
  const client::CallOptions call_;
  TokenTextCache* const texts_;
  const std::function<void(HttpResponse)> answer_;
  GatheredTurn gathered_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_WHOLE_TURN_H_
