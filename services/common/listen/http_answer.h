// One HTTP request of a scraper, and what it is answered: GET and HEAD of
// /metrics, by HTTP/1.1 and 1.0 (RFC 9110, RFC 9112). The connection is closed
// after the answer. Pure functions; any thread.

#ifndef TANDEM_SERVICES_COMMON_LISTEN_HTTP_ANSWER_H_
#define TANDEM_SERVICES_COMMON_LISTEN_HTTP_ANSWER_H_

#include <cstddef>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace tandem {

// A request line and its headers; Prometheus sends some 300 bytes.
inline constexpr size_t kHttpRequestBytesMax = 8 << 10;

// Whether `received` holds the whole head of a request, or more than one may
// have: time to answer.
bool IsHttpRequestComplete(absl::string_view received);

// What is served.
struct HttpContent {
  // Whether a request with this authorization header may have the metrics.
  // `authorization` is empty where there is none, or where there are several.
  absl::FunctionRef<bool(absl::string_view authorization)> may_read;
  // Called for GET and HEAD of /metrics by those who may.
  absl::FunctionRef<std::string()> metrics;
};

// The answer to `request`, for which IsHttpRequestComplete is true: metrics, or
// an error.
std::string AnswerHttpRequest(absl::string_view request, absl::Time now,
                              const HttpContent& content);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LISTEN_HTTP_ANSWER_H_
