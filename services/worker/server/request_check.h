// What of a DecodeRequest can be judged without the sequence: ids, ranges,
// options, model. A worker does not trust its coordinator. Pure functions.

#ifndef TANDEM_SERVICES_WORKER_SERVER_REQUEST_CHECK_H_
#define TANDEM_SERVICES_WORKER_SERVER_REQUEST_CHECK_H_

#include "engine/base/status.h"
#include "engine/session/sequence_decoder.h"
#include "services/worker/models/worker_model_info.h"
#include "services/worker/schedule/compute_loop.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

// Bytes of a tag's session id at most.
inline constexpr size_t kSessionIdBytesMax = 256;
// Bytes of a tenant's name at most, and milliseconds that an open may wait.
inline constexpr size_t kTenantBytesMax = 256;
inline constexpr int kQueueTimeoutMsMax = 3600000;

absl::Status CheckTag(const v1::StreamTag& tag);

// Errors: NOT_FOUND with UNKNOWN_MODEL, FAILED_PRECONDITION (fingerprint),
// INVALID_ARGUMENT with EMPTY_PROMPT, INVALID_TOKEN, CONTEXT_EXCEEDED or
// INVALID_OPTIONS.
absl::StatusOr<StreamOpen> ReadOpen(const WorkerModelInfo& model,
                                    const v1::OpenSequence& open);

// Errors: FAILED_PRECONDITION with WRONG_STATE (not this worker's role),
// INVALID_ARGUMENT. `tokens_max` is the sequence's.
absl::StatusOr<ComputeRequest> ReadPropose(const WorkerModelInfo& model,
                                           Position tokens_max,
                                           const v1::ProposeTokens& propose);
absl::StatusOr<ComputeRequest> ReadVerify(const WorkerModelInfo& model,
                                          Position tokens_max,
                                          const v1::VerifyTokens& verify);

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_REQUEST_CHECK_H_
