// The answers to requests that are one call of the coordinator. Each function
// blocks for that call, at most call.timeout; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_UNARY_REPLIES_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_UNARY_REPLIES_H_

#include <string>

#include "engine/base/status.h"
#include "services/client/client.h"
#include "services/gateway/http/http_message.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

HttpResponse ReplyModels(client::Client* client,
                         const client::CallOptions& call);
// The model called `id`.
HttpResponse ReplyModel(client::Client* client, const client::CallOptions& call,
                        const std::string& id);
// What the coordinator does now, and its workers.
HttpResponse ReplyStatus(client::Client* client,
                         const client::CallOptions& call);
// Version, limits and defaults, and whether keys are wanted; to all.
HttpResponse ReplyInfo(client::Client* client, const client::CallOptions& call);
// `body`: {"model", "text" or "tokens", ...}.
HttpResponse ReplyTokenize(client::Client* client,
                           const client::CallOptions& call,
                           const std::string& body);
HttpResponse ReplyDetokenize(client::Client* client,
                             const client::CallOptions& call,
                             const std::string& body);
// The text of `turn`'s prompt, which is of tokens.
absl::StatusOr<std::string> TextOfPrompt(client::Client* client,
                                         client::CallOptions call,
                                         const v1::TurnRequest& turn);
// 200 where turns can be started, else 503.
HttpResponse ReplyHealth(client::Client* client);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_UNARY_REPLIES_H_
