// The objects of /v1/responses, and the items that a reply consists of there.
// Pure functions; any thread.

#ifndef TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_OBJECT_H_
#define TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_OBJECT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "services/common/openai/json_fields.h"
#include "services/gateway/openai/api_request.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::gateway {

// What the model thought, its answer or a call of a tool, in the order in which
// it wrote them.
struct OutputItem {
  enum class Kind { kReasoning, kMessage, kCall };
  Kind kind = Kind::kMessage;
  std::string text = {};  // of a call its arguments
  // Of a call.
  int32_t call = 0;  // its index in the reply
  std::string call_id = {};
  std::string name = {};
  int64_t index = 0;  // in the output
};

// What `parts` adds to `items`: items with what is new. One that goes on with
// the last of `items` comes first.
std::vector<OutputItem> PiecesOf(const v1::ReplyDelta& parts,
                                 const std::vector<OutputItem>& items);
// Whether `piece` goes on with the last of `items`; else it begins the next.
bool GoesOn(const OutputItem& piece, const std::vector<OutputItem>& items);
// Adds all of `parts`.
void JoinItems(const v1::ReplyDelta& parts, std::vector<OutputItem>* items);

// "resp_SESSION-TURN", which previous_response_id takes.
std::string ResponseId(const v1::TurnStarted& started);
// "msg_SESSION-TURN"; of items but the first with "-INDEX".
std::string ResponseItemId(const v1::TurnStarted& started,
                           const OutputItem& item);

// "in_progress", where `ended` is null; "completed" or "incomplete".
std::string ResponseStatus(const v1::TurnEnded* ended);
// The part that a message or reasoning has: {"type": "output_text", ...}
OrderedJson ResponsePart(const OutputItem& item);
// The item; with the status "in_progress" it has no text yet.
OrderedJson ResponseItem(const v1::TurnStarted& started, const OutputItem& item,
                         const std::string& status);
// The whole response; a turn that ended without an item has an empty message.
OrderedJson ResponseObject(const ReplyFormat& format,
                           const v1::TurnStarted& started,
                           const std::vector<OutputItem>& items,
                           const v1::TurnEnded* ended);

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_OPENAI_RESPONSE_OBJECT_H_
