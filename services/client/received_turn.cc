#include "services/client/received_turn.h"

#include "absl/strings/str_cat.h"

namespace tandem::client {
namespace {

absl::Status DoesNotFollow(const std::string& what) {
  return absl::InternalError(
      absl::StrCat("the service sent an event that does not follow: ", what));
}

}  // namespace

absl::StatusOr<bool> ReceivedTurn::Add(const Event& event) {
  if (event.event_case() == Event::EVENT_NOT_SET) return false;
  if (event.has_started() != expects_started_) {
    return DoesNotFollow(expects_started_ ? "the first is not `started`"
                                          : "`started` twice");
  }
  expects_started_ = false;
  if (event.has_started()) return AddStarted(event.started());
  if (event.has_prompt()) return AddPrompt(event.prompt());
  if (event.has_tokens()) return AddTokens(event.tokens());
  return AddEnded(event.ended());
}

absl::StatusOr<bool> ReceivedTurn::AddStarted(const v1::TurnStarted& started) {
  if (has_number() && (started.session_id() != position_.session_id ||
                       started.turn() != position_.turn)) {
    return DoesNotFollow(absl::StrCat("turn ", started.turn(), " where turn ",
                                      position_.turn,
                                      " of the session was asked for"));
  }
  if (started_.has_value()) {
    if (started.fingerprint() == started_->fingerprint()) return false;
    return DoesNotFollow("another model goes on with the turn");
  }
  started_ = started;
  position_.session_id = started.session_id();
  position_.turn = started.turn();
  return true;
}

absl::StatusOr<bool> ReceivedTurn::AddPrompt(const v1::PromptScored& prompt) {
  if (prompt.first_token() != position_.prompt_tokens) {
    return DoesNotFollow(absl::StrCat("token ", prompt.first_token(),
                                      " of the prompt where token ",
                                      position_.prompt_tokens, " is next"));
  }
  position_.prompt_tokens += prompt.token_ids_size();
  return true;
}

absl::StatusOr<bool> ReceivedTurn::AddTokens(
    const v1::TokensGenerated& tokens) {
  if (tokens.first_token() != position_.tokens) {
    return DoesNotFollow(absl::StrCat("token ", tokens.first_token(),
                                      " where token ", position_.tokens,
                                      " is next"));
  }
  position_.tokens += tokens.token_ids_size();
  position_.text_bytes += static_cast<int64_t>(tokens.text().size());
  return true;
}

absl::StatusOr<bool> ReceivedTurn::AddEnded(const v1::TurnEnded& ended) {
  if (ended.has_usage() &&
      ended.usage().generated_tokens() != position_.tokens) {
    return DoesNotFollow(
        absl::StrCat("the turn ended with ", ended.usage().generated_tokens(),
                     " tokens, of which ", position_.tokens, " came"));
  }
  position_.text_bytes += static_cast<int64_t>(ended.text().size());
  return true;
}

}  // namespace tandem::client
