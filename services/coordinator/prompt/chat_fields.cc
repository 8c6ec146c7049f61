#include "services/coordinator/prompt/chat_fields.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

std::optional<ChatRole> RoleOf(v1::ChatRole role) {
  switch (role) {
    case v1::CHAT_ROLE_SYSTEM:
      return ChatRole::kSystem;
    case v1::CHAT_ROLE_USER:
      return ChatRole::kUser;
    case v1::CHAT_ROLE_ASSISTANT:
      return ChatRole::kAssistant;
    case v1::CHAT_ROLE_TOOL:
      return ChatRole::kTool;
    default:
      return std::nullopt;
  }
}

ChatMessage TakeMessage(ChatRole role, v1::ChatMessage* message) {
  ChatMessage taken = {
      .role = role,
      .content = std::move(*message->mutable_content()),
      .tool_call_id = std::move(*message->mutable_tool_call_id()),
      .name = std::move(*message->mutable_name()),
      .reasoning = std::move(*message->mutable_reasoning())};
  for (v1::ToolCall& call : *message->mutable_tool_calls()) {
    taken.tool_calls.push_back(
        {.id = std::move(*call.mutable_id()),
         .name = std::move(*call.mutable_name()),
         .arguments = std::move(*call.mutable_arguments())});
  }
  return taken;
}

// A turn without tools says nothing of them.
absl::Status CheckNoToolFields(const v1::TurnRequest& turn) {
  constexpr char kWhy[] = "goes with tools only";
  if (turn.tool_choice() != v1::TOOL_CHOICE_UNSPECIFIED) {
    return InvalidField("tool_choice", kWhy);
  }
  if (!turn.tool_name().empty()) return InvalidField("tool_name", kWhy);
  if (turn.tool_calls_max() != 0) return InvalidField("tool_calls_max", kWhy);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ChatMessage>> TakeMessages(
    v1::ChatMessages* messages) {
  std::vector<ChatMessage> taken;
  taken.reserve(static_cast<size_t>(messages->messages_size()));
  for (v1::ChatMessage& message : *messages->mutable_messages()) {
    const std::optional<ChatRole> role = RoleOf(message.role());
    if (!role.has_value()) {
      return InvalidField(
          absl::StrCat("messages[", taken.size(), "].role"),
          absl::StrCat("must be system, user, assistant or tool, is ",
                       static_cast<int>(message.role())));
    }
    taken.push_back(TakeMessage(*role, &message));
  }
  TANDEM_RETURN_IF_ERROR(CheckChatMessages(taken));
  return taken;
}

absl::Status CheckToolFields(const v1::TurnRequest& turn) {
  if (turn.tools().empty()) return CheckNoToolFields(turn);
  if (!turn.has_messages()) {
    return InvalidField("tools", "goes with messages only");
  }
  if (turn.options().has_response_format()) {
    return InvalidField("tools", "does not go with options.response_format");
  }
  if (!v1::ToolChoice_IsValid(turn.tool_choice())) {
    return InvalidField("tool_choice",
                        absl::StrCat("must be a value of ToolChoice, is ",
                                     static_cast<int>(turn.tool_choice())));
  }
  const std::string& name = turn.tool_name();
  if (!name.empty() && turn.tool_choice() != v1::TOOL_CHOICE_REQUIRED) {
    return InvalidField("tool_name",
                        "needs tool_choice to be TOOL_CHOICE_REQUIRED");
  }
  const bool is_there = std::any_of(
      turn.tools().begin(), turn.tools().end(),
      [&name](const v1::Tool& tool) { return tool.name() == name; });
  if (!name.empty() && !is_there) {
    return InvalidField("tool_name", "must be the name of one of the tools");
  }
  const int calls_max = turn.tool_calls_max();
  if (calls_max < 0 || calls_max > static_cast<int>(kToolCallsMax)) {
    return InvalidField(
        "tool_calls_max",
        absl::StrCat("must be in [0, ", kToolCallsMax, "], is ", calls_max));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ChatTool>> TakeTools(v1::TurnRequest* turn) {
  std::vector<ChatTool> taken;
  taken.reserve(static_cast<size_t>(turn->tools_size()));
  for (v1::Tool& tool : *turn->mutable_tools()) {
    taken.push_back({.name = std::move(*tool.mutable_name()),
                     .description = std::move(*tool.mutable_description()),
                     .parameters = std::move(*tool.mutable_parameters())});
  }
  TANDEM_RETURN_IF_ERROR(CheckChatTools(taken));
  return taken;
}

}  // namespace tandem
