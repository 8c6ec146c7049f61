#include "services/gateway/openai/model_list.h"

#include <utility>

#include "services/gateway/openai/proto_json.h"

namespace tandem::gateway {

OrderedJson ModelObject(const v1::ModelInfo& model, int64_t created) {
  OrderedJson json;
  json["id"] = model.model_id();
  json["object"] = "model";
  json["created"] = created;
  json["owned_by"] = "tandem";
  // Under the name that vLLM has for it.
  json["max_model_len"] = model.context_max();
  json["tandem"] = ToJson(model);
  return json;
}

OrderedJson ModelList(const v1::ListModelsResponse& models, int64_t created) {
  OrderedJson json;
  json["object"] = "list";
  json["data"] = OrderedJson::array();
  for (const v1::ModelInfo& model : models.models()) {
    json["data"].push_back(ModelObject(model, created));
  }
  return json;
}

}  // namespace tandem::gateway
