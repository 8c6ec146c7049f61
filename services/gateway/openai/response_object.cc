#include "services/gateway/openai/response_object.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/gateway/openai/reply_parts.h"
#include "services/gateway/openai/shared_fields.h"

namespace tandem::gateway {
namespace {

using Kind = OutputItem::Kind;

constexpr char kInProgress[] = "in_progress";

bool IsWhole(const v1::TurnEnded& ended) {
  return FinishReasonOf(ended.finish_reason()) == "stop";
}

const char* PrefixOf(Kind kind) {
  switch (kind) {
    case Kind::kReasoning:
      return "rs_";
    case Kind::kMessage:
      return "msg_";
    case Kind::kCall:
      break;
  }
  return "fc_";
}

// Tokens of reasoning are not counted apart, and clients want their number.
OrderedJson UsageOf(const v1::Usage& usage) {
  OrderedJson json;
  json["input_tokens"] = usage.prompt_tokens();
  json["input_tokens_details"]["cached_tokens"] = usage.cached_prompt_tokens();
  json["output_tokens"] = usage.generated_tokens();
  json["output_tokens_details"]["reasoning_tokens"] = 0;
  json["total_tokens"] = usage.prompt_tokens() + usage.generated_tokens();
  return json;
}

// Items but the last are whole.
OrderedJson OutputOf(const v1::TurnStarted& started,
                     const std::vector<OutputItem>& items,
                     const v1::TurnEnded& ended) {
  OrderedJson output = OrderedJson::array();
  for (size_t i = 0; i < items.size(); ++i) {
    const bool is_last = i + 1 == items.size();
    output.push_back(ResponseItem(
        started, items[i], is_last ? ResponseStatus(&ended) : "completed"));
  }
  if (items.empty()) {
    output.push_back(ResponseItem(started, {}, ResponseStatus(&ended)));
  }
  return output;
}

}  // namespace

std::vector<OutputItem> PiecesOf(const v1::ReplyDelta& parts,
                                 const std::vector<OutputItem>& items) {
  std::vector<OutputItem> pieces;
  if (!parts.reasoning().empty()) {
    pieces.push_back({.kind = Kind::kReasoning, .text = parts.reasoning()});
  }
  if (!parts.content().empty()) {
    pieces.push_back({.kind = Kind::kMessage, .text = parts.content()});
  }
  for (const v1::ToolCallDelta& call : parts.tool_calls()) {
    pieces.push_back({.kind = Kind::kCall,
                      .text = call.arguments(),
                      .call = call.index(),
                      .call_id = call.id(),
                      .name = call.name()});
  }
  std::stable_partition(
      pieces.begin(), pieces.end(),
      [&items](const OutputItem& piece) { return GoesOn(piece, items); });
  return pieces;
}

bool GoesOn(const OutputItem& piece, const std::vector<OutputItem>& items) {
  return !items.empty() && items.back().kind == piece.kind &&
         items.back().call == piece.call;
}

void JoinItems(const v1::ReplyDelta& parts, std::vector<OutputItem>* items) {
  for (OutputItem& piece : PiecesOf(parts, *items)) {
    if (GoesOn(piece, *items)) {
      items->back().text += piece.text;
    } else {
      piece.index = static_cast<int64_t>(items->size());
      items->push_back(std::move(piece));
    }
  }
}

std::string ResponseId(const v1::TurnStarted& started) {
  return absl::StrCat("resp_",
                      WriteTurnName(started.session_id(), started.turn()));
}

std::string ResponseItemId(const v1::TurnStarted& started,
                           const OutputItem& item) {
  std::string id = absl::StrCat(
      PrefixOf(item.kind), WriteTurnName(started.session_id(), started.turn()));
  if (item.index > 0) absl::StrAppend(&id, "-", item.index);
  return id;
}

std::string ResponseStatus(const v1::TurnEnded* ended) {
  if (ended == nullptr) return kInProgress;
  return IsWhole(*ended) ? "completed" : "incomplete";
}

OrderedJson ResponsePart(const OutputItem& item) {
  OrderedJson part;
  const bool is_message = item.kind == Kind::kMessage;
  part["type"] = is_message ? "output_text" : "reasoning_text";
  part["text"] = item.text;
  if (is_message) part["annotations"] = OrderedJson::array();
  return part;
}

OrderedJson ResponseItem(const v1::TurnStarted& started, const OutputItem& item,
                         const std::string& status) {
  const bool has_text = status != kInProgress;
  OrderedJson json;
  json["id"] = ResponseItemId(started, item);
  if (item.kind == Kind::kCall) {
    json["type"] = "function_call";
    json["status"] = status;
    json["call_id"] = item.call_id;
    json["name"] = item.name;
    json["arguments"] = has_text ? item.text : "";
    return json;
  }
  const bool is_message = item.kind == Kind::kMessage;
  json["type"] = is_message ? "message" : "reasoning";
  json["status"] = status;
  if (is_message) {
    json["role"] = "assistant";
  } else {
    json["summary"] = OrderedJson::array();
  }
  json["content"] = OrderedJson::array();
  if (has_text) json["content"].push_back(ResponsePart(item));
  return json;
}

OrderedJson ResponseObject(const ReplyFormat& format,
                           const v1::TurnStarted& started,
                           const std::vector<OutputItem>& items,
                           const v1::TurnEnded* ended) {
  OrderedJson json;
  json["id"] = ResponseId(started);
  json["object"] = "response";
  json["created_at"] = format.created;
  json["status"] = ResponseStatus(ended);
  json["error"] = nullptr;
  json["incomplete_details"] = nullptr;
  if (ended != nullptr && !IsWhole(*ended)) {
    json["incomplete_details"]["reason"] = "max_output_tokens";
  }
  // Defaults of fields that a request may have, which is then repeated.
  json["parallel_tool_calls"] = true;
  json["text"]["format"]["type"] = "text";
  json["tool_choice"] = "auto";
  json["tools"] = OrderedJson::array();
  for (const auto& item : format.repeated.items()) {
    json[item.key()] = item.value();
  }
  json["model"] = started.model_id();
  json["output"] = OrderedJson::array();
  if (ended != nullptr) json["output"] = OutputOf(started, items, *ended);
  json["store"] = true;
  json["truncation"] = "disabled";
  json["usage"] = ended == nullptr ? OrderedJson() : UsageOf(ended->usage());
  json["metadata"] = OrderedJson::object();
  return json;
}

}  // namespace tandem::gateway
