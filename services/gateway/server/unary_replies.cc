#include "services/gateway/server/unary_replies.h"

#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/common/flag_values.h"
#include "services/common/openai/json_fields.h"
#include "services/common/version.h"
#include "services/common/worker_protocol.h"
#include "services/gateway/openai/api_error.h"
#include "services/gateway/openai/model_list.h"
#include "services/gateway/openai/proto_json.h"
#include "services/gateway/server/call_pool.h"

namespace tandem::gateway {
namespace {

// A probe waits 1 s or more.
constexpr absl::Duration kHealthTimeout = absl::Milliseconds(800);

HttpResponse Ok(const OrderedJson& json) { return {.body = WriteJson(json)}; }

HttpResponse Failed(const absl::Status& status) {
  return ErrorResponse(InTermsOf(status, {}));
}

// OpenAI's defaults, where they are not the service's.
OrderedJson OpenAiDefaults() {
  OrderedJson json;
  json["temperature"] = 1;
  json["top_p"] = 1;
  json["top_k"] = 0;
  json["min_p"] = 0;
  json["repetition_penalty"] = 1;
  return json;
}

absl::StatusOr<v1::TokenizeRequest> ParseTokenize(const std::string& body) {
  TANDEM_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(body));
  JsonFields fields(json);
  v1::TokenizeRequest request;
  request.set_model_id(fields.Text("model").value_or(""));
  request.set_text(fields.Text("text").value_or(""));
  if (const auto add_bos = fields.Bool("add_bos")) {
    request.set_add_bos(*add_bos);
  }
  request.set_parse_special(fields.Bool("parse_special").value_or(false));
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  return request;
}

absl::StatusOr<v1::DetokenizeRequest> ParseDetokenize(const std::string& body) {
  TANDEM_ASSIGN_OR_RETURN(const Json json, ParseJsonObject(body));
  JsonFields fields(json);
  v1::DetokenizeRequest request;
  request.set_model_id(fields.Text("model").value_or(""));
  if (const auto skip = fields.Bool("skip_special")) {
    request.set_skip_special(*skip);
  }
  const Json* tokens = fields.Any("tokens");
  const bool is_list = tokens != nullptr && tokens->is_array();
  if (!is_list) fields.Fail("tokens", "must be a list of token ids");
  for (size_t i = 0; is_list && i < tokens->size(); ++i) {
    const Json& id = (*tokens)[i];
    if (!id.is_number_integer() || id != id.get<int32_t>()) {
      fields.Fail("tokens", "must be a list of token ids");
      break;
    }
    request.add_token_ids(id.get<int32_t>());
  }
  TANDEM_RETURN_IF_ERROR(fields.Finish());
  return request;
}

}  // namespace

HttpResponse ReplyModels(client::Client* client,
                         const client::CallOptions& call) {
  const absl::StatusOr<v1::ListModelsResponse> models =
      client->ListModels(call);
  if (!models.ok()) return Failed(models.status());
  return Ok(ModelList(*models, absl::ToUnixSeconds(absl::Now())));
}

HttpResponse ReplyModel(client::Client* client, const client::CallOptions& call,
                        const std::string& id) {
  const absl::StatusOr<v1::ListModelsResponse> models =
      client->ListModels(call);
  if (!models.ok()) return Failed(models.status());
  for (const v1::ModelInfo& model : models->models()) {
    if (model.model_id() == id) {
      return Ok(ModelObject(model, absl::ToUnixSeconds(absl::Now())));
    }
  }
  return Failed(UnknownModel(absl::StrCat("there is no model ", QuotedValue(id),
                                          "; GET /v1/models has all")));
}

HttpResponse ReplyStatus(client::Client* client,
                         const client::CallOptions& call) {
  const absl::StatusOr<v1::GetStatusResponse> status = client->GetStatus(call);
  return status.ok() ? Ok(ToJson(*status)) : Failed(status.status());
}

HttpResponse ReplyInfo(client::Client* client,
                       const client::CallOptions& call) {
  absl::StatusOr<v1::GetServerInfoResponse> info =
      client->GetServerInfo({.timeout = call.timeout});
  const bool wants_key = absl::IsUnauthenticated(info.status());
  if (wants_key && !call.api_key.empty()) info = client->GetServerInfo(call);
  OrderedJson json;
  json["version"] = kTandemVersion;
  json["keys"] = wants_key;
  if (info.ok()) {
    json["coordinator_version"] = info->version();
    json["limits"] = ToJson(info->limits());
    json["default_options"]["openai"] = OpenAiDefaults();
    json["default_options"]["tandem"] = ToJson(info->default_options());
  } else if (!absl::IsUnauthenticated(info.status()) &&
             !absl::IsPermissionDenied(info.status())) {
    return Failed(info.status());
  }
  return Ok(json);
}

HttpResponse ReplyTokenize(client::Client* client,
                           const client::CallOptions& call,
                           const std::string& body) {
  const absl::StatusOr<v1::TokenizeRequest> request = ParseTokenize(body);
  if (!request.ok()) return ErrorResponse(request.status());
  const absl::StatusOr<v1::TokenizeResponse> response =
      client->Tokenize(*request, call);
  if (!response.ok()) return Failed(response.status());
  OrderedJson json;
  json["count"] = response->token_ids_size();
  json["tokens"] = OrderedJson::array();
  for (const int32_t id : response->token_ids()) json["tokens"].push_back(id);
  return Ok(json);
}

HttpResponse ReplyDetokenize(client::Client* client,
                             const client::CallOptions& call,
                             const std::string& body) {
  const absl::StatusOr<v1::DetokenizeRequest> request = ParseDetokenize(body);
  if (!request.ok()) return ErrorResponse(request.status());
  const absl::StatusOr<v1::DetokenizeResponse> response =
      client->Detokenize(*request, call);
  if (!response.ok()) return Failed(response.status());
  OrderedJson json;
  json["text"] = response->text();
  return Ok(json);
}

absl::StatusOr<std::string> TextOfPrompt(client::Client* client,
                                         client::CallOptions call,
                                         const v1::TurnRequest& turn) {
  call.timeout = kCallTimeout;
  v1::DetokenizeRequest request;
  request.set_model_id(turn.model_id());
  *request.mutable_token_ids() = turn.tokens().ids();
  TANDEM_ASSIGN_OR_RETURN(v1::DetokenizeResponse response,
                          client->Detokenize(request, call));
  return std::move(*response.mutable_text());
}

HttpResponse ReplyHealth(client::Client* client) {
  OrderedJson json;
  if (client->IsHealthy(kHealthReady, kHealthTimeout)) {
    json["status"] = "ok";
    return Ok(json);
  }
  json["status"] = "not ready";
  HttpResponse response = Ok(json);
  response.status = 503;
  response.headers.push_back({"Retry-After", "1"});
  return response;
}

}  // namespace tandem::gateway
