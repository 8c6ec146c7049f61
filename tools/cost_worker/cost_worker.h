// The parts of a worker that serves a CostEngine: what services/worker makes
// of a model file, made of a vocabulary.

#ifndef TANDEM_TOOLS_COST_WORKER_COST_WORKER_H_
#define TANDEM_TOOLS_COST_WORKER_COST_WORKER_H_

#include "services/worker/server/worker_server.h"
#include "tools/cost_worker/cost_worker_flags.h"

namespace tandem::bench {

// Reads the metadata of options.vocabulary_path; weights may be absent there.
// Errors: as GgufFile::Open, Tokenizer::FromGguf, CostEngine::Create.
absl::StatusOr<WorkerModelParts> MakeCostWorkerParts(
    const CostWorkerOptions& options);

}  // namespace tandem::bench

#endif  // TANDEM_TOOLS_COST_WORKER_COST_WORKER_H_
