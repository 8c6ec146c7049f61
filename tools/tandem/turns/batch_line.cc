#include "tools/tandem/turns/batch_line.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/hash.h"
#include "engine/base/status.h"
#include "google/protobuf/descriptor.h"
#include "services/common/openai/chat_json.h"
#include "tools/tandem/base/json_input.h"

namespace tandem::cli {
namespace {

// Digits of DigestOfLine: a line of another file passes with odds of 2^-64.
constexpr size_t kDigestDigits = 16;

absl::Status Malformed(absl::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.reason = kReasonInvalidOptions},
                   absl::StrCat("the line ", what));
}

absl::Status ReadPrompt(const Json& prompt, v1::TurnRequest* turn) {
  if (prompt.is_string()) {
    turn->set_text(prompt.get<std::string>());
    return absl::OkStatus();
  }
  const auto ids = ReadTokenIds(prompt, "prompt");
  if (!ids.ok()) {
    return Malformed("has a prompt that is neither a text nor token ids");
  }
  turn->mutable_tokens()->mutable_ids()->Add(ids->begin(), ids->end());
  return absl::OkStatus();
}

// Takes the member out of the object.
std::optional<Json> Take(const char* name, Json* json) {
  const auto found = json->find(name);
  if (found == json->end()) return std::nullopt;
  Json value = std::move(*found);
  json->erase(found);
  return value;
}

// The fields of a conversation, as OpenAI's API has them, and those of its
// prompt that are a service's own.
Json TakeChat(Json* json) {
  Json chat = Json::object();
  for (const char* name :
       {"messages", "template_options", "tools", "tool_choice",
        "parallel_tool_calls", "split_reply"}) {
    if (std::optional<Json> value = Take(name, json)) {
      chat[name] = *std::move(value);
    }
  }
  return chat;
}

// The defaults, with what the line says in their place: a list as a whole.
absl::StatusOr<v1::GenerationOptions> ReadOptions(
    const Json& json, const BatchDefaults& defaults) {
  v1::GenerationOptions own;
  const absl::Status status = ReadMessage(json, "options", &own);
  if (!status.ok()) {
    return Malformed(absl::StrCat("has wrong ", status.message()));
  }
  v1::GenerationOptions options = defaults.options;
  std::vector<const google::protobuf::FieldDescriptor*> set;
  own.GetReflection()->ListFields(own, &set);
  for (const auto* field : set) {
    options.GetReflection()->ClearField(&options, field);
  }
  options.MergeFrom(own);
  if (!options.has_seed()) options.set_seed(0);
  return options;
}

absl::StatusOr<v1::TurnRequest> ReadTurn(Json json,
                                         const BatchDefaults& defaults) {
  v1::TurnRequest turn;
  const std::optional<Json> prompt = Take("prompt", &json);
  const Json chat = TakeChat(&json);
  if (prompt.has_value() == !chat.value("messages", Json()).is_null()) {
    return Malformed("must have either prompt or messages");
  }
  if (const absl::Status read = ParseChat(chat.dump(), &turn); !read.ok()) {
    return Malformed(absl::StrCat("is wrong: ", read.message()));
  }
  if (prompt.has_value()) TANDEM_RETURN_IF_ERROR(ReadPrompt(*prompt, &turn));
  turn.set_model_id(defaults.model_id);
  if (const std::optional<Json> model = Take("model_id", &json)) {
    if (!model->is_string()) return Malformed("has a model_id that is no text");
    turn.set_model_id(model->get<std::string>());
  }
  if (const std::optional<Json> special = Take("parse_special", &json)) {
    if (!special->is_boolean()) {
      return Malformed("has a parse_special that is not true or false");
    }
    turn.set_parse_special(special->get<bool>());
  }
  TANDEM_ASSIGN_OR_RETURN(*turn.mutable_options(), ReadOptions(json, defaults));
  return turn;
}

Json NamedLine(const BatchLineName& name) {
  return {{"id", name.id}, {"input", name.digest}};
}

}  // namespace

std::string DigestOfLine(absl::string_view line,
                         const BatchDefaults& defaults) {
  Sha256 hash;
  hash.AddString(line);
  hash.AddString(defaults.model_id);
  hash.AddString(defaults.options.SerializeAsString());
  return hash.HexDigest().substr(0, kDigestDigits);
}

BatchLine ParseBatchLine(absl::string_view line, int64_t number,
                         const BatchDefaults& defaults) {
  BatchLine parsed = {
      .name = {.id = number, .digest = DigestOfLine(line, defaults)},
      .turn = absl::UnknownError("")};
  absl::StatusOr<Json> json = ParseJsonObject(line);
  if (!json.ok()) {
    parsed.turn = Malformed(json.status().message());
    return parsed;
  }
  if (std::optional<Json> id = Take("id", &*json)) {
    if (!id->is_string() && !id->is_number_integer()) {
      parsed.turn = Malformed("has an id that is neither a text nor a number");
      return parsed;
    }
    parsed.name.id = *std::move(id);
  }
  parsed.turn = ReadTurn(*std::move(json), defaults);
  return parsed;
}

Json ResultLine(const BatchLineName& name, const TurnRecord& record) {
  Json line = NamedLine(name);
  const Json turn = TurnJson(record);
  for (const char* key : {"text", "token_ids", "finish_reason"}) {
    line[key] = turn[key];
  }
  const v1::Usage& usage = record.ended.usage();
  line["usage"] = {{"prompt_tokens", usage.prompt_tokens()},
                   {"generated_tokens", usage.generated_tokens()}};
  for (const char* key : {"template_date", "reply", "logprobs", "receipt"}) {
    if (turn.contains(key)) line[key] = turn[key];
  }
  return line;
}

Json ErrorLine(const BatchLineName& name, const absl::Status& error) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(error);
  Json line = NamedLine(name);
  line["error"] = {
      {"reason", detail.has_value() ? detail->reason
                                    : absl::StatusCodeToString(error.code())},
      {"message", std::string(error.message())}};
  return line;
}

bool IsErrorOfLine(const absl::Status& error) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(error);
  if (!detail.has_value()) return false;
  for (const char* reason :
       {kReasonInvalidOptions, kReasonInvalidText, kReasonEmptyPrompt,
        kReasonInvalidToken, kReasonContextExceeded, kReasonNoToken,
        kReasonUnsupportedChatTemplate, kReasonUnsupportedTools,
        kReasonPromptQuarantined}) {
    if (detail->reason == reason) return true;
  }
  return false;
}

}  // namespace tandem::cli
