// The file of tenants and their API keys, which servers read and `tandem keys`
// edits. The format stands in this folder's README. Values; any thread.

#ifndef TANDEM_SERVICES_ACCESS_KEY_FILE_H_
#define TANDEM_SERVICES_ACCESS_KEY_FILE_H_

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/status.h"

namespace tandem {

inline constexpr size_t kKeyFileBytesMax = size_t{1} << 20;
// Two: the old key and the new one, while clients change over.
inline constexpr size_t kKeysPerTenantMax = 2;
inline constexpr size_t kTenantNameCharactersMax = 64;
inline constexpr size_t kKeyIdCharactersMax = 64;
inline constexpr size_t kKeyLabelBytesMax = 128;

// What a key may be used for.
enum class Scope { kGenerate, kScore, kAdmin, kMetrics };
inline constexpr std::array kScopes = {Scope::kGenerate, Scope::kScore,
                                       Scope::kAdmin, Scope::kMetrics};
// "generate", "score", "admin", "metrics".
absl::string_view ScopeName(Scope scope);
std::optional<Scope> ParseScope(absl::string_view name);

struct ApiKeyEntry {
  std::string id;
  std::string label = {};
  std::string sha256;  // HashOfApiKey
  std::set<Scope> scopes = {};
  absl::Time created = absl::UnixEpoch();
  absl::Time expires = absl::InfiniteFuture();
};

// What one tenant may take; 0 stands for no limit of the tenant's own.
struct KeyLimits {
  int64_t turns_max = 0;          // that run at once
  int64_t sessions_max = 0;       // that are kept
  int64_t queued_tokens_max = 0;  // of prompts whose turn has no token yet
  int64_t tokens_per_minute = 0;  // of prompts and generated
  double kv_share = 0;            // of a worker's KV, 0 to 1

  friend bool operator==(const KeyLimits&, const KeyLimits&) = default;
};

struct KeyFileTenant {
  std::string name;
  KeyLimits limits = {};
  std::vector<ApiKeyEntry> keys = {};
};

struct KeyFile {
  std::vector<KeyFileTenant> tenants = {};
};

// 1 to kTenantNameCharactersMax of a-z, 0-9, ".", "_" and "-".
bool IsTenantName(absl::string_view name);
// At most kKeyLabelBytesMax of UTF-8, without control characters.
bool IsKeyLabel(absl::string_view label);

// In UTC to the second: "2026-11-29T08:00:00Z" (RFC 3339).
std::string FormatKeyTime(absl::Time time);

// Checks all of it. `name` stands for the file in errors: INVALID_ARGUMENT
// with reason MALFORMED_FILE, "NAME:LINE: FIELD: what is wrong and what helps".
absl::StatusOr<KeyFile> ParseKeyFile(absl::string_view text,
                                     absl::string_view name);
// ParseKeyFile's text of `file`, whose strings are as it wants them.
std::string FormatKeyFile(const KeyFile& file);

// Which file stands at a path, to see when it has changed.
struct FileStamp {
  dev_t device = 0;
  ino_t inode = 0;
  off_t bytes = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;  // bytes, mode or owner

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};
// Nothing where no file is there.
std::optional<FileStamp> StampOfFile(const std::string& path);

struct KeyFileText {
  std::string text;
  FileStamp stamp = {};  // of what was read
};
// The file's bytes. Errors: INVALID_ARGUMENT that names `path`: it can not be
// read, is no regular file, has more than kKeyFileBytesMax bytes, or others
// than its owner may write it.
absl::StatusOr<KeyFileText> ReadKeyFileText(const std::string& path);

}  // namespace tandem

#endif  // TANDEM_SERVICES_ACCESS_KEY_FILE_H_
