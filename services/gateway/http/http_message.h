// Requests and answers of HTTP/1.1 (RFC 9110, RFC 9112) as values, and how an
// answer is written. Pure functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_HTTP_HTTP_MESSAGE_H_
#define TANDEM_SERVICES_GATEWAY_HTTP_HTTP_MESSAGE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tandem::gateway {

struct HttpHeader {
  std::string name;
  std::string value;
};

struct HttpRequest {
  std::string method;
  std::string path;  // without the query; percent-encoded as it came
  std::vector<HttpHeader> headers = {};
  std::string body = {};
  // The client takes another answer on this connection, and chunks.
  bool keep_alive = true;
  bool takes_chunks = true;

  // The value of the header `name`, in whatever case; nothing where there is
  // none or more than one.
  std::optional<absl::string_view> Header(absl::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  // Without those that WriteHead adds.
  std::vector<HttpHeader> headers = {};
  std::string body = {};
};

// How the end of a body is found.
enum class BodyEnd {
  kLength,      // Content-Length
  kChunked,     // Transfer-Encoding: chunked
  kConnection,  // the connection's end
};

struct HeadOptions {
  BodyEnd body_end = BodyEnd::kLength;
  bool keep_alive = true;
};

// Status line and headers, with the empty line.
std::string WriteHead(const HttpResponse& response, const HeadOptions& options);

// One chunk of a chunked body; `data` is not empty.
std::string WriteChunk(absl::string_view data);
inline constexpr char kLastChunk[] = "0\r\n\r\n";

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_HTTP_HTTP_MESSAGE_H_
