#include "services/access/api_key.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/check.h"
#include "engine/base/hash.h"

namespace tandem {

std::string DrawApiKey() {
  std::string bytes(kApiKeyRandomBytes, '\0');
  // At most 256 bytes are never cut short once the pool is up.
  const ssize_t drawn = getrandom(bytes.data(), bytes.size(), 0);
  TANDEM_CHECK(drawn == static_cast<ssize_t>(bytes.size()));
  return absl::StrCat(kApiKeyPrefix, absl::WebSafeBase64Escape(bytes));
}

bool IsApiKey(absl::string_view text) {
  if (text.size() != kApiKeyBytes ||
      !absl::ConsumePrefix(&text, kApiKeyPrefix)) {
    return false;
  }
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
           c == '_';
  });
}

std::string HashOfApiKey(absl::string_view key) {
  return Sha256OfBytes(
      {reinterpret_cast<const uint8_t*>(key.data()), key.size()});
}

}  // namespace tandem
