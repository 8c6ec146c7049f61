#include "services/coordinator/client/session.h"

namespace tandem {
namespace {

// The session, its id as key and value, the nodes of the store's maps, and what
// the journal of its turn shares with writes that are under way.
constexpr int64_t kSessionBytes = 768;

// Where a reply of some kilobytes stands in its grammar.
constexpr size_t kMatcherBytes = 64 << 10;

// About what a turn that does not run takes.
int64_t BytesOf(const SessionTurn& kept) {
  const TurnRunner& runner = kept.runner;
  const Turn& turn = runner.turn();
  size_t bytes = sizeof(SessionTurn) + turn.text().capacity() +
                 turn.session_tokens().capacity() * sizeof(TokenId) +
                 static_cast<size_t>(runner.rounds().bytes()) +
                 turn.logprobs().capacity() * sizeof(SampledToken);
  for (const SampledToken& token : turn.logprobs()) {
    bytes += token.alternatives.capacity() * sizeof(TokenLogprob);
  }
  const GenOptions& options = turn.options();
  bytes += options.logit_bias.capacity() * sizeof(LogitBias) +
           options.stop_token_ids.capacity() * sizeof(TokenId);
  for (const std::string& text : options.stop_strings) bytes += text.capacity();
  if (options.response_format.has_value()) {
    bytes += BytesOf(*options.response_format);
    if (!turn.ended()) bytes += kMatcherBytes;
  }
  if (kept.loaded_end.has_value()) bytes += kept.loaded_end->SpaceUsedLong();
  return static_cast<int64_t>(bytes);
}

}  // namespace

bool SessionTurn::LetGo() {
  runner.SetListener(nullptr);
  journal.SetListener(nullptr);
  journal.Follow(runner, /*rests=*/true);
  return !DiffersFromStore(journal.status());
}

void Session::Take(std::unique_ptr<SessionTurn> turn) {
  turn_ = std::move(turn);
  ++turns_;
  has_unheard_turn_ = false;
}

void Session::SetEpoch(int64_t epoch) {
  epoch_ = epoch;
  is_begun_in_vain_ = false;
  if (turn_ != nullptr) turn_->journal.SetEpoch(epoch);
}

void Session::Restore(int64_t epoch, int64_t number,
                      std::unique_ptr<SessionTurn> turn) {
  epoch_ = epoch;
  turns_ = number;
  turn_ = std::move(turn);
  has_unheard_turn_ = false;
}

absl::Span<const TokenId> Session::History() const {
  if (turn_ == nullptr) return {};
  return turn_->runner.turn().session_tokens();
}

std::optional<TokenId> Session::LastToken() const {
  const absl::Span<const TokenId> history = History();
  if (history.empty()) return std::nullopt;
  return history.back();
}

TurnModel Session::model() const {
  return turn_ == nullptr ? TurnModel() : turn_->runner.model();
}

int64_t Session::bytes() const {
  return kSessionBytes + (turn_ == nullptr ? 0 : BytesOf(*turn_));
}

void Session::LetGo(MonotonicTime now) {
  holder_ = nullptr;
  idle_since_ = now;
}

}  // namespace tandem
