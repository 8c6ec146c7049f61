#include "engine/model/memory_account.h"

#include <algorithm>
#include <utility>

#include "engine/base/machine_memory.h"

namespace tandem {

MemoryAccount::MemoryAccount(const MemoryAccountOptions& options)
    : options_(options) {
  absl::StatusOr<std::unique_ptr<MemoryReservation>> reservation =
      MemoryReservation::Open(options.reservation_folder.empty()
                                  ? MemoryReservation::DefaultFolder()
                                  : options.reservation_folder);
  if (reservation.ok()) {
    reservation_ = *std::move(reservation);
  } else {
    problem_ = std::string(reservation.status().message());
  }
}

absl::StatusOr<MemoryPlan> MemoryAccount::Plan(
    absl::Span<const ModelNeeds> needs,
    std::vector<GroupMemory>* groups) const {
  int64_t others = 0;
  for (const auto& [id, bytes] : bytes_) {
    const bool is_replaced = std::any_of(
        needs.begin(), needs.end(),
        [&id = id](const ModelNeeds& model) { return model.model == id; });
    if (!is_replaced) others += bytes;
  }
  MachineMemory machine =
      ReadMachineMemory({.reservations = reservation_.get(),
                         .process_bytes_max = options_.process_bytes_max,
                         .planned_bytes = others,
                         .more_to_come = options_.more_to_come,
                         .root = options_.root});
  absl::StatusOr<MemoryPlan> plan =
      PlanMemory(machine, needs, options_.what_helps);
  *groups = std::move(machine.groups);
  return plan;
}

absl::StatusOr<MemoryPlan> MemoryAccount::Take(
    absl::Span<const ModelNeeds> needs) {
  const absl::MutexLock lock(&mutex_);
  Descriptor folder;  // until the reservation is written
  if (reservation_ != nullptr) folder = reservation_->LockFolder();
  TANDEM_ASSIGN_OR_RETURN(MemoryPlan plan, Plan(needs, &groups_));
  for (size_t i = 0; i < needs.size(); ++i) {
    bytes_[needs[i].model] = plan.models[i].total_bytes;
  }
  if (reservation_ != nullptr) {
    const absl::Status status =
        reservation_->Reserve(Sum() + kPlanReserveBytes, groups_);
    if (!status.ok()) problem_ = std::string(status.message());
  }
  return plan;
}

absl::StatusOr<MemoryPlan> MemoryAccount::Try(
    absl::Span<const ModelNeeds> needs) const {
  const absl::MutexLock lock(&mutex_);
  Descriptor folder;
  if (reservation_ != nullptr) folder = reservation_->LockFolder();
  std::vector<GroupMemory> groups;
  return Plan(needs, &groups);
}

void MemoryAccount::Release(const std::string& model) {
  const absl::MutexLock lock(&mutex_);
  if (bytes_.erase(model) == 0 || reservation_ == nullptr) return;
  const Descriptor folder = reservation_->LockFolder();
  const int64_t sum = Sum();
  // What it says is too much where it fails, which does no harm.
  reservation_->Reserve(sum == 0 ? 0 : sum + kPlanReserveBytes, groups_)
      .IgnoreError();
}

std::string MemoryAccount::problem() const {
  const absl::MutexLock lock(&mutex_);
  return problem_;
}

int64_t MemoryAccount::planned_bytes() const {
  const absl::MutexLock lock(&mutex_);
  return Sum();
}

int64_t MemoryAccount::Sum() const {
  int64_t sum = 0;
  for (const auto& [model, bytes] : bytes_) sum += bytes;
  return sum;
}

}  // namespace tandem
