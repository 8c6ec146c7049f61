// The files of the page, in the program itself, and how they are served. Pure
// functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_ASSET_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_ASSET_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/gateway/http/http_message.h"

namespace tandem::gateway {

struct Asset {
  absl::string_view name;    // of the file, "index.html"
  absl::string_view sha256;  // of `text`, in hexadecimal digits
  absl::string_view text;
};

// Those of services/gateway/page, which cmake/EmbedAssets.cmake has put into a
// source. Live for ever.
absl::Span<const Asset> PageAssets();

// The asset at `path`: "/" is index.html, "/assets/NAME" any; null: none.
const Asset* FindAsset(absl::Span<const Asset> assets, absl::string_view path);
// `asset`, or "not modified" where `request` says that the client has it.
HttpResponse AnswerAsset(const Asset& asset, const HttpRequest& request);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_ASSET_H_
