// Fuzz target: bytes to a key file. A file that is taken keeps to the format's
// limits and is the same after it was written and read again; an error is one
// line that names the file.

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "services/access/key_file.h"

namespace tandem {
namespace {

void CheckLimits(const KeyFile& file) {
  std::set<std::string> tenants;
  std::set<std::string> ids;
  std::set<std::string> hashes;
  for (const KeyFileTenant& tenant : file.tenants) {
    TANDEM_CHECK(IsTenantName(tenant.name));
    TANDEM_CHECK(tenants.insert(tenant.name).second);
    TANDEM_CHECK(tenant.limits.kv_share >= 0 && tenant.limits.kv_share <= 1);
    TANDEM_CHECK(tenant.limits.turns_max >= 0);
    TANDEM_CHECK(tenant.keys.size() <= kKeysPerTenantMax);
    for (const ApiKeyEntry& key : tenant.keys) {
      TANDEM_CHECK(ids.insert(key.id).second);
      TANDEM_CHECK(hashes.insert(key.sha256).second);
      TANDEM_CHECK(key.sha256.size() == 64 && !key.scopes.empty());
      TANDEM_CHECK(IsKeyLabel(key.label));
    }
  }
}

void TryText(absl::string_view text) {
  const auto file = ParseKeyFile(text, "fuzz");
  if (!file.ok()) {
    TANDEM_CHECK(absl::StartsWith(file.status().message(), "fuzz:"));
    TANDEM_CHECK(!absl::StrContains(file.status().message(), "\n"));
    return;
  }
  CheckLimits(*file);
  const std::string written = FormatKeyFile(*file);
  const auto again = ParseKeyFile(written, "written");
  TANDEM_CHECK(again.ok());
  TANDEM_CHECK(FormatKeyFile(*again) == written);
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tandem::TryText({reinterpret_cast<const char*>(data), size});
  return 0;
}
