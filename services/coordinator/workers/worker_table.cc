#include "services/coordinator/workers/worker_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

const WorkerTable::Workers& Find(
    const std::map<std::string, WorkerTable::Workers>& workers,
    const std::string& key) {
  static const WorkerTable::Workers none;
  const auto found = workers.find(key);
  return found == workers.end() ? none : found->second;
}

size_t LongestTokenBytes(const Tokenizer& tokenizer) {
  size_t longest = 0;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    longest = std::max(longest,
                       tokenizer.TokenText(id, /*skip_special=*/false).size());
  }
  return longest;
}

// As the first worker that has the model describes it.
ModelSummary Summarize(const WorkerTable::Workers& targets) {
  const WorkerInfo& worker = *targets.front();
  Position context_largest = 0;
  for (const WorkerInfo* target : targets) {
    context_largest = std::max(context_largest, target->context_max);
  }
  return {.model_id = worker.model_id,
          .fingerprint = worker.fingerprint,
          .vocabulary_fingerprint = worker.vocabulary_fingerprint,
          .numerics = worker.numerics,
          .context_max = worker.context_max,
          .context_largest = context_largest,
          .vocab_size = worker.vocab_size,
          .tokenizer = worker.tokenizer,
          .reply_format = worker.reply_format,
          .token_bytes_max = worker.tokenizer == nullptr
                                 ? 0
                                 : LongestTokenBytes(*worker.tokenizer),
          .target_workers = static_cast<int>(targets.size()),
          .draft_workers = 0};
}

}  // namespace

WorkerTable::WorkerTable(std::vector<WorkerInfo> workers,
                         std::set<std::string> models_seen)
    : WorkerTable(std::move(workers), std::move(models_seen),
                  [](const WorkerInfo&, const WorkerInfo&) { return false; }) {}

WorkerTable::WorkerTable(std::vector<WorkerInfo> workers,
                         std::set<std::string> models_seen, Fits fits)
    : workers_(std::move(workers)), models_seen_(std::move(models_seen)) {
  Workers drafters;
  for (const WorkerInfo& worker : workers_) {
    const bool is_target = worker.role == WorkerRole::kTarget;
    if (is_target && !worker.model_id.empty()) {
      models_seen_.insert(worker.model_id);
    }
    if (!worker.usable || worker.draining) continue;
    (is_target ? targets_[worker.model_id] : drafters).push_back(&worker);
  }
  PairDrafters(drafters, fits);
  for (const auto& [id, targets] : targets_) {
    models_.push_back(Summarize(targets));
    models_.back().draft_workers = static_cast<int>(
        DraftersOf(models_.back().vocabulary_fingerprint).size());
  }
}

// A turn goes on at a target that drains or was lost, so every target counts;
// and a drafter fits its own vocabulary whether or not a target is there.
void WorkerTable::PairDrafters(const Workers& live, Fits fits) {
  std::map<std::string, const WorkerInfo*> targets;  // one of each vocabulary
  for (const WorkerInfo* worker : live) {
    targets.emplace(worker->vocabulary_fingerprint, nullptr);
  }
  for (const WorkerInfo& worker : workers_) {
    if (worker.role != WorkerRole::kTarget) continue;
    targets[worker.vocabulary_fingerprint] = &worker;
  }
  for (const auto& [vocabulary, target] : targets) {
    std::map<std::string, bool> known;  // by the draft's vocabulary
    for (const WorkerInfo* draft : live) {
      const std::string& own = draft->vocabulary_fingerprint;
      const auto [found, is_new] = known.emplace(own, own == vocabulary);
      if (is_new && !found->second && target != nullptr) {
        found->second = fits(*draft, *target);
      }
      if (found->second) drafters_[vocabulary].push_back(draft);
    }
  }
}

const WorkerTable::Workers& WorkerTable::TargetsOf(
    const std::string& model_id) const {
  return Find(targets_, model_id);
}

const WorkerTable::Workers& WorkerTable::DraftersOf(
    const std::string& vocabulary_fingerprint) const {
  return Find(drafters_, vocabulary_fingerprint);
}

absl::StatusOr<ModelSummary> WorkerTable::FindModel(
    const std::string& model_id) const {
  if (model_id.empty()) {
    if (models_.size() == 1) return models_[0];
    if (models_.empty()) return NoWorker("no target worker is usable now");
    std::vector<std::string> ids;
    for (const ModelSummary& model : models_) ids.push_back(model.model_id);
    return InvalidField(
        "model_id", absl::StrCat("must name one of ", absl::StrJoin(ids, ", ")),
        kReasonUnknownModel);
  }
  for (const ModelSummary& model : models_) {
    if (model.model_id == model_id) return model;
  }
  if (models_seen_.contains(model_id)) {
    return NoWorker(absl::StrCat("the target workers of model ", model_id,
                                 " are not usable now"));
  }
  return UnknownModel(absl::StrCat("no model \"", model_id,
                                   "\"; ListModels has those that are"));
}

}  // namespace tandem
