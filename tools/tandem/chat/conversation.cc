#include "tools/tandem/chat/conversation.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/client/joined_reply.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {
namespace {

v1::ChatMessage* AddMessage(v1::ChatRole role, const std::string& content,
                            v1::ChatMessages* messages) {
  v1::ChatMessage* const message = messages->add_messages();
  message->set_role(role);
  message->set_content(content);
  return message;
}

}  // namespace

Conversation::Conversation(ConversationOptions options)
    : options_(std::move(options)),
      session_id_(options_.session_id),
      is_known_whole_(options_.session_id.empty()) {}

v1::TurnRequest Conversation::Request(
    const std::string& prompt, const v1::GenerationOptions& options) const {
  v1::TurnRequest request = options_.base;
  *request.mutable_options() = options;
  request.set_session_id(session_id_);
  if (options_.is_plain) {
    request.set_text(session_id_.empty() ? PlainHistory() + prompt : prompt);
    return request;
  }
  request.set_split_reply(true);
  v1::ChatMessages* const messages = request.mutable_messages();
  if (options_.system.has_value() && !is_system_told_) {
    AddMessage(v1::CHAT_ROLE_SYSTEM, *options_.system, messages);
  }
  if (session_id_.empty()) AddHistory(messages);
  AddMessage(v1::CHAT_ROLE_USER, prompt, messages);
  return request;
}

void Conversation::AddHistory(v1::ChatMessages* messages) const {
  for (const ChatTurn& turn : turns_) {
    AddMessage(v1::CHAT_ROLE_USER, turn.prompt, messages);
    const v1::ReplyDelta reply = client::PartsOf(turn.record.tokens);
    AddMessage(v1::CHAT_ROLE_ASSISTANT, reply.content(), messages)
        ->set_reasoning(reply.reasoning());
  }
}

std::string Conversation::PlainHistory() const {
  std::string text;
  for (const ChatTurn& turn : turns_) {
    absl::StrAppend(&text, turn.prompt, turn.record.tokens.text());
  }
  return text;
}

void Conversation::Add(ChatTurn turn) {
  session_id_ = turn.record.started.session_id();
  is_system_told_ = options_.system.has_value();
  // The session may have more of the reply than came here.
  const bool is_whole = !turn.error.has_value();
  turns_.push_back(std::move(turn));
  if (!is_whole && is_known_whole_) ForgetSession();
}

absl::StatusOr<ChatTurn> Conversation::TakeBack() {
  if (turns_.empty()) {
    return UsageError("there is no message yet that could be answered again");
  }
  if (!is_known_whole_) {
    return UsageError(
        "this chat went on with a session by --session and does not know what "
        "was said before: /new begins a conversation that can be retried");
  }
  ChatTurn last = std::move(turns_.back());
  turns_.pop_back();
  ForgetSession();
  return last;
}

void Conversation::PutBack(ChatTurn turn) { turns_.push_back(std::move(turn)); }

bool Conversation::ForgetSession() {
  if (!is_known_whole_) return false;
  session_id_.clear();
  is_system_told_ = false;
  return true;
}

void Conversation::Clear() {
  turns_.clear();
  is_known_whole_ = true;
  ForgetSession();
}

absl::Status Conversation::SetSystem(absl::string_view text) {
  if (options_.is_plain) {
    return UsageError("a chat of plain texts has no system message");
  }
  if (!ForgetSession()) {
    return UsageError(
        "this chat went on with a session by --session and does not know what "
        "was said before: /new begins a conversation that takes another system "
        "message");
  }
  if (text.empty()) {
    options_.system.reset();
  } else {
    options_.system = std::string(text);
  }
  return absl::OkStatus();
}

}  // namespace tandem::cli
