// What the models of this process may take of the machine's memory: plans each
// by memory_plan.h, keeps the sum, and tells it to the user's other processes
// (memory_reservation.h).
//
// Owned by whoever loads models. Any thread.

#ifndef TANDEM_ENGINE_MODEL_MEMORY_ACCOUNT_H_
#define TANDEM_ENGINE_MODEL_MEMORY_ACCOUNT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/base/control_groups.h"
#include "engine/base/memory_reservation.h"
#include "engine/base/status.h"
#include "engine/model/memory_plan.h"

namespace tandem {

struct MemoryAccountOptions {
  // What the process may take in all; 0: no bound of its own.
  int64_t process_bytes_max = 0;
  // Models will be added one after the other: each leaves half of what is left.
  bool more_to_come = false;
  // Where processes tell each other what they take; empty: the user's folder of
  // this machine.
  std::string reservation_folder = {};
  std::string what_helps = {};  // as PlanMemory's
  std::string root = {};  // put before the paths of system files; for tests
};

class MemoryAccount {
 public:
  explicit MemoryAccount(const MemoryAccountOptions& options = {});

  // Plans for these models beside those that are there, and takes what they
  // get. One that is there by its name gets another plan: what it had does not
  // count beside the new one. Errors: as PlanMemory; nothing was taken then.
  absl::StatusOr<MemoryPlan> Take(absl::Span<const ModelNeeds> needs);
  // Plans only.
  absl::StatusOr<MemoryPlan> Try(absl::Span<const ModelNeeds> needs) const;
  // The model (ModelNeeds::model) is gone; nothing where it is not there.
  void Release(const std::string& model);

  int64_t planned_bytes() const;
  // Why other processes are not known of; empty: they are.
  std::string problem() const;

 private:
  // `groups`: those with a limit around this process.
  absl::StatusOr<MemoryPlan> Plan(absl::Span<const ModelNeeds> needs,
                                  std::vector<GroupMemory>* groups) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int64_t Sum() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const MemoryAccountOptions options_;
  std::unique_ptr<MemoryReservation> reservation_;  // null: see problem_
  mutable absl::Mutex mutex_;
  std::string problem_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int64_t> bytes_ ABSL_GUARDED_BY(mutex_);  // by model
  std::vector<GroupMemory> groups_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_MEMORY_ACCOUNT_H_
