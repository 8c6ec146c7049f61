#include "services/gateway/http/http_message.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tandem::gateway {
namespace {

absl::string_view ReasonPhrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 421:
      return "Misdirected Request";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Status";
  }
}

// RFC 9110, 6.4.1: such answers have no body and no length.
bool HasNoBody(int status) { return status == 204 || status == 304; }

}  // namespace

std::optional<absl::string_view> HttpRequest::Header(
    absl::string_view name) const {
  std::optional<absl::string_view> found;
  for (const HttpHeader& header : headers) {
    if (!absl::EqualsIgnoreCase(header.name, name)) continue;
    if (found.has_value()) return std::nullopt;
    found = header.value;
  }
  return found;
}

std::string WriteHead(const HttpResponse& response,
                      const HeadOptions& options) {
  std::string head = absl::StrCat("HTTP/1.1 ", response.status, " ",
                                  ReasonPhrase(response.status), "\r\n");
  for (const HttpHeader& header : response.headers) {
    absl::StrAppend(&head, header.name, ": ", header.value, "\r\n");
  }
  if (!HasNoBody(response.status)) {
    absl::StrAppend(&head, "Content-Type: ", response.content_type, "\r\n");
    switch (options.body_end) {
      case BodyEnd::kLength:
        absl::StrAppend(&head, "Content-Length: ", response.body.size(),
                        "\r\n");
        break;
      case BodyEnd::kChunked:
        absl::StrAppend(&head, "Transfer-Encoding: chunked\r\n");
        break;
      case BodyEnd::kConnection:
        break;
    }
  }
  absl::StrAppend(&head, "X-Content-Type-Options: nosniff\r\nConnection: ",
                  options.keep_alive ? "keep-alive" : "close", "\r\n\r\n");
  return head;
}

std::string WriteChunk(absl::string_view data) {
  return absl::StrCat(absl::Hex(data.size()), "\r\n", data, "\r\n");
}

}  // namespace tandem::gateway
