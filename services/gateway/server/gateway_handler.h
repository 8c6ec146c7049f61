// Answers the requests of a gateway: finds what a path stands for, turns
// requests into turns and calls of the coordinator, and their answers into
// those of HTTP. Owned by the GatewayServer; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_GATEWAY_HANDLER_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_GATEWAY_HANDLER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/client/client.h"
#include "services/gateway/http/http_exchange.h"
#include "services/gateway/http/origin_rules.h"
#include "services/gateway/openai/api_request.h"
#include "services/gateway/openai/stream_writer.h"
#include "services/gateway/server/asset.h"
#include "services/gateway/server/call_pool.h"
#include "services/gateway/server/choice_turns.h"
#include "services/gateway/server/gateway_metrics.h"
#include "services/gateway/server/stream_store.h"
#include "services/gateway/server/token_text_cache.h"

namespace tandem::gateway {

// The key that a client of HTTP has shown as "Authorization: Bearer KEY"; ""
// where there is none.
std::string KeyOf(const HttpRequest& request);

class GatewayHandler final : public HttpHandler {
 public:
  // What the handler works with; all of it outlives the handler.
  struct Parts {
    client::Client* client = nullptr;
    CallPool* pool = nullptr;
    StreamStore* store = nullptr;
    TokenTextCache* texts = nullptr;
    GatewayMetrics* metrics = nullptr;
    absl::Span<const Asset> assets = {};
    OriginRules origins = {};
  };

  explicit GatewayHandler(Parts parts) : parts_(std::move(parts)) {}

  void Handle(HttpRequest request, std::shared_ptr<Exchange> exchange) override;
  HttpResponse Refuse(int status, const std::string& message) override;

 private:
  // A request on its way to its answer.
  struct Asked {
    HttpRequest request;
    std::shared_ptr<Exchange> exchange;
    std::string route;  // of the metrics
    client::CallOptions call;
    std::vector<HttpHeader> cors;
  };
  using AskedPtr = std::shared_ptr<Asked>;
  using Parse = absl::StatusOr<ApiRequest> (*)(const Json&, absl::string_view);
  struct Route;

  static absl::Span<const Route> Routes();
  void HandleRoute(const AskedPtr& asked);
  void HandlePage(const AskedPtr& asked);

  // The turns of an endpoint.
  template <Parse parse>
  void HandleTurn(const AskedPtr& asked, absl::string_view rest);
  // Asks for the text of the prompt's tokens, which the reply repeats.
  void EchoTokens(const AskedPtr& asked, ApiRequest request);
  void BeginTurn(const AskedPtr& asked, ApiRequest request);
  void HandleResume(const AskedPtr& asked, absl::string_view rest);
  void HandleCancel(const AskedPtr& asked, absl::string_view rest);
  // Answers by the turn's first event.
  void AnswerTurn(const AskedPtr& asked, const ReplyFormat& format,
                  std::shared_ptr<client::TurnStream> turn,
                  std::unique_ptr<StreamWriter> writer);
  void OnFirstEvent(const AskedPtr& asked, const ReplyFormat& format,
                    const std::shared_ptr<client::TurnStream>& turn,
                    std::unique_ptr<StreamWriter> writer,
                    const client::NextEvent& event);
  // The same of several choices.
  void AnswerChoices(const AskedPtr& asked, ApiRequest request);
  void OnFirstChoice(const AskedPtr& asked, const ReplyFormat& format,
                     const std::shared_ptr<ChoiceTurns>& turns,
                     const client::NextEvent& event);
  void BeginStream(const AskedPtr& asked,
                   std::shared_ptr<client::TurnStream> turn,
                   std::unique_ptr<StreamWriter> writer,
                   const v1::TurnStarted& started);
  // Answers with a head of status 200 and the events behind it.
  void Stream(const AskedPtr& asked, HttpResponse head,
              std::shared_ptr<EventSource> source);

  // Calls that are answered at once; `rest` is what follows in the path.
  void HandleModels(const AskedPtr& asked, absl::string_view rest);
  void HandleModel(const AskedPtr& asked, absl::string_view rest);
  void HandleStatus(const AskedPtr& asked, absl::string_view rest);
  void HandleInfo(const AskedPtr& asked, absl::string_view rest);
  void HandleTokenize(const AskedPtr& asked, absl::string_view rest);
  void HandleDetokenize(const AskedPtr& asked, absl::string_view rest);
  void HandleHealth(const AskedPtr& asked, absl::string_view rest);
  // Answers by `call`, on a thread of the pool.
  void AnswerByCall(const AskedPtr& asked, std::function<HttpResponse()> call);

  void Answer(const AskedPtr& asked, HttpResponse response);

  const Parts parts_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_GATEWAY_HANDLER_H_
