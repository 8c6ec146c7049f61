// One turn as a pure state machine: no I/O, clock or threads. The
// InferenceSession drives it over a local drafter and verifier, the coordinator
// over worker streams, a simulation over a fake clock: there is no other turn
// code. Owned by its session; one thread at a time.
//
// Text is a function of (prompt, options, seed): a turn that starts again at
// its committed tokens goes on with the same text, which is how a turn survives
// the loss of a worker or of a client connection.
//
// A Speculator (engine/speculation) plans what each round drafts with.
//
// Draft-ahead: while the target verifies a draft, the drafter may go on as if
// all of the draft were accepted. The drafter guesses the token that the target
// adds, and drafts what follows. A right guess makes the next round's draft; a
// wrong or a late one is dropped.

#ifndef TANDEM_ENGINE_SESSION_TURN_H_
#define TANDEM_ENGINE_SESSION_TURN_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/sampling/logits_processor.h"
#include "engine/sampling/token_constraint.h"
#include "engine/speculation/speculator.h"
#include "engine/tokenizer/response_grammar.h"
#include "engine/tokenizer/stream_decoder.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

enum class FinishReason {
  kStopToken,   // end-of-generation token or one of stop_token_ids
  kStopString,  // one of stop_strings
  kGrammarEnd,  // response_format allows nothing more: its text is complete
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
  std::vector<TokenId> prompt = {};
  GenOptions options = {};  // valid, with a seed
  // Of CompileResponseFormat for the options.
  std::shared_ptr<const TokenMasks> grammar = {};
  // Tokens that the target's sequence may hold: the turn ends when they are
  // there.
  Position context_max = 0;
  // The same of the drafter's, which only ends drafting; 0: no smaller limit.
  Position draft_context_max = 0;
};

struct TurnUsage {
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  // Of prompt_tokens, those whose KV the target had when the turn began. Filled
  // in by who opens the target.
  int64_t cached_prompt_tokens = 0;
};

// Draft tokens that were verified, and those of them that were equal to the
// target's own and committed.
struct DraftCounts {
  int64_t drafted = 0;
  int64_t accepted = 0;
};

struct SpeculationCounts {
  int64_t rounds = 0;  // verifications
  int64_t drafted = 0;
  int64_t accepted = 0;
  DraftCounts lookup = {};  // of those, from prompt lookup
  // Of those, by position in the draft.
  std::array<DraftCounts, kDraftLengthLimit> positions = {};
  int64_t late = 0;  // rounds that went on without a late draft
  // Proposals asked for ahead, and rounds that began with one.
  int64_t ahead_asked = 0;
  int64_t ahead_used = 0;

  // One more round.
  void AddRound(DraftSource source, const DraftCounts& round);
};

// Draft `draft_length` tokens after `tokens`, which stand from `position` on:
// the committed ids that the drafter may not have, at least the last one.
struct ProposeAction {
  Position position = 0;
  std::vector<TokenId> tokens = {};
  int draft_length = 0;
  // The round does not wait for it: `tokens` ends with a draft that is being
  // verified. Answered by OnAheadProposed.
  bool is_ahead = false;
};

// The same, then verify `draft`.
struct VerifyAction {
  Position position = 0;
  std::vector<TokenId> tokens = {};
  std::vector<TokenId> draft = {};
};

// The draft of one round. Small: a driver may keep one for each round.
struct VerifiedDraft {
  uint8_t drafted = 0;  // tokens that were verified; 0: a round without a draft
  uint8_t accepted = 0;  // its first ones, which were committed
  bool from_lookup = false;

  friend bool operator==(const VerifiedDraft&, const VerifiedDraft&) = default;
};
static_assert(kDraftLengthLimit <= UINT8_MAX);

// Newly committed tokens: those of one round. Their text ends at byte
// `text_end` of text(), which lags while text is held back for UTF-8 or a stop
// string.
struct EmitAction {
  int64_t first_token = 0;  // index of tokens[0] in the turn
  std::vector<SampledToken> tokens = {};
  size_t text_end = 0;
  VerifiedDraft draft = {};
};

// The turn is over; comes last, once. text() now has what was held back.
struct EndAction {
  FinishReason reason = FinishReason::kLength;
};

using TurnAction =
    std::variant<ProposeAction, VerifyAction, EmitAction, EndAction>;

// OK, or what is wrong with the length of the prompt: INVALID_ARGUMENT with
// EMPTY_PROMPT, or CONTEXT_EXCEEDED (no room for one token).
absl::Status CheckTurnRoom(const TurnSpec& spec);
// The same, and INVALID_TOKEN or INVALID_OPTIONS.
absl::Status CheckTurn(const Tokenizer& tokenizer, const TurnSpec& spec);

class Turn {
 public:
  // `tokenizer` outlives the turn; `spec` has passed CheckTurn.
  Turn(const Tokenizer* tokenizer, TurnSpec spec);

  // Commits tokens that the turn generated before, in another process; once,
  // before Start. Ids of the vocabulary; what stands behind the turn's own end
  // is dropped. They have no log-probabilities. The actions: each token, as a
  // round without a draft, and the end where they bring it.
  std::vector<TurnAction> Restore(absl::Span<const TokenId> tokens);

  // The first actions; once, and once after each Suspend. The workers were
  // opened with session_tokens(). `has_drafter` false: no draft model is there.
  // `speculator` plans the rounds and outlives them; null: each round drafts
  // options.draft_length tokens, or kDraftLengthDefault where that is absent.
  std::vector<TurnAction> Start(bool has_drafter,
                                Speculator* speculator = nullptr);

  // Forgets the request under way and both workers; Start goes on from the
  // committed tokens. Nothing if the turn is over.
  void Suspend();

  // The drafter's answer to the ProposeAction under way; any ids, any number
  // (empty: none).
  std::vector<TurnAction> OnProposed(absl::Span<const TokenId> draft);

  // Whether rounds with the draft model ask for a proposal ahead; at first not.
  void SetDraftAhead(bool on) { may_go_ahead_ = on; }
  // The drafter's answer to the last ProposeAction ahead.
  void OnAheadProposed(absl::Span<const TokenId> draft);

  // The drafter is too slow: the round goes on without its answer, which must
  // not be given to OnProposed any more. The drafter stays and gets requests
  // again; it takes them in order.
  std::vector<TurnAction> OnDraftLate();

  // The target's answer to the VerifyAction under way: 1 .. draft + 1 tokens
  // in range and in the grammar, all but the last equal to the draft, else the
  // turn ends with kError.
  std::vector<TurnAction> OnVerified(absl::Span<const SampledToken> tokens);

  // The drafter is gone: goes on without, from here or from the proposal under
  // way.
  std::vector<TurnAction> OnDrafterLost();
  // A drafter is there (again), opened with session_tokens() of now or of any
  // time before in this turn; it is used from the next round on. Another one
  // that was in use is lost first.
  void OnDrafterAttached();

  // A new target was opened with session_tokens() (which a verification under
  // way does not change): that verification, if any, again. Answers of the old
  // one are not given to OnVerified.
  std::vector<TurnAction> OnTargetReplaced();

  // Ends the turn from outside (kCancelled, kDeadline, kError); nothing if it
  // is over.
  std::vector<TurnAction> OnCancel(FinishReason reason);

  bool ended() const { return phase_ == Phase::kEnded; }
  const GenOptions& options() const { return spec_.options; }
  Position context_max() const { return spec_.context_max; }
  // Prompt and committed tokens: what a worker is opened with, and the next
  // turn's history. Spans and references hold until the next answer.
  const std::vector<TokenId>& session_tokens() const { return tokens_; }
  absl::Span<const TokenId> prompt() const {
    return absl::MakeConstSpan(tokens_).first(prompt_tokens_);
  }
  // Committed generated tokens, with the one that completed a stop.
  absl::Span<const TokenId> generated() const {
    return absl::MakeConstSpan(tokens_).subspan(prompt_tokens_);
  }
  // The same with their log-probabilities; empty where the options do not ask
  // for them.
  const std::vector<SampledToken>& logprobs() const { return logprobs_; }
  // All text decided so far.
  const std::string& text() const { return decoder_.decided(); }
  TurnUsage usage() const;
  const SpeculationCounts& speculation() const { return speculation_; }

 private:
  enum class Phase { kCreated, kProposing, kVerifying, kEnded };

  // Adds a token and its text; true where it ends the turn (finish_).
  bool Commit(const SampledToken& token);
  Position length() const { return static_cast<Position>(tokens_.size()); }
  // Takes what may be verified of a proposed draft.
  void TakeDraft(absl::Span<const TokenId> draft, int length_max);
  // These add the actions that begin the next step.
  void BeginRound(std::vector<TurnAction>* actions);
  void BeginVerify(std::vector<TurnAction>* actions);
  void GoAhead(std::vector<TurnAction>* actions);
  // Takes the draft that was made ahead, if it follows what is committed.
  bool TakeAhead(int length_max);

  const Tokenizer* tokenizer_;
  TurnSpec spec_;                // without its prompt
  std::vector<TokenId> tokens_;  // prompt and generated ones
  const size_t prompt_tokens_;
  std::vector<SampledToken> logprobs_;
  StreamDecoder decoder_;
  TokenConstraint constraint_;  // has the committed tokens
  SpeculationCounts speculation_;
  Phase phase_ = Phase::kCreated;
  std::optional<FinishReason> finish_;  // the turn's own end

  // Session tokens that a worker surely has, counted from the session's start.
  struct Known {
    Position target = 0;
    Position drafter = 0;
  };
  Known known_;
  bool has_drafter_ = false;
  Speculator* speculator_ = nullptr;
  // Of the round under way.
  DraftSource source_ = DraftSource::kNone;
  bool drafter_proposed_ = false;
  int draft_length_ = 0;
  std::vector<TokenId> draft_;
  bool draft_ends_ = false;  // nothing can follow it
  // What the drafter makes of the verification under way: `draft` begins with
  // the token at `position`, which the target is to add.
  struct Ahead {
    Position position = 0;
    int length = 0;              // asked for behind that token
    std::vector<TokenId> draft;  // empty: no answer yet
  };
  bool may_go_ahead_ = false;
  std::optional<Ahead> ahead_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_TURN_H_
