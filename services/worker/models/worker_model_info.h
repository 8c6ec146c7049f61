// What a worker tells about a model: plain values, so that the service needs
// no model to be tested.

#ifndef TANDEM_SERVICES_WORKER_MODELS_WORKER_MODEL_INFO_H_
#define TANDEM_SERVICES_WORKER_MODELS_WORKER_MODEL_INFO_H_

#include <cstdint>
#include <string>

#include "engine/base/types.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

struct WorkerModelInfo {
  v1::WorkerRole role = v1::WORKER_ROLE_TARGET;
  std::string model_id;
  std::string fingerprint;
  std::string vocabulary_fingerprint;
  std::string numerics;  // NumericsModeName
  Position context_max = 0;
  int vocab_size = 0;
  int64_t weight_bytes = 0;  // in memory
  bool takes_turns = false;  // with other processes on the same cores
};

void FillProto(const WorkerModelInfo& info, v1::WorkerModel* model);

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_MODELS_WORKER_MODEL_INFO_H_
