// A conversation with a model in this process, with or without speculation:
// the library's face. Drives Turn (turn.h) over local SequenceDecoders. One
// thread at a time.
//
// A turn opens its own sequences and frees them when it is over: between turns
// a session holds token ids only, no KV, and any number of idle sessions share
// an engine. A turn prefills the part of the history whose KV the engine has
// not kept.

#ifndef TANDEM_ENGINE_SESSION_INFERENCE_SESSION_H_
#define TANDEM_ENGINE_SESSION_INFERENCE_SESSION_H_

#include <deque>
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
#include "engine/speculation/cost_curve.h"
#include "engine/speculation/draft_controller.h"
#include "engine/speculation/speculator.h"

namespace tandem {

enum class SessionState {
  kReady,       // takes a prompt
  kGenerating,  // NextToken has more
  // The turn ended by its own text, length or context, and its last token was
  // handed out. Takes a prompt.
  kComplete,
  // The turn was cancelled or failed. Takes a prompt.
  kStopped,
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
  // Turn::Check (EMPTY_PROMPT where the prompt itself adds no token), as
  // Engine::Open on the target, INVALID_TEXT for text that is not UTF-8; the
  // session is as before then.
  absl::Status StartTurn(absl::string_view prompt, const GenOptions& options);
  absl::Status StartTurn(absl::Span<const TokenId> prompt,
                         const GenOptions& options);

  // The next token, from the buffer or by a round of speculation; nothing when
  // the turn is over. Errors end the turn (state kStopped).
  absl::StatusOr<std::optional<SampledToken>> NextToken();

  // Ends the turn after the tokens already handed out or buffered. Buffered
  // ones belong to the session and can still be taken with NextToken; nothing
  // more is computed. Nothing if no turn is generating.
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
  InferenceSession(Engine* target, Engine* draft)
      : target_(target), draft_(draft) {}

  // Performs the request under way.
  absl::Status RunPending();
  void RunPropose(const ProposeAction& propose);
  void Take(std::vector<TurnAction> actions);
  absl::Status Fail(const absl::Status& status);
  // The turn is over for the caller: nothing more will come.
  void Close(SessionState state);

  Engine* target_;
  Engine* draft_;
  SessionState state_ = SessionState::kReady;
  std::optional<FinishReason> finish_reason_;

  std::unique_ptr<Turn> turn_;  // the last one; null before the first
  std::unique_ptr<SequenceDecoder> target_decoder_;  // while generating
  std::unique_ptr<SequenceDecoder> draft_decoder_;   // while it works
  int64_t prompt_found_ = 0;  // tokens whose KV the target had
  // What drafting brings and costs here, over all turns, and the plans of the
  // turn's rounds. Times do not change the text.
  DraftController controller_;
  CostCurve target_costs_;
  CostCurve draft_costs_;
  std::unique_ptr<Speculator> speculator_;  // while generating
  // A turn's first requests run its prompt too and tell nothing of rounds.
  bool target_ran_prompt_ = false;
  bool draft_ran_prompt_ = false;

  std::optional<TurnAction> pending_;  // ProposeAction or VerifyAction
  std::optional<FinishReason> end_;    // the turn's, from its EndAction
  std::deque<SampledToken> buffer_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_INFERENCE_SESSION_H_
