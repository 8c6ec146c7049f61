// What a client has received of a turn, over one stream or several; checks that
// each event follows what came before, so that no token is given twice and none
// is missing. One thread at a time.

#ifndef TANDEM_SERVICES_CLIENT_RECEIVED_TURN_H_
#define TANDEM_SERVICES_CLIENT_RECEIVED_TURN_H_

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/client/turn_stream.h"

namespace tandem::client {

class ReceivedTurn {
 public:
  ReceivedTurn() = default;
  // Goes on from there.
  explicit ReceivedTurn(TurnPosition from) : position_(std::move(from)) {}

  // The next event is a stream's first.
  void BeginStream() { expects_started_ = true; }

  // Takes an event; whether the reader gets it, which has `started` once and
  // has no use for an event of a later version. Errors: INTERNAL, for an event
  // that does not follow.
  absl::StatusOr<bool> Add(const Event& event);

  const TurnPosition& position() const { return position_; }
  const std::optional<v1::TurnStarted>& started() const { return started_; }
  // Whether the turn's number is known: it can be resumed.
  bool has_number() const { return position_.turn > 0; }

 private:
  absl::StatusOr<bool> AddStarted(const v1::TurnStarted& started);
  absl::StatusOr<bool> AddPrompt(const v1::PromptScored& prompt);
  absl::StatusOr<bool> AddTokens(const v1::TokensGenerated& tokens);
  absl::StatusOr<bool> AddEnded(const v1::TurnEnded& ended);

  TurnPosition position_;
  std::optional<v1::TurnStarted> started_;
  bool expects_started_ = true;
};

}  // namespace tandem::client

#endif  // TANDEM_SERVICES_CLIENT_RECEIVED_TURN_H_
