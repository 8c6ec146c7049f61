// One turn as a pure state machine: no I/O, clock or threads. The
// InferenceSession drives it over a local drafter and verifier, the coordinator
// over worker streams, a simulation over a fake clock: there is no other turn
// code. Owned by its session; one thread at a time.
//
// Text is a function of (prompt, options, seed): a Turn built again with the
// tokens that were committed before goes on with the same text, which is how a
// turn survives the loss of a worker, of a client connection or of a process.

#ifndef TANDEM_ENGINE_SESSION_TURN_H_
#define TANDEM_ENGINE_SESSION_TURN_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/sampling/logits_processor.h"
#include "engine/tokenizer/stream_decoder.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

enum class FinishReason {
  kStopToken,   // end-of-generation token or one of stop_token_ids
  kStopString,  // one of stop_strings
  kLength,      // max_tokens
  kContext,     // the model's context is full
  kCancelled,   // by the client
  kDeadline,    // the turn's or the call's time is up
  kError,       // the turn can not go on; the driver holds the status
};

// Lower-case name for command lines and logs: "stop_token", "length", ...
absl::string_view FinishReasonName(FinishReason reason);

struct TurnSpec {
  // All tokens of the session before the first generated one (history and
  // prompt); at least one.
  std::vector<TokenId> prompt;
  GenOptions options;  // valid, with a seed
  // Tokens that a sequence may hold (the smaller of target's and drafter's
  // limits; a drafter's smaller limit only ends drafting, see the .cc).
  Position context_max = 0;
};

struct TurnUsage {
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
};

struct SpeculationCounts {
  int64_t rounds = 0;    // verifications
  int64_t drafted = 0;   // draft tokens that were verified
  int64_t accepted = 0;  // of those, equal to the target's own
};

// Draft `draft_length` tokens after `tokens`, which stand from `position` on:
// the committed ids that the drafter may not have, at least the last one.
struct ProposeAction {
  Position position = 0;
  std::vector<TokenId> tokens;
  int draft_length = 0;
};

// The same, then verify `draft`.
struct VerifyAction {
  Position position = 0;
  std::vector<TokenId> tokens;
  std::vector<TokenId> draft;
};

// Newly committed tokens and the text that they decide (may be empty while it
// is held back for UTF-8 or a stop string).
struct EmitAction {
  int64_t first_token = 0;  // index of tokens[0] in the turn
  std::vector<SampledToken> tokens;
  std::string text;
};

// The turn is over; comes last, once. `text` is what was still held back.
struct EndAction {
  FinishReason reason = FinishReason::kLength;
  std::string text;
};

using TurnAction =
    std::variant<ProposeAction, VerifyAction, EmitAction, EndAction>;

class Turn {
 public:
  // OK, or what is wrong with `spec`: INVALID_ARGUMENT with EMPTY_PROMPT,
  // INVALID_TOKEN, INVALID_OPTIONS or CONTEXT_EXCEEDED (no room for one token).
  static absl::Status Check(const Tokenizer& tokenizer, const TurnSpec& spec);

  // `tokenizer` outlives the turn; `spec` has passed Check. `committed`:
  // generated tokens of this turn from before; they are not emitted again
  // (their text is in text()).
  Turn(const Tokenizer* tokenizer, TurnSpec spec,
       absl::Span<const SampledToken> committed = {});

  // The first actions; once. `has_drafter` false: verifies without drafts.
  std::vector<TurnAction> Start(bool has_drafter);

  // The drafter's answer to the ProposeAction under way; any ids, any number
  // (empty: none).
  std::vector<TurnAction> OnProposed(absl::Span<const TokenId> draft);

  // The target's answer to the VerifyAction under way: 1 .. draft + 1 tokens
  // in range, else the turn ends with kError.
  std::vector<TurnAction> OnVerified(absl::Span<const SampledToken> tokens);

  // The drafter is gone: goes on without, from here or from the proposal under
  // way.
  std::vector<TurnAction> OnDrafterLost();
  // A drafter is there (again), opened with session_tokens(); it is used from
  // the next round on.
  void OnDrafterAttached();

  // A new target was opened with session_tokens(): the verification under way,
  // if any, again.
  std::vector<TurnAction> OnTargetReplaced();

  // Ends the turn from outside (kCancelled, kDeadline, kError); nothing if it
  // is over.
  std::vector<TurnAction> OnCancel(FinishReason reason);

  bool ended() const { return ended_; }
  const TurnSpec& spec() const { return spec_; }
  // Committed generated tokens, with the one that completed a stop.
  const std::vector<SampledToken>& generated() const { return generated_; }
  // Prompt and committed tokens: what a worker is opened with, and the next
  // turn's history.
  std::vector<TokenId> session_tokens() const;
  // All text decided so far.
  const std::string& text() const { return decoder_.decided(); }
  TurnUsage usage() const;
  SpeculationCounts speculation() const { return speculation_; }

 private:
  // The owner of this class adds private functions and members here.
  TurnSpec spec_;
  std::vector<SampledToken> generated_;
  StreamDecoder decoder_;
  SpeculationCounts speculation_;
  bool ended_ = false;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_TURN_H_
