#include "services/coordinator/client/session.h"

#include "engine/base/check.h"

namespace tandem {
namespace {

const std::string& EmptyString() {
  static const std::string empty;
  return empty;
}

}  // namespace

const std::string& Session::model_id() const {
  return turn_ == nullptr ? EmptyString() : turn_->model().id;
}

const std::string& Session::vocabulary_fingerprint() const {
  return turn_ == nullptr ? EmptyString()
                          : turn_->setup().tokenizer->vocabulary_fingerprint();
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

void Session::LetGo(MonotonicTime now) {
  holder_ = nullptr;
  idle_since_ = now;
}

TurnRunner* Session::OpenTurn(std::unique_ptr<TurnRunner> turn) {
  TANDEM_CHECK(opening_ == nullptr);
  opening_ = std::move(turn);
  return opening_.get();
}

void Session::CommitTurn() {
  TANDEM_CHECK(opening_ != nullptr);
  turn_ = std::move(opening_);
  ++turns_;
}

void Session::AbandonTurn() { opening_.reset(); }

}  // namespace tandem
