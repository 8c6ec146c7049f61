// The objects of /v1/models. Pure functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_MODEL_LIST_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_MODEL_LIST_H_

#include <cstdint>

#include "services/common/openai/json_fields.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

// `created`: seconds since 1970; the service does not know when a model was
// made.
OrderedJson ModelObject(const v1::ModelInfo& model, int64_t created);
OrderedJson ModelList(const v1::ListModelsResponse& models, int64_t created);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_MODEL_LIST_H_
