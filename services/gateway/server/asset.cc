#include "services/gateway/server/asset.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tandem::gateway {
namespace {

// The page loads nothing from elsewhere, runs no code that is written in its
// HTML, and stands in no other page's frame.
constexpr char kContentSecurityPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' "
    "data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

std::string ContentTypeOf(absl::string_view name) {
  const std::pair<absl::string_view, absl::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".svg", "image/svg+xml"},
  };
  for (const auto& [ending, type] : kTypes) {
    if (absl::EndsWith(name, ending)) return std::string(type);
  }
  return "text/plain; charset=utf-8";
}

}  // namespace

const Asset* FindAsset(absl::Span<const Asset> assets, absl::string_view path) {
  absl::string_view name = path;
  if (path == "/") {
    name = "index.html";
  } else if (!absl::ConsumePrefix(&name, "/assets/")) {
    return nullptr;
  }
  for (const Asset& asset : assets) {
    if (asset.name == name) return &asset;
  }
  return nullptr;
}

HttpResponse AnswerAsset(const Asset& asset, const HttpRequest& request) {
  const std::string tag = absl::StrCat("\"", asset.sha256, "\"");
  HttpResponse response = {
      .content_type = ContentTypeOf(asset.name),
      // Asked for again each time: another version of the program has others.
      .headers = {{"ETag", tag},
                  {"Cache-Control", "no-cache"},
                  {"Content-Security-Policy", kContentSecurityPolicy},
                  {"Referrer-Policy", "no-referrer"}}};
  const std::optional<absl::string_view> has = request.Header("if-none-match");
  if (has.has_value() && absl::StrContains(*has, tag)) {
    response.status = 304;
  } else {
    response.body = std::string(asset.text);
  }
  return response;
}

}  // namespace tandem::gateway
