#include "services/coordinator/client/session.h"

namespace tandem {

void Session::Take(std::unique_ptr<TurnRunner> turn) {
  turn_ = std::move(turn);
  ++turns_;
}

absl::Span<const TokenId> Session::History() const {
  if (turn_ == nullptr) return {};
  return turn_->turn().session_tokens();
}

std::optional<TokenId> Session::LastToken() const {
  const absl::Span<const TokenId> history = History();
  if (history.empty()) return std::nullopt;
  return history.back();
}

TurnModel Session::model() const {
  return turn_ == nullptr ? TurnModel() : turn_->model();
}

void Session::LetGo(MonotonicTime now) {
  holder_ = nullptr;
  idle_since_ = now;
}

}  // namespace tandem
