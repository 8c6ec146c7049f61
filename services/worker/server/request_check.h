// The worker's edge: checks of a DecodeRequest that need no sequence (ids,
// ranges, options, model), since a worker does not trust its coordinator. What
// passes here is not checked again. Pure functions; any thread.

#ifndef TANDEM_SERVICES_WORKER_SERVER_REQUEST_CHECK_H_
#define TANDEM_SERVICES_WORKER_SERVER_REQUEST_CHECK_H_

#include "engine/base/status.h"
#include "engine/session/sequence_decoder.h"
#include "services/worker/models/model_set.h"
#include "services/worker/schedule/compute_loop.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

// Errors: NOT_FOUND with UNKNOWN_MODEL, FAILED_PRECONDITION (fingerprint; with
// WRONG_STATE: scores of a draft), INVALID_ARGUMENT with EMPTY_PROMPT,
// INVALID_TOKEN, CONTEXT_EXCEEDED or INVALID_OPTIONS.
absl::StatusOr<StreamOpen> ReadOpen(const WorkerModelInfo& model,
                                    const v1::OpenSequence& open);

// What `propose` or `verify` asks for; one of them is set. `tokens_max` is the
// sequence's. Errors: FAILED_PRECONDITION with WRONG_STATE (the model has the
// other role), INVALID_ARGUMENT.
absl::StatusOr<ComputeRequest> ReadRequest(const WorkerModelInfo& model,
                                           Position tokens_max,
                                           const v1::DecodeRequest& request);

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_REQUEST_CHECK_H_
