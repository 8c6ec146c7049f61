#include "services/common/listen/http_answer.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tandem {
namespace {

constexpr char kMetricsPath[] = "/metrics";
constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr char kErrorType[] = "text/plain; charset=utf-8";

struct Request {
  std::string method;
  std::string path;  // without its query
  // Empty: none, or several.
  std::string authorization = {};
};

struct Answer {
  absl::string_view status;  // code and reason
  absl::string_view type = kErrorType;
  std::string body = {};
  absl::string_view more_headers = "";
};

// Behind the empty line that ends the head; npos: it has not come. A line ends
// with LF, with or without CR before it (RFC 9112, 2.2).
size_t EndOfHead(absl::string_view received) {
  for (const absl::string_view end : {"\n\r\n", "\n\n"}) {
    const size_t at = received.find(end);
    if (at != absl::string_view::npos) return at + end.size();
  }
  return absl::string_view::npos;
}

// The path of a request target in origin or absolute form.
std::string PathOf(absl::string_view target) {
  const size_t scheme = target.find("://");
  if (!absl::StartsWith(target, "/") && scheme != absl::string_view::npos) {
    target.remove_prefix(scheme + 3);
    target.remove_prefix(std::min(target.find('/'), target.size()));
  }
  return std::string(target.substr(0, target.find('?')));
}

// Takes what counts of the headers. False: they are not well formed, or there
// is not one Host where there must be.
bool ReadHeaders(const std::vector<absl::string_view>& lines, bool needs_host,
                 Request* request) {
  int hosts = 0;
  int authorizations = 0;
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == absl::string_view::npos || colon == 0) return false;
    const absl::string_view name = lines[i].substr(0, colon);
    for (const char c : name) {
      if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) return false;
    }
    if (absl::EqualsIgnoreCase(name, "host")) ++hosts;
    if (!absl::EqualsIgnoreCase(name, "authorization")) continue;
    request->authorization = ++authorizations == 1
                                 ? std::string(absl::StripAsciiWhitespace(
                                       lines[i].substr(colon + 1)))
                                 : "";
  }
  return hosts == 1 || (hosts == 0 && !needs_host);
}

// Nothing where it is malformed.
std::optional<Request> ParseRequest(absl::string_view head) {
  std::vector<absl::string_view> lines = absl::StrSplit(head, '\n');
  while (!lines.empty() && absl::StripSuffix(lines.back(), "\r").empty()) {
    lines.pop_back();
  }
  if (lines.empty()) return std::nullopt;
  for (absl::string_view& line : lines) absl::ConsumeSuffix(&line, "\r");
  const std::vector<absl::string_view> parts = absl::StrSplit(lines[0], ' ');
  if (parts.size() != 3 || parts[0].empty() || parts[1].empty()) {
    return std::nullopt;
  }
  const bool is_new = parts[2] == "HTTP/1.1";
  if (!is_new && parts[2] != "HTTP/1.0") return std::nullopt;
  Request request = {.method = std::string(parts[0]), .path = PathOf(parts[1])};
  if (!ReadHeaders(lines, /*needs_host=*/is_new, &request)) return std::nullopt;
  return request;
}

std::string Serialize(const Answer& answer, absl::Time now, bool has_body) {
  return absl::StrCat(
      "HTTP/1.1 ", answer.status, "\r\nDate: ",
      absl::FormatTime("%a, %d %b %E4Y %H:%M:%S GMT", now, absl::UTCTimeZone()),
      "\r\nContent-Type: ", answer.type,
      "\r\nContent-Length: ", answer.body.size(), "\r\n", answer.more_headers,
      "Connection: close\r\n\r\n", has_body ? answer.body : "");
}

}  // namespace

bool IsHttpRequestComplete(absl::string_view received) {
  return received.size() > kHttpRequestBytesMax ||
         EndOfHead(received) != absl::string_view::npos;
}

std::string AnswerHttpRequest(absl::string_view request, absl::Time now,
                              const HttpContent& content) {
  const size_t end = EndOfHead(request);
  if (end > kHttpRequestBytesMax) {
    return Serialize({.status = "431 Request Header Fields Too Large",
                      .body = absl::StrCat("a request has at most ",
                                           kHttpRequestBytesMax, " bytes\n")},
                     now, /*has_body=*/true);
  }
  const std::optional<Request> parsed = ParseRequest(request.substr(0, end));
  if (!parsed.has_value()) {
    return Serialize({.status = "400 Bad Request",
                      .body = "this is no request of HTTP/1.1\n"},
                     now, /*has_body=*/true);
  }
  const bool has_body = parsed->method != "HEAD";
  if (parsed->path != kMetricsPath) {
    return Serialize(
        {.status = "404 Not Found", .body = "metrics are at /metrics\n"}, now,
        has_body);
  }
  if (parsed->method != "GET" && parsed->method != "HEAD") {
    return Serialize({.status = "405 Method Not Allowed",
                      .body = "metrics are there for GET and HEAD\n",
                      .more_headers = "Allow: GET, HEAD\r\n"},
                     now, has_body);
  }
  if (!content.may_read(parsed->authorization)) {
    return Serialize({.status = "401 Unauthorized",
                      .body = "send an API key with the scope metrics as "
                              "\"Authorization: Bearer KEY\"\n",
                      .more_headers = "WWW-Authenticate: Bearer\r\n"},
                     now, has_body);
  }
  return Serialize(
      {.status = "200 OK", .type = kMetricsType, .body = content.metrics()},
      now, has_body);
}

}  // namespace tandem
