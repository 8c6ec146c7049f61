// Who may ask: which host a request names, and which site's page sent it. Pure
// functions; any thread.
//
// A page of another site that a browser shows can send requests here: by its
// own origin (Cross-Origin Resource Sharing, the Fetch standard), or by a name
// of its own that it lets point to 127.0.0.1 (DNS rebinding). The first is
// refused unless the origin is named, the second unless the host is.

#ifndef TANDEM_SERVICES_GATEWAY_HTTP_ORIGIN_RULES_H_
#define TANDEM_SERVICES_GATEWAY_HTTP_ORIGIN_RULES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/gateway/http/http_message.h"

namespace tandem::gateway {

struct OriginRules {
  // Of other sites whose pages may ask, "https://chat.example.org".
  std::vector<std::string> cors_origins = {};
  // Names beside loopback ones that a request may have as its host, without
  // port: those under which a proxy is reached.
  std::vector<std::string> hosts = {};
};

// OK where `origin` is SCHEME://HOST[:PORT], as browsers send it. Errors:
// INVALID_ARGUMENT that names --cors-origin.
absl::Status CheckCorsOrigin(absl::string_view origin);

// Whether `request` may be answered; else what to say: INVALID_ARGUMENT where
// it names no host or another's, PERMISSION_DENIED for a page of another site.
absl::Status CheckOrigin(const HttpRequest& request, const OriginRules& rules);

// The headers that let a page of the request's origin read the answer; none
// where that origin is not among the rules'.
std::vector<HttpHeader> CorsHeaders(const HttpRequest& request,
                                    const OriginRules& rules);

// Whether `request` is a browser's question what a page may send.
bool IsPreflight(const HttpRequest& request);
// Its answer, without CorsHeaders.
HttpResponse AnswerPreflight();

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_HTTP_ORIGIN_RULES_H_
