#include "services/gateway/http/origin_rules.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/access/key_transport.h"
#include "services/common/flag_values.h"

namespace tandem::gateway {
namespace {

bool Has(const std::vector<std::string>& names, absl::string_view name) {
  return std::any_of(names.begin(), names.end(), [name](const auto& known) {
    return absl::EqualsIgnoreCase(known, name);
  });
}

// `host` of a header without its port; IPv6 keeps its brackets.
absl::string_view WithoutPort(absl::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == absl::string_view::npos || absl::EndsWith(host, "]")) {
    return host;
  }
  return host.substr(0, colon);
}

bool IsLoopbackName(absl::string_view host) {
  return absl::EqualsIgnoreCase(host, "localhost") ||
         IsLocalAddress(absl::StrCat(host, ":1"));
}

}  // namespace

absl::Status CheckCorsOrigin(absl::string_view origin) {
  absl::string_view rest = origin;
  const bool has_scheme = absl::ConsumePrefix(&rest, "http://") ||
                          absl::ConsumePrefix(&rest, "https://");
  if (has_scheme && !rest.empty() &&
      rest.find_first_of("/?#@* ") == absl::string_view::npos) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--cors-origin ", QuotedValue(origin),
                   ": is not http://HOST[:PORT] or https://HOST[:PORT]"));
}

absl::Status CheckOrigin(const HttpRequest& request, const OriginRules& rules) {
  const std::optional<absl::string_view> host = request.Header("host");
  if (!host.has_value()) {
    return absl::InvalidArgumentError("the request must have one Host header");
  }
  const absl::string_view name = WithoutPort(*host);
  if (!IsLoopbackName(name) && !Has(rules.hosts, name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "this gateway is not known as ", QuotedValue(name),
        "; ask it as localhost, or start it with --allow-host NAME"));
  }
  const std::optional<absl::string_view> origin = request.Header("origin");
  // A browser sends it with whatever changes something; other clients do not.
  if (!origin.has_value() || Has(rules.cors_origins, *origin)) {
    return absl::OkStatus();
  }
  absl::string_view own = *origin;
  if ((absl::ConsumePrefix(&own, "http://") ||
       absl::ConsumePrefix(&own, "https://")) &&
      absl::EqualsIgnoreCase(own, *host)) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("pages of ", QuotedValue(*origin),
                   " may not ask this gateway; start it with --cors-origin "
                   "to let them"));
}

std::vector<HttpHeader> CorsHeaders(const HttpRequest& request,
                                    const OriginRules& rules) {
  const std::optional<absl::string_view> origin = request.Header("origin");
  if (!origin.has_value() || !Has(rules.cors_origins, *origin)) return {};
  return {{"Access-Control-Allow-Origin", std::string(*origin)},
          {"Access-Control-Expose-Headers", "X-Tandem-Stream, Retry-After"},
          {"Vary", "Origin"}};
}

bool IsPreflight(const HttpRequest& request) {
  return request.method == "OPTIONS" &&
         request.Header("access-control-request-method").has_value();
}

HttpResponse AnswerPreflight() {
  return {.status = 204,
          .headers = {{"Access-Control-Allow-Methods", "GET, POST"},
                      {"Access-Control-Allow-Headers",
                       "Authorization, Content-Type, Last-Event-ID"},
                      {"Access-Control-Max-Age", "600"}}};
}

}  // namespace tandem::gateway
