// A turn as the body of a stream: asks the service for the next event when the
// socket has taken the last one. Owned by the connection that sends it, and by
// the callback of an event that is under way.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_TURN_SOURCE_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_TURN_SOURCE_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "services/client/client.h"
#include "services/gateway/http/http_exchange.h"
#include "services/gateway/openai/stream_writer.h"
#include "services/gateway/server/gateway_metrics.h"
#include "services/gateway/server/stream_store.h"
#include "services/gateway/server/token_text_cache.h"

namespace tandem::gateway {

class TurnSource final : public EventSource,
                         public std::enable_shared_from_this<TurnSource> {
 public:
  struct Parts {
    std::shared_ptr<client::TurnStream> turn;
    std::unique_ptr<StreamWriter> writer;
    client::CallOptions call;
    // They outlive the source.
    StreamStore* store = nullptr;
    TokenTextCache* texts = nullptr;
    GatewayMetrics* metrics = nullptr;
  };

  // `started` is the turn's first event, which was read already.
  TurnSource(Parts parts, v1::TurnStarted started);
  // From here on the stream can be resumed for a while, if it may be.
  ~TurnSource() override;

  void Next(Done done) override;
  void Leave() override;
  std::string StopText() const override;

 private:
  void OnEvent(client::NextEvent event, const Done& done);
  void OnPrompt(const v1::PromptScored& more, const Done& done);
  void OnTokens(const v1::TokensGenerated& tokens, const Done& done);

  const Parts parts_;
  const v1::TurnStarted started_;
  v1::PromptScored prompt_;  // what has come of it
  bool has_begun_ = false;
  bool is_over_ = false;
  std::atomic<bool> has_ended_ = false;  // with the turn's last event
  int64_t number_ = 0;                   // of StreamStore::Put; 0: none
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_TURN_SOURCE_H_
