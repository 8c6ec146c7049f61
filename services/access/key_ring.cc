#include "services/access/key_ring.h"

#include <openssl/crypto.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "engine/base/check.h"
#include "engine/base/monotonic_clock.h"
#include "services/access/api_key.h"

namespace tandem {

absl::StatusOr<std::unique_ptr<KeyRing>> KeyRing::Open(
    const KeyRingOptions& options) {
  // The constructor is private.
  std::unique_ptr<KeyRing> ring(new KeyRing(options));
  TANDEM_RETURN_IF_ERROR(ring->Start());
  return ring;
}

absl::Status KeyRing::Start() {
  {
    const absl::MutexLock lock(&load_mutex_);
    TANDEM_RETURN_IF_ERROR(Load());
  }
  watcher_ = std::thread([this] { Watch(); });
  return absl::OkStatus();
}

KeyRing::~KeyRing() {
  if (!watcher_.joinable()) return;
  {
    const absl::MutexLock lock(&load_mutex_);
    stop_ = true;
    pause_.Notify();
  }
  watcher_.join();
}

// What stands at the path is looked at before it is read: a change in between
// is seen by the next look.
absl::Status KeyRing::Load() {
  stamp_ = StampOfFile(options_.path);
  TANDEM_ASSIGN_OR_RETURN(const KeyFileText read,
                          ReadKeyFileText(options_.path));
  TANDEM_ASSIGN_OR_RETURN(const KeyFile file,
                          ParseKeyFile(read.text, options_.path));
  auto table = std::make_shared<Table>();
  for (const KeyFileTenant& tenant : file.tenants) {
    table->limits[tenant.name] = tenant.limits;
    for (const ApiKeyEntry& key : tenant.keys) {
      table->digests += absl::HexStringToBytes(key.sha256);
      table->holders.push_back({.tenant = tenant.name,
                                .scopes = key.scopes,
                                .expires = key.expires});
    }
  }
  spdlog::info("{}: {} tenants with {} keys", options_.path,
               file.tenants.size(), table->holders.size());
  const absl::MutexLock lock(&table_mutex_);
  table_ = std::move(table);
  return absl::OkStatus();
}

absl::Status KeyRing::Reload() {
  const absl::MutexLock lock(&load_mutex_);
  const absl::Status status = Load();
  if (!status.ok()) {
    spdlog::error("{}; the keys of before stay in use",
                  std::string(status.message()));
  }
  refused_ = !status.ok();
  return status;
}

bool KeyRing::is_refused() const {
  const absl::MutexLock lock(&load_mutex_);
  return refused_;
}

void KeyRing::Watch() {
  const auto is_over = [this]() ABSL_SHARED_LOCKS_REQUIRED(load_mutex_) {
    return stop_;
  };
  while (true) {
    {
      const absl::MutexLock lock(&load_mutex_);
      if (pause_.Await(&load_mutex_, MonotonicNow() + options_.poll, is_over)) {
        return;
      }
      if (StampOfFile(options_.path) == stamp_) continue;
    }
    Reload().IgnoreError();  // logged there
  }
}

std::shared_ptr<const KeyRing::Table> KeyRing::table() const {
  const absl::MutexLock lock(&table_mutex_);
  return table_;
}

std::optional<KeyHolder> KeyRing::Find(absl::string_view key) const {
  const std::string digest = absl::HexStringToBytes(HashOfApiKey(key));
  const std::shared_ptr<const Table> now = table();
  TANDEM_CHECK(now->digests.size() == now->holders.size() * digest.size());
  const KeyHolder* found = nullptr;
  const char* next = now->digests.data();
  for (const KeyHolder& holder : now->holders) {
    if (CRYPTO_memcmp(next, digest.data(), digest.size()) == 0) {
      found = &holder;  // the others are compared all the same
    }
    next += digest.size();
  }
  if (found == nullptr) return std::nullopt;
  return *found;
}

KeyLimits KeyRing::LimitsOf(absl::string_view tenant) const {
  const std::shared_ptr<const Table> now = table();
  const auto found = now->limits.find(tenant);
  return found == now->limits.end() ? KeyLimits() : found->second;
}

}  // namespace tandem
