// The API keys that a server takes: those of its key file, which is read again
// when it changes. Owned by the server; any thread.

#ifndef TANDEM_SERVICES_ACCESS_KEY_RING_H_
#define TANDEM_SERVICES_ACCESS_KEY_RING_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/access/key_file.h"

namespace tandem {

// Between two looks at the file: a key that is revoked works no longer than
// this, and a look is one stat().
inline constexpr absl::Duration kKeyFilePoll = absl::Seconds(1);

struct KeyRingOptions {
  std::string path;  // of the key file
  absl::Duration poll = kKeyFilePoll;
};

// Whose a key is, and for what.
struct KeyHolder {
  std::string tenant;  // the file's name of it
  std::set<Scope> scopes = {};
  absl::Time expires = absl::InfiniteFuture();
};

class KeyRing {
 public:
  // Reads the file and watches it. Errors: of ReadKeyFileText and ParseKeyFile,
  // INVALID_ARGUMENT.
  static absl::StatusOr<std::unique_ptr<KeyRing>> Open(
      const KeyRingOptions& options);
  ~KeyRing();

  KeyRing(const KeyRing&) = delete;
  KeyRing& operator=(const KeyRing&) = delete;

  // Reads the file again, changed or not. After an error, which is logged, the
  // keys of before stay.
  absl::Status Reload();

  // The file can not be used now, and the keys of before stay.
  bool is_refused() const;

  // The holder of `key`, also of one that has expired. All keys are compared,
  // each in constant time: how long it takes says nothing about them.
  std::optional<KeyHolder> Find(absl::string_view key) const;

  // The limits of the tenant of this name in the file; none where it has no
  // such tenant.
  KeyLimits LimitsOf(absl::string_view tenant) const;

 private:
  // One reading of the file; never changed.
  struct Table {
    std::string digests;  // SHA-256 of each key, one after the other
    std::vector<KeyHolder> holders;
    std::map<std::string, KeyLimits, std::less<>> limits;
  };

  explicit KeyRing(KeyRingOptions options) : options_(std::move(options)) {}

  absl::Status Start();
  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(load_mutex_);
  void Watch();
  std::shared_ptr<const Table> table() const;

  const KeyRingOptions options_;

  TimedWait pause_;                 // between two looks
  mutable absl::Mutex load_mutex_;  // one load at a time
  std::optional<FileStamp> stamp_ ABSL_GUARDED_BY(load_mutex_);
  bool refused_ ABSL_GUARDED_BY(load_mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(load_mutex_) = false;

  mutable absl::Mutex table_mutex_;
  std::shared_ptr<const Table> table_ ABSL_GUARDED_BY(table_mutex_);

  std::thread watcher_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_ACCESS_KEY_RING_H_
