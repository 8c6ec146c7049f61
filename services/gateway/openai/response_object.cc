#include "services/gateway/openai/response_object.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/gateway/openai/reply_parts.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {
namespace {

bool IsWhole(const v1::TurnEnded& ended) {
  return FinishReasonOf(ended.finish_reason()) == "stop";
}

std::string StatusOf(const v1::TurnEnded* ended) {
  if (ended == nullptr) return "in_progress";
  return IsWhole(*ended) ? "completed" : "incomplete";
}

OrderedJson UsageOf(const v1::Usage& usage) {
  OrderedJson json;
  json["input_tokens"] = usage.prompt_tokens();
  json["input_tokens_details"]["cached_tokens"] = usage.cached_prompt_tokens();
  json["output_tokens"] = usage.generated_tokens();
  json["output_tokens_details"]["reasoning_tokens"] = 0;
  json["total_tokens"] = usage.prompt_tokens() + usage.generated_tokens();
  return json;
}

}  // namespace

std::string ResponseId(const v1::TurnStarted& started) {
  return absl::StrCat("resp_",
                      WriteTurnName(started.session_id(), started.turn()));
}

std::string ResponseItemId(const v1::TurnStarted& started) {
  return absl::StrCat("msg_",
                      WriteTurnName(started.session_id(), started.turn()));
}

OrderedJson ResponsePart(const std::string& text) {
  OrderedJson part;
  part["type"] = "output_text";
  part["text"] = text;
  part["annotations"] = OrderedJson::array();
  return part;
}

OrderedJson ResponseItem(const v1::TurnStarted& started,
                         const std::string& text, const v1::TurnEnded* ended) {
  OrderedJson item;
  item["id"] = ResponseItemId(started);
  item["type"] = "message";
  item["status"] = StatusOf(ended);
  item["role"] = "assistant";
  item["content"] = OrderedJson::array();
  if (ended != nullptr) item["content"].push_back(ResponsePart(text));
  return item;
}

OrderedJson ResponseObject(const ReplyFormat& format,
                           const v1::TurnStarted& started,
                           const std::string& text,
                           const v1::TurnEnded* ended) {
  OrderedJson json;
  json["id"] = ResponseId(started);
  json["object"] = "response";
  json["created_at"] = format.created;
  json["status"] = StatusOf(ended);
  json["error"] = nullptr;
  json["incomplete_details"] = nullptr;
  if (ended != nullptr && !IsWhole(*ended)) {
    json["incomplete_details"]["reason"] = "max_output_tokens";
  }
  for (const auto& item : format.repeated.items()) {
    json[item.key()] = item.value();
  }
  json["model"] = started.model_id();
  json["output"] = OrderedJson::array();
  if (ended != nullptr) {
    json["output"].push_back(ResponseItem(started, text, ended));
  }
  json["parallel_tool_calls"] = false;
  json["store"] = true;
  json["text"]["format"]["type"] = "text";
  json["tool_choice"] = "none";
  json["tools"] = OrderedJson::array();
  json["truncation"] = "disabled";
  json["usage"] = ended == nullptr ? OrderedJson() : UsageOf(ended->usage());
  json["metadata"] = OrderedJson::object();
  return json;
}

}  // namespace tandem::gateway
