// All workers at one moment: what each is, and which models can be asked for.
// Immutable; the pool makes a new one when a worker comes, goes or changes.
// Loads change all the time and stand at the workers' links instead. Shared by
// the pool and by its readers; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_TABLE_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_TABLE_H_

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/reply/reply_format.h"
#include "engine/tokenizer/tokenizer.h"
#include "services/coordinator/turn/worker_link.h"

namespace tandem {

enum class WorkerRole { kDraft, kTarget };

// One model of one worker; a worker with several models stands several times.
struct WorkerInfo {
  std::string address;
  WorkerRole role = WorkerRole::kTarget;
  bool usable = false;  // described, watched, its tokenizer is here
  bool draining = false;
  // As last known where it is gone.
  std::string model_id;
  std::string fingerprint;
  std::string vocabulary_fingerprint;
  std::string numerics;
  Position context_max = 0;
  int vocab_size = 0;
  // A drafter's: one of its vocabulary. Null: never seen.
  std::shared_ptr<const Tokenizer> tokenizer = {};
  // A target's, with its tokenizer.
  std::shared_ptr<const ReplyFormat> reply_format = {};
  // For opening streams; has loads and costs.
  std::shared_ptr<WorkerLink> link = {};
};

// A model that can be asked for now.
struct ModelSummary {
  std::string model_id;
  std::string fingerprint;
  std::string vocabulary_fingerprint;
  std::string numerics;
  Position context_max = 0;
  // The largest of its workers.
  Position context_largest = 0;
  int vocab_size = 0;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ReplyFormat> reply_format = {};
  // The most bytes of text that one token stands for; 0: not known.
  size_t token_bytes_max = 0;
  int target_workers = 0;
  int draft_workers = 0;
};

class WorkerTable {
 public:
  using Workers = std::vector<const WorkerInfo*>;
  // Whether a draft's vocabulary fits a target's; asked where their
  // fingerprints differ.
  using Fits = absl::FunctionRef<bool(const WorkerInfo& draft,
                                      const WorkerInfo& target)>;

  // `models_seen`: models of target workers that are not listed any more.
  // Drafters fit targets of the same vocabulary fingerprint alone.
  explicit WorkerTable(std::vector<WorkerInfo> workers,
                       std::set<std::string> models_seen = {});
  WorkerTable(std::vector<WorkerInfo> workers,
              std::set<std::string> models_seen, Fits fits);

  WorkerTable(const WorkerTable&) = delete;
  WorkerTable& operator=(const WorkerTable&) = delete;

  const std::vector<WorkerInfo>& workers() const { return workers_; }
  // Those that take streams now, in the order of workers().
  const Workers& TargetsOf(const std::string& model_id) const;
  // Those that fit a target's vocabulary.
  const Workers& DraftersOf(const std::string& vocabulary_fingerprint) const;

  // In the order of their ids.
  const std::vector<ModelSummary>& models() const { return models_; }
  // The model that a request means. `model_id` may be empty where there is one
  // model. Errors: NOT_FOUND with UNKNOWN_MODEL (no worker has had it),
  // INVALID_ARGUMENT with UNKNOWN_MODEL (empty, and there are several),
  // UNAVAILABLE with NO_WORKER (its workers are gone, or none came yet).
  absl::StatusOr<ModelSummary> FindModel(const std::string& model_id) const;

 private:
  // Fills drafters_ with those of `live` for each vocabulary of a worker.
  void PairDrafters(const Workers& live, Fits fits);

  const std::vector<WorkerInfo> workers_;
  std::set<std::string> models_seen_;
  std::map<std::string, Workers> targets_;   // by model
  std::map<std::string, Workers> drafters_;  // by a target's vocabulary
  std::vector<ModelSummary> models_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_TABLE_H_
