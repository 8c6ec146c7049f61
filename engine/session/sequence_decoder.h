// One sequence of one engine, as drafter or verifier: turns Propose and Verify
// requests into Steps. The worker batches many of these into one Step; the
// InferenceSession runs one alone: there is no other decoding code.
//
// Owned by its stream; used on the compute thread only. Prefill of the opening
// tokens is work like any other and may be under way when a request comes.

#ifndef TANDEM_ENGINE_SESSION_SEQUENCE_DECODER_H_
#define TANDEM_ENGINE_SESSION_SEQUENCE_DECODER_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/engine.h"
#include "engine/sampling/gen_options.h"
#include "engine/sampling/logits_processor.h"

namespace tandem {

struct SequenceDecoderOptions {
  // All tokens of the session so far (history, prompt, tokens of this turn
  // committed before); at least one.
  std::vector<TokenId> tokens = {};
  // Index of the turn's first generated token, 1 .. tokens.size().
  Position generated_from = 0;
  // Tokens that the sequence will hold at most, drafts included.
  Position tokens_max = 0;
  GenOptions options = {};  // validated here, with a seed
};

// What a request came to.
struct DecodeResult {
  // Propose: the drafted ids (only .id is set). Verify: the target's own
  // tokens, 1 to draft.size() + 1, ending at the first that differs.
  std::vector<SampledToken> tokens = {};
};

class SequenceDecoder {
 public:
  // Opens a sequence on `engine`, which outlives this. Errors: as
  // Engine::Open; INVALID_ARGUMENT with INVALID_OPTIONS, INVALID_TOKEN or
  // EMPTY_PROMPT.
  static absl::StatusOr<std::unique_ptr<SequenceDecoder>> Open(
      Engine* engine, SequenceDecoderOptions options);
  ~SequenceDecoder();

  // Starts a request, complete in itself: the sequence is cut at `position`,
  // `tokens` (at least one) follow, then draft_length tokens are drafted
  // (Propose, 1 .. kDraftLengthLimit) or `draft` is verified. Draft ids out of
  // range and past kDraftLengthLimit or tokens_max are dropped with all after
  // them. Errors leave the sequence as it was: FAILED_PRECONDITION with
  // WRONG_STATE (position above the known tokens or below generated_from - 1,
  // or a request is active), INVALID_ARGUMENT (no tokens, ids out of range,
  // past tokens_max).
  absl::Status BeginPropose(Position position, absl::Span<const TokenId> tokens,
                            int draft_length);
  absl::Status BeginVerify(Position position, absl::Span<const TokenId> tokens,
                           absl::Span<const TokenId> draft);

  // True while tokens wait to be run (prefill or a request).
  bool has_work() const;
  // True while a request is active.
  bool request_active() const;
  // True where the next item is a row that a client waits for, not prefill.
  bool next_is_decode() const;

  // The next piece, of at most rows_max >= 1 rows; only with has_work().
  StepItem NextItem(int rows_max);
  // The rows of that item, during the Step.
  void OnRow(size_t row, absl::Span<float> logits);
  // After the Step; its status (a failed Step fails the active request).
  void OnStepDone(const absl::Status& status);

  // The finished request's result, once; nothing while it is under way.
  std::optional<absl::StatusOr<DecodeResult>> TakeResult();

 private:
  SequenceDecoder() = default;
  // The owner of this class adds the members it needs here.
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_SEQUENCE_DECODER_H_
