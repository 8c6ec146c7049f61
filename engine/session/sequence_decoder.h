// One sequence of one engine, as drafter or verifier: turns Propose and Verify
// requests into Steps. The worker batches many of these into one Step; the
// InferenceSession runs one alone: there is no other decoding code.
//
// Owned by its stream; used on the compute thread only. Prefill of the opening
// tokens is work like any other and may be under way when a request comes. The
// caller has checked token ids, lengths and options, at the edge where they
// came in; a wrong one here is a bug.
//
//   while (decoder->has_work()) {
//     StepItem item = decoder->NextItem(rows_max);
//     absl::Status status = engine->Step({&item, 1}, consumer);  // -> OnRow
//     decoder->OnStepDone(status);
//     if (auto result = decoder->TakeResult()) ...
//   }

#ifndef TANDEM_ENGINE_SESSION_SEQUENCE_DECODER_H_
#define TANDEM_ENGINE_SESSION_SEQUENCE_DECODER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/engine.h"
#include "engine/grammar/automaton/token_masks.h"
#include "engine/sampling/gen_options.h"
#include "engine/sampling/logits_processor.h"
#include "engine/sampling/raw_logprobs.h"
#include "engine/session/turn.h"
#include "engine/speculation/verify.h"

namespace tandem {

struct SequenceDecoderOptions {
  // All tokens of the session so far (history, prompt, tokens of this turn
  // committed before); at least one.
  std::vector<TokenId> tokens = {};
  // Index of the turn's first generated token, 1 .. tokens.size().
  Position generated_from = 0;
  // Tokens that the sequence will hold at most, drafts included;
  // tokens.size() .. the engine's context.
  Position tokens_max = 0;
  GenOptions options = {};  // valid (ValidateGenOptions), with a seed
  // Of CompileResponseFormat for the options, in the engine's vocabulary.
  std::shared_ptr<const TokenMasks> grammar = {};
  // Only sequences of one tenant share KV.
  std::string tenant = {};
  // Log-probabilities are wanted of `tokens` from this index on, 1 ..
  // tokens.size() - 1; 0: of none. They come with the prefill, before any
  // request; kept KV is used up to the row of the first of them.
  Position score_from = 0;
  int score_alternatives = 0;  // of each, 0 .. kLogprobsLimit
};

// Rows that are scored in one piece of prefill at most. The log-probability of
// a row takes 0.34 ms for 32,000 logits and 1.35 ms for 128,256, on the compute
// thread alone: so a piece keeps the streams that share its pass for 22 or 87
// ms longer.
inline constexpr int kScoredRowsMax = 64;

// What a request came to. Propose: the drafted ids (only .id is set), as many
// as were asked for unless tokens_max, a stop token or the grammar ends the
// draft. Verify: the target's own tokens, 1 to draft.size() + 1, ending at the
// first that differs.
using DecodedTokens = std::vector<SampledToken>;

class SequenceDecoder {
 public:
  // Opens a sequence on `engine`, which outlives this. Errors: as
  // Engine::Open.
  static absl::StatusOr<std::unique_ptr<SequenceDecoder>> Open(
      Engine* engine, SequenceDecoderOptions options);
  ~SequenceDecoder();

  SequenceDecoder(const SequenceDecoder&) = delete;
  SequenceDecoder& operator=(const SequenceDecoder&) = delete;

  // Starts a request, complete in itself, while none is active: the sequence is
  // cut at the request's position, its tokens follow, then tokens are drafted
  // or its draft is verified. Draft ids that are out of range or stand past
  // kDraftLengthLimit or tokens_max are dropped with all after them. Tokens
  // that the sequence has there already are not run again. What an earlier
  // request drafted or verified can always be taken back. Errors leave the
  // sequence as it was: FAILED_PRECONDITION with WRONG_STATE (a position above
  // the known tokens or below generated_from - 1, or tokens that replace ones
  // which the engine can not take back any more).
  absl::Status Begin(const ProposeAction& propose);
  absl::Status Begin(const VerifyAction& verify);

  // Of the opening tokens, those whose KV was there: they are not run.
  Position tokens_found() const { return tokens_found_; }

  // True until the scores of all wanted tokens were computed, or an error ended
  // them; no request begins before.
  bool is_scoring() const { return score_next_ < score_end_; }
  // What was scored since the last call, in order. Errors, once, which end the
  // scoring: of a Step, or NUMERIC_CORRUPTION.
  absl::StatusOr<std::vector<ScoredToken>> TakeScores();

  // True while tokens wait to be run (prefill or a request).
  bool has_work() const;
  // True from a Begin until its result is taken.
  bool request_active() const { return request_ != Request::kNone; }
  // True where the next item is a row that a client waits for, not prefill.
  bool next_is_decode() const;

  // Rows of the next piece where rows_max does not bound it, at least 1; only
  // with has_work().
  int rows_waiting() const;

  // The next piece, of at most rows_max >= 1 rows; only with has_work(). One
  // at a time: OnStepDone before the next.
  StepItem NextItem(int rows_max);
  // The rows of that item, during the Step.
  void OnRow(size_t row, absl::Span<float> logits);
  // After the Step; its status. A failed Step fails the active request, which
  // may be asked again; prefill rests until the next request then.
  void OnStepDone(const absl::Status& status);

  // The finished request's result, once; nothing while it is under way.
  std::optional<absl::StatusOr<DecodedTokens>> TakeResult();

 private:
  enum class Request { kNone, kPropose, kVerify };

  SequenceDecoder(Engine* engine, SequenceId sequence,
                  SequenceDecoderOptions options);

  absl::Status CheckRequest(Position position,
                            absl::Span<const TokenId> tokens) const;
  // Tokens that stay run where `tokens` follow at `position`: the last one is
  // run in any case, as its row is wanted.
  Position CachedWith(Position position,
                      absl::Span<const TokenId> tokens) const;
  // Makes the sequence end with `tokens` at `position`; cached_ is cut where
  // they differ from what was run.
  void Replace(Position position, absl::Span<const TokenId> tokens);
  Position known() const { return static_cast<Position>(tokens_.size()); }
  // Where the next item ends.
  Position item_end() const;
  // First token whose row is wanted now; known() where none is.
  Position first_wanted() const;
  void FinishRequest(absl::StatusOr<DecodedTokens> result);
  void OnDraftStep();
  // After a Step with `status` of rows that were to be scored.
  void OnScoreStep(absl::Status status);

  Engine* engine_;
  SequenceId sequence_;
  SequenceDecoderOptions options_;  // its tokens moved to tokens_
  LogitsProcessor processor_;

  // The session's tokens, then the draft of the request; the engine's KV holds
  // the first cached_ of them.
  std::vector<TokenId> tokens_;
  Position cached_;
  const Position tokens_found_;
  Position item_tokens_ = 0;  // of the item under way
  bool prefill_rests_ = false;

  // Of the opening tokens: the next to be scored, and the end of them.
  Position score_next_;
  Position score_end_;
  absl::StatusOr<std::vector<ScoredToken>> scores_ = std::vector<ScoredToken>();

  Request request_ = Request::kNone;
  Position request_end_ = 0;  // tokens of the session with the request's
  int drafts_left_ = 0;       // kPropose
  std::optional<TokenId> next_draft_;
  std::vector<TokenId> draft_;  // kVerify: verified; kPropose: made so far
  std::optional<Verification> verification_;
  absl::Status row_status_;
  std::optional<absl::StatusOr<DecodedTokens>> result_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_SEQUENCE_DECODER_H_
