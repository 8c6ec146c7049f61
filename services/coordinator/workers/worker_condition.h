// What a worker can be asked for now, and why for nothing: for operators, in
// words. Turns go by the WorkerTable instead. Values and pure functions; any
// thread.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_CONDITION_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_CONDITION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/coordinator/workers/worker_table.h"

namespace tandem {

// Bytes of a reason at most, before its escapes.
inline constexpr size_t kReasonBytesMax = 500;

enum class WorkerState {
  kConnecting,  // no connection, or not yet described
  kServing,     // takes new turns
  kDraining,    // ends the turns that it has
  kUnusable,    // answers, and is of no use
};

// Why a worker takes no turns.
struct WorkerProblem {
  WorkerState state = WorkerState::kConnecting;
  std::string reason = "not connected yet";  // one line of UTF-8
};

// The problem of a worker whose calls ended with `error`, which `words` say:
// kConnecting where nobody answered, kUnusable where somebody did.
WorkerProblem ProblemAfter(const absl::Status& error, absl::string_view words);

// One model of one worker.
struct WorkerCondition {
  WorkerInfo worker;
  WorkerState state = WorkerState::kServing;
  std::string reason = {};  // empty where it serves
};

// `problem`: the worker's last one, where it is not usable. Does not know
// whether a drafter fits a target.
WorkerCondition ConditionOf(const WorkerInfo& worker,
                            const WorkerProblem& problem);

// OK where the one may draft for the other.
using PairCheck = absl::FunctionRef<absl::Status(const WorkerInfo& draft,
                                                 const WorkerInfo& target)>;
// OK where `draft` fits one of `targets`, or there is none; else how it differs
// from the last one.
absl::Status CheckTargets(const WorkerInfo& draft,
                          const std::vector<const WorkerInfo*>& targets,
                          PairCheck check);
// Makes kUnusable of drafters that would serve and fit no target which is
// known: a turn may go on at a target that drains or was lost, so all count.
void MarkUnfitDrafters(PairCheck check,
                       std::vector<WorkerCondition>* conditions);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_CONDITION_H_
