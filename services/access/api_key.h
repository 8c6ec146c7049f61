// API keys: how they look and what is kept of them. A key is "tandem_" and 256
// random bits in base64url. Servers keep its SHA-256: with so many bits, no
// salt and no slow hash are needed. Pure functions; any thread.

#ifndef TANDEM_SERVICES_ACCESS_API_KEY_H_
#define TANDEM_SERVICES_ACCESS_API_KEY_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace tandem {

inline constexpr char kApiKeyPrefix[] = "tandem_";
inline constexpr size_t kApiKeyRandomBytes = 32;
// The prefix and 43 characters.
inline constexpr size_t kApiKeyBytes = 50;
inline constexpr size_t kApiKeyHashBytes = 64;

// A new key, from the kernel's random numbers.
std::string DrawApiKey();

// Whether `text` has the form of a key.
bool IsApiKey(absl::string_view text);

// SHA-256 in 64 lower-case hexadecimal digits, as sha256sum prints it.
std::string HashOfApiKey(absl::string_view key);

}  // namespace tandem

#endif  // TANDEM_SERVICES_ACCESS_API_KEY_H_
