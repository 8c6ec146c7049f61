#include "services/coordinator/router.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

bool IsUsable(const WorkerInfo& worker, WorkerRole role) {
  return worker.role == role && worker.usable && !worker.draining;
}

// What a worker told is up to 100 ms old, our own streams are not.
int Load(const WorkerInfo& worker) {
  return std::max(worker.streams_open, worker.own_streams) +
         worker.requests_pending;
}

WorkerChoice ToChoice(const WorkerInfo& worker) {
  return {.link = worker.link,
          .name = worker.address,
          .model_id = worker.model_id,
          .fingerprint = worker.fingerprint,
          .vocabulary_fingerprint = worker.vocabulary_fingerprint,
          .context_max = worker.context_max};
}

bool Contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

absl::Status NoWorker(absl::string_view what) {
  return MakeError(absl::StatusCode::kUnavailable,
                   {.reason = kReasonNoWorker, .violations = {}}, what);
}

}  // namespace

std::optional<WorkerChoice> ChooseTarget(const std::vector<WorkerInfo>& workers,
                                         const TargetQuery& query) {
  const WorkerInfo* best = nullptr;
  std::pair<bool, int> best_cost;
  for (const WorkerInfo& worker : workers) {
    if (!IsUsable(worker, WorkerRole::kTarget) ||
        worker.model_id != query.model_id) {
      continue;
    }
    if (!query.fingerprint.empty() && worker.fingerprint != query.fingerprint) {
      continue;
    }
    if (!query.vocabulary_fingerprint.empty() &&
        worker.vocabulary_fingerprint != query.vocabulary_fingerprint) {
      continue;
    }
    const std::pair cost(Contains(query.avoid, worker.address), Load(worker));
    if (best == nullptr || cost < best_cost) {
      best = &worker;
      best_cost = cost;
    }
  }
  if (best == nullptr) return std::nullopt;
  return ToChoice(*best);
}

std::optional<WorkerChoice> ChooseDrafter(
    const std::vector<WorkerInfo>& workers, const DrafterQuery& query) {
  const WorkerInfo* best = nullptr;
  for (const WorkerInfo& worker : workers) {
    if (!IsUsable(worker, WorkerRole::kDraft) ||
        worker.vocabulary_fingerprint != query.vocabulary_fingerprint ||
        worker.context_max <= query.context_min) {
      continue;
    }
    if (best == nullptr || Load(worker) < Load(*best)) best = &worker;
  }
  if (best == nullptr) return std::nullopt;
  return ToChoice(*best);
}

std::vector<ModelSummary> SummarizeModels(
    const std::vector<WorkerInfo>& workers) {
  std::map<std::string, ModelSummary> models;
  for (const WorkerInfo& worker : workers) {
    if (!IsUsable(worker, WorkerRole::kTarget)) continue;
    ModelSummary& model = models[worker.model_id];
    if (model.target_workers++ > 0) continue;
    model.model_id = worker.model_id;
    model.fingerprint = worker.fingerprint;
    model.vocabulary_fingerprint = worker.vocabulary_fingerprint;
    model.numerics = worker.numerics;
    model.context_max = worker.context_max;
    model.vocab_size = worker.vocab_size;
    model.tokenizer = worker.tokenizer;
  }
  std::vector<ModelSummary> summaries;
  for (auto& [id, model] : models) {
    for (const WorkerInfo& worker : workers) {
      if (IsUsable(worker, WorkerRole::kDraft) &&
          worker.vocabulary_fingerprint == model.vocabulary_fingerprint) {
        ++model.draft_workers;
      }
    }
    summaries.push_back(std::move(model));
  }
  return summaries;
}

absl::StatusOr<ModelSummary> ResolveModel(
    const std::vector<WorkerInfo>& workers, const std::string& model_id) {
  std::vector<ModelSummary> models = SummarizeModels(workers);
  if (model_id.empty()) {
    if (models.size() == 1) return std::move(models[0]);
    if (models.empty()) return NoWorker("no target worker is usable now");
    std::vector<std::string> ids;
    for (const ModelSummary& model : models) ids.push_back(model.model_id);
    return MakeError(
        absl::StatusCode::kInvalidArgument,
        {.reason = kReasonUnknownModel,
         .violations = {{.field = "model_id", .description = "must be set"}}},
        absl::StrCat("the server has several models, model_id "
                     "must name one: ",
                     absl::StrJoin(ids, ", ")));
  }
  for (ModelSummary& model : models) {
    if (model.model_id == model_id) return std::move(model);
  }
  for (const WorkerInfo& worker : workers) {
    if (worker.role == WorkerRole::kTarget && worker.model_id == model_id) {
      return NoWorker(absl::StrCat("the target workers of model ", model_id,
                                   " are not usable now"));
    }
  }
  return MakeError(
      absl::StatusCode::kNotFound,
      {.reason = kReasonUnknownModel, .violations = {}},
      absl::StrCat("no model \"", model_id, "\"; ListModels tells what is"));
}

}  // namespace tandem
