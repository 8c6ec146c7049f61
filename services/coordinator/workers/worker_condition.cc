#include "services/coordinator/workers/worker_condition.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "engine/base/utf8.h"

namespace tandem {
namespace {

std::string ReasonOf(absl::string_view words) {
  return EscapeToLine(words.substr(0, kReasonBytesMax));
}

}  // namespace

WorkerProblem ProblemAfter(const absl::Status& error, absl::string_view words) {
  const bool is_silent = absl::IsUnavailable(error) ||
                         absl::IsDeadlineExceeded(error) ||
                         absl::IsCancelled(error);
  return {
      .state = is_silent ? WorkerState::kConnecting : WorkerState::kUnusable,
      .reason = ReasonOf(words)};
}

WorkerCondition ConditionOf(const WorkerInfo& worker,
                            const WorkerProblem& problem) {
  WorkerCondition condition{.worker = worker};
  if (!worker.usable) {
    condition.state = problem.state;
    condition.reason = problem.reason;
  } else if (worker.draining) {
    condition.state = WorkerState::kDraining;
    condition.reason = "the worker reports that it drains";
  }
  return condition;
}

absl::Status CheckTargets(const WorkerInfo& draft,
                          const std::vector<const WorkerInfo*>& targets,
                          PairCheck check) {
  absl::Status status;
  for (const WorkerInfo* target : targets) {
    status = check(draft, *target);
    if (status.ok()) return status;
    status = Annotate(
        status,
        absl::StrCat("its vocabulary does not fit that of target "
                     "worker ",
                     target->address, " (model ", target->model_id, ")"));
  }
  return status;
}

void MarkUnfitDrafters(PairCheck check,
                       std::vector<WorkerCondition>* conditions) {
  std::map<std::string, const WorkerInfo*> vocabularies;  // a target of each
  for (const WorkerCondition& condition : *conditions) {
    const WorkerInfo& worker = condition.worker;
    if (worker.role == WorkerRole::kTarget && worker.tokenizer != nullptr) {
      vocabularies.emplace(worker.vocabulary_fingerprint, &worker);
    }
  }
  std::vector<const WorkerInfo*> targets;
  for (const auto& [fingerprint, target] : vocabularies) {
    targets.push_back(target);
  }
  for (WorkerCondition& condition : *conditions) {
    if (condition.worker.role != WorkerRole::kDraft ||
        condition.state != WorkerState::kServing) {
      continue;
    }
    const absl::Status status = CheckTargets(condition.worker, targets, check);
    if (status.ok()) continue;
    condition.state = WorkerState::kUnusable;
    condition.reason = ReasonOf(status.message());
  }
}

}  // namespace tandem
