#include "services/coordinator/client/turn_journal.h"

#include <utility>

#include "absl/types/span.h"
#include "engine/base/check.h"
#include "services/coordinator/client/turn_events.h"

namespace tandem {
bool DiffersFromStore(const absl::Status& status) {
  return !status.ok() && !absl::IsUnavailable(status) &&
         !absl::IsResourceExhausted(status);
}

// What it calls may end the journal, and the listener with it.
void TurnJournal::Call(State* state) {
  const std::function<void()> listener = state->listener;
  if (listener) listener();
}

TurnJournal::TurnJournal(Setup setup)
    : setup_(std::move(setup)), state_(std::make_shared<State>()) {
  state_->is_begun = setup_.is_begun || !has_store();
  state_->is_over = setup_.is_over;
  state_->written = setup_.written;
}

TurnJournal::~TurnJournal() { state_->is_gone = true; }

StateStore::Committed TurnJournal::OnLoop(
    std::function<void(State*, const absl::Status&)> on_loop) const {
  return [loop = setup_.loop, state = state_,
          run = std::move(on_loop)](absl::Status status) mutable {
    loop->Post([state = std::move(state), run = std::move(run),
                status = std::move(status)] {
      if (!state->is_gone) run(state.get(), status);
    });
  };
}

void TurnJournal::Begin(const TurnRunner& runner, Beginning beginning) {
  if (!has_store()) return;
  state_->is_asked = true;
  const TurnModel& model = runner.model();
  std::optional<SessionRecord> session;
  if (setup_.key.turn == 1) {
    session = {.tenant = runner.setup().tenant,
               .model_id = model.id,
               .vocabulary_fingerprint = model.vocabulary_fingerprint,
               .is_one_shot = beginning.is_one_shot};
  }
  TurnRecord turn = {
      .fingerprint = model.fingerprint,
      .prompt = {beginning.prompt.begin(), beginning.prompt.end()},
      .setup = WriteTurnSetup(runner)};
  setup_.store->BeginTurn({.key = setup_.key,
                           .session = std::move(session),
                           .turn = std::move(turn),
                           .previous = std::move(beginning.previous)},
                          OnLoop([](State* state, const absl::Status& status) {
                            state->is_begun = status.ok();
                            state->status = status;
                            Call(state);
                          }));
}

bool TurnJournal::is_end_answered() const {
  return !has_store() || state_->is_over || state_->has_failed_end;
}

void TurnJournal::Follow(const TurnRunner& runner, bool rests) {
  if (!has_store() || !state_->is_begun || state_->is_over ||
      state_->is_ending || DiffersFromStore(state_->status)) {
    return;
  }
  if (runner.state() == TurnState::kEnded) return WriteEnd(runner);
  if (state_->is_writing) return;
  // Log-probabilities are not stored: who takes such a turn over makes all of
  // it again.
  if (runner.turn().options().logprobs.has_value()) return;
  const int64_t unwritten = runner.usage().generated_tokens - state_->written;
  if (unwritten >= (rests ? 1 : kJournalTokens)) WriteTokens(runner);
}

TurnTokens TurnJournal::TokensFrom(const TurnRunner& runner,
                                   int64_t first) const {
  const absl::Span<const TokenId> tokens =
      runner.turn().generated().subspan(static_cast<size_t>(first));
  return {.key = setup_.key,
          .first_token = first,
          .tokens = {tokens.begin(), tokens.end()},
          .elapsed_ms = runner.times().total_us / 1000};
}

TurnEnd TurnJournal::EndOf(const TurnRunner& runner) const {
  return {.last = TokensFrom(runner, state_->written),
          .reason = runner.finish_reason(),
          .figures = EndedEvent(runner, runner.turn().text().size())
                         .ended()
                         .SerializeAsString()};
}

void TurnJournal::WriteTokens(const TurnRunner& runner) {
  const int64_t end = runner.usage().generated_tokens;
  state_->is_writing = true;
  setup_.store->AddTokens(
      TokensFrom(runner, state_->written),
      OnLoop([end](State* state, const absl::Status& status) {
        state->is_writing = false;
        state->status = status;
        if (status.ok()) state->written = end;
        Call(state);
      }));
}

// Tokens that are being written stand in it again; the store takes both in
// order.
void TurnJournal::WriteEnd(const TurnRunner& runner) {
  state_->is_ending = true;
  state_->has_failed_end = false;
  setup_.store->EndTurn(EndOf(runner),
                        OnLoop([](State* state, const absl::Status& status) {
                          state->is_ending = false;
                          state->status = status;
                          state->is_over = status.ok();
                          state->has_failed_end = !status.ok();
                          Call(state);
                        }));
}

std::optional<TurnEnd> TurnJournal::UnstoredEnd(
    const TurnRunner& runner) const {
  if (!has_store() || state_->is_over) return std::nullopt;
  TANDEM_CHECK(runner.state() == TurnState::kEnded ||
               runner.state() == TurnState::kFailed);
  return EndOf(runner);
}

}  // namespace tandem
