// A conversation with a model in this process, with or without speculation:
// the library's face. Drives Turn (turn.h) over local SequenceDecoders. One
// thread at a time.

#ifndef TANDEM_ENGINE_SESSION_INFERENCE_SESSION_H_
#define TANDEM_ENGINE_SESSION_INFERENCE_SESSION_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/sampling/gen_options.h"
#include "engine/session/sequence_decoder.h"
#include "engine/session/turn.h"

namespace tandem {

enum class SessionState {
  kReady,       // takes a prompt
  kGenerating,  // NextToken has more
  kComplete,    // the turn ended by its own text, length or context
  kStopped,     // the turn was cancelled or failed
};

class InferenceSession {
 public:
  // `target` and `draft` (may be null: no speculation) outlive the session.
  // Errors: FAILED_PRECONDITION with VOCABULARY_MISMATCH.
  static absl::StatusOr<std::unique_ptr<InferenceSession>> Create(
      Engine* target, Engine* draft);

  // Starts a turn: the prompt is put after all tokens of the session so far
  // (BOS first in an empty session where the vocabulary adds one; token ids
  // are taken as they are). A turn still generating is cancelled. Errors: as
  // Turn::Check, INVALID_TEXT for text that is not UTF-8; the session is as
  // before then.
  absl::Status StartTurn(absl::string_view prompt, const GenOptions& options);
  absl::Status StartTurn(absl::Span<const TokenId> prompt,
                         const GenOptions& options);

  // The next token, from the buffer or by a round of speculation; nothing when
  // the turn is over. Errors end the turn (state kStopped).
  absl::StatusOr<std::optional<SampledToken>> NextToken();

  // Ends the turn after the tokens already handed out or buffered.
  void Cancel();

  SessionState state() const { return state_; }
  // Of the turn: text decided so far (it lags the tokens by what is held
  // back), finish reason once it is over, seed, usage, speculation figures.
  const std::string& text() const;
  std::optional<FinishReason> finish_reason() const { return finish_reason_; }
  uint64_t seed() const;
  TurnUsage usage() const;
  SpeculationCounts speculation() const;
  // All tokens of the session.
  std::vector<TokenId> tokens() const;

 private:
  InferenceSession() = default;
  // The owner of this class adds private functions and members here.
  SessionState state_ = SessionState::kReady;
  std::optional<FinishReason> finish_reason_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_INFERENCE_SESSION_H_
