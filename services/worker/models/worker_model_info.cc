#include "services/worker/models/worker_model_info.h"

namespace tandem {

void FillProto(const WorkerModelInfo& info, v1::WorkerModel* model) {
  model->set_model_id(info.model_id);
  model->set_fingerprint(info.fingerprint);
  model->set_vocabulary_fingerprint(info.vocabulary_fingerprint);
  model->set_numerics(info.numerics);
  model->set_context_max(info.context_max);
  model->set_vocab_size(info.vocab_size);
}

}  // namespace tandem
