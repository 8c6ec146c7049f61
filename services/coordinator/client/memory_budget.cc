#include "services/coordinator/client/memory_budget.h"

#include <unistd.h>

#include <algorithm>

#include "engine/base/control_groups.h"

namespace tandem {
namespace {

constexpr int64_t kMemoryPart = 4;

size_t IndexOf(MemoryKind kind) { return static_cast<size_t>(kind); }

}  // namespace

const char* MemoryKindName(MemoryKind kind) {
  constexpr std::array<const char*, kMemoryKinds> kNames = {
      "sessions", "texts", "prefixes", "tokenizers"};
  return kNames[IndexOf(kind)];
}

int64_t DefaultMemoryBudget() {
  int64_t bytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  for (const GroupMemory& group : ReadGroupMemory()) {
    bytes = std::min(bytes, group.limit_bytes);
  }
  return bytes / kMemoryPart;
}

MemoryBudget::MemoryBudget(int64_t bytes_max, const Clock* clock)
    : bytes_max_(bytes_max), clock_(clock), bound_(bytes_max) {}

bool MemoryBudget::Take(MemoryKind kind, const std::string& tenant,
                        int64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  if (!bound_.Take(tenant, bytes, clock_->Now())) return false;
  bytes_[IndexOf(kind)] += bytes;
  return true;
}

bool MemoryBudget::HasRoom(const std::string& tenant, int64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  return bound_.HasRoom(tenant, bytes, clock_->Now());
}

void MemoryBudget::Add(MemoryKind kind, const std::string& tenant,
                       int64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  bound_.Add(tenant, bytes);
  bytes_[IndexOf(kind)] += bytes;
}

void MemoryBudget::SetShared(MemoryKind kind, int64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  int64_t& shared = bytes_[IndexOf(kind)];
  bound_.SetMax(bound_.max() + shared - bytes);
  shared = bytes;
}

bool MemoryBudget::IsOver() const {
  const absl::MutexLock lock(&mutex_);
  return bound_.used() > bound_.max();
}

int64_t MemoryBudget::UsedBy(const std::string& tenant) const {
  const absl::MutexLock lock(&mutex_);
  return bound_.UsedBy(tenant);
}

int64_t MemoryBudget::bytes(MemoryKind kind) const {
  const absl::MutexLock lock(&mutex_);
  return bytes_[IndexOf(kind)];
}

}  // namespace tandem
