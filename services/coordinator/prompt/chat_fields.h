// The parts of a turn that its model's chat template gets: messages and tools,
// taken out of the request. Pure functions; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_PROMPT_CHAT_FIELDS_H_
#define TANDEM_SERVICES_COORDINATOR_PROMPT_CHAT_FIELDS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/template/chat/chat_request.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// Takes the messages. Errors: INVALID_OPTIONS for a role that there is none of,
// and those of CheckChatMessages, by fields of `messages`.
absl::StatusOr<std::vector<ChatMessage>> TakeMessages(
    v1::ChatMessages* messages);

// OK, or INVALID_OPTIONS for tools without messages or with a response format,
// for a field about tools without tools, for a choice that there is none of, a
// name that is none of the tools' or that the choice has no place for, and for
// more calls than a reply may have. Fields are those of the turn: "tools",
// "tool_choice", "tool_name", "tool_calls_max".
absl::Status CheckToolFields(const v1::TurnRequest& turn);

// Takes the tools of a turn that has passed CheckToolFields. Errors: those of
// CheckChatTools.
absl::StatusOr<std::vector<ChatTool>> TakeTools(v1::TurnRequest* turn);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_PROMPT_CHAT_FIELDS_H_
