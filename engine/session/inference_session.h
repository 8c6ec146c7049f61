// A conversation with a model in this process, with or without speculation:
// the library's face. Drives Turn (turn.h) over local SequenceDecoders. One
// thread at a time; Interrupt alone may come from another.
//
//   auto session = InferenceSession::Create(store, "tales", prompt, options);
//   while (true) {
//     auto token = (*session)->NextToken();
//     if (!token.ok() || !token->has_value()) break;
//     ... (*token)->id, (*session)->text() ...
//   }
//
// A turn opens its own sequences and frees them when it is over: between turns
// a session holds token ids only, no KV, and any number of idle sessions share
// an engine. A turn prefills the part of the history whose KV the engine has
// not kept.

#ifndef TANDEM_ENGINE_SESSION_INFERENCE_SESSION_H_
#define TANDEM_ENGINE_SESSION_INFERENCE_SESSION_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/model/model_store.h"
#include "engine/sampling/gen_options.h"
#include "engine/session/engine_cache.h"
#include "engine/session/sequence_decoder.h"
#include "engine/session/turn.h"
#include "engine/speculation/cost_curve.h"
#include "engine/speculation/draft_policy.h"
#include "engine/speculation/speculator.h"

namespace tandem {

enum class SessionState {
  // Takes a prompt, or has the one that it was made with.
  kReady,
  kGenerating,  // NextToken has more
  // The turn ended by its own text, length or context, and its last token was
  // handed out. Takes a prompt.
  kComplete,
  // The turn was cancelled or failed. Takes a prompt.
  kStopped,
};

struct GenerateOptions {
  GenOptions generation = {};
  // A model of the store that drafts; empty: none.
  std::string draft_model_id = {};
  // With kv_tokens of 0, the KV is as large as a turn needs. A drafter's
  // context is no longer than that of its target.
  EngineOptions engine = {};
};

// Engines computing for the turn, in microseconds.
struct ComputeTimes {
  int64_t draft_us = 0;
  int64_t verify_us = 0;  // the target, prompt included
};

class InferenceSession {
 public:
  // A session over `model_id` of `store`, which outlives it. It takes engines
  // of the store's EngineCache for one turn at a time, so an idle session holds
  // none. `prompt` (as in StartTurn; BOS, if any, is part of it) is checked
  // here and run by the first NextToken. Errors: NOT_FOUND with UNKNOWN_MODEL,
  // as ModelStore::Get, as Engine::Load, VOCABULARY_MISMATCH, as StartTurn.
  static absl::StatusOr<std::unique_ptr<InferenceSession>> Create(
      ModelStore& store, absl::string_view model_id,
      absl::Span<const TokenId> prompt, const GenerateOptions& options = {});

  // The same over engines of the caller. `target` and `draft` (may be null: no
  // speculation) outlive the session and no other thread uses them. Errors:
  // FAILED_PRECONDITION with VOCABULARY_MISMATCH.
  static absl::StatusOr<std::unique_ptr<InferenceSession>> Create(
      Engine* target, Engine* draft);

  // Starts a turn: the prompt is put after all tokens of the session so far
  // (BOS first in an empty session where the vocabulary adds one; token ids
  // are taken as they are). A turn still generating is cancelled, one that has
  // not begun is forgotten. Errors: as CheckTurn (EMPTY_PROMPT where the
  // prompt itself adds no token), as Engine::Open on the target, as
  // Engine::Load, INVALID_TEXT for text that is not UTF-8; the session is as
  // before then.
  absl::Status StartTurn(absl::string_view prompt, const GenOptions& options);
  absl::Status StartTurn(absl::Span<const TokenId> prompt,
                         const GenOptions& options);

  // The next token, from the buffer or by a round of speculation; nothing when
  // the turn is over. Errors end the turn (state kStopped); those of starting
  // the first one, as StartTurn, leave the session kReady.
  absl::StatusOr<std::optional<SampledToken>> NextToken();

  // Ends the turn after the tokens already handed out or buffered. Buffered
  // ones belong to the session and can still be taken with NextToken; nothing
  // more is computed. Nothing if no turn is generating.
  void Cancel();
  // Any thread: Cancel, by NextToken before its next pass. Where no turn is
  // generating, for the next one.
  void Interrupt() { interrupted_.store(true); }
  // Turns end by kDeadline, as by Interrupt, from this time on; absent: never.
  void SetDeadline(
      std::optional<std::chrono::steady_clock::time_point> deadline) {
    deadline_ = deadline;
  }

  SessionState state() const { return state_; }
  bool is_complete() const { return state_ == SessionState::kComplete; }
  // What NextToken gives without computing, in order.
  absl::Span<const SampledToken> buffered() const {
    return absl::MakeConstSpan(buffer_).subspan(handed_out_);
  }
  // Of the turn: what stands before its first generated token (history and
  // prompt), and the committed tokens, buffered ones among them.
  absl::Span<const TokenId> prompt_tokens() const;
  absl::Span<const TokenId> generated_tokens() const;
  // Of the turn: text decided so far (it lags the tokens by what is held
  // back), finish reason once it is over, seed, usage, speculation figures.
  const std::string& text() const;
  std::optional<FinishReason> finish_reason() const { return finish_reason_; }
  uint64_t seed() const;
  TurnUsage usage() const;
  SpeculationCounts speculation() const;
  ComputeTimes times() const { return figures_.times; }
  // Of the engine that made it (EngineInfo); "" before the first turn.
  const std::string& fingerprint() const { return figures_.fingerprint; }
  // All tokens of the session.
  std::vector<TokenId> tokens() const;

 private:
  // Where engines come from, if not from the caller, and those of the turn.
  struct Source {
    ModelStore* store = nullptr;
    std::string model_id = {};
    GenerateOptions options = {};
    EngineCache::Lease target = {};
    EngineCache::Lease draft = {};
  };
  // Engines for a turn; leases of what is not the caller's.
  struct TurnEngines {
    Engine* target = nullptr;
    Engine* draft = nullptr;  // null: none is wanted, or none can be had
    EngineCache::Lease target_lease = {};
    EngineCache::Lease draft_lease = {};
  };
  struct FirstTurn {
    std::vector<TokenId> prompt = {};
    GenOptions options = {};
  };
  // Of the engines' passes.
  struct Costs {
    CostCurve target;
    CostCurve draft;
  };
  struct Figures {
    int64_t prompt_found = 0;  // tokens whose KV the target had
    ComputeTimes times = {};
    std::string fingerprint = {};
    // A turn's first requests run its prompt too and tell nothing of rounds.
    bool target_ran_prompt = false;
    bool draft_ran_prompt = false;
  };

  InferenceSession(Engine* target, Engine* draft)
      : target_(target), draft_(draft) {}
  explicit InferenceSession(Source source) : source_(std::move(source)) {}

  absl::StatusOr<EngineCache::Lease> TakeDraft(Position context_max,
                                               int64_t tokens) const;
  // Completes and checks `spec`, then gets engines for it.
  absl::StatusOr<TurnEngines> PrepareTurn(TurnSpec* spec) const;
  // Performs the request under way.
  absl::Status RunPending();
  void RunPropose(const ProposeAction& propose);
  void Take(std::vector<TurnAction> actions);
  absl::Status Fail(const absl::Status& status);
  // Ends a turn that is generating, for this reason if it has not ended by
  // itself.
  void End(FinishReason reason);
  // The turn is over for the caller: nothing more will come.
  void Close(SessionState state);

  // Between turns null where there is a source.
  Engine* target_ = nullptr;
  Engine* draft_ = nullptr;
  std::optional<Source> source_;
  std::optional<FirstTurn> first_turn_;  // has not begun
  SessionState state_ = SessionState::kReady;
  std::optional<FinishReason> finish_reason_;

  std::unique_ptr<Turn> turn_;  // the last one; null before the first
  std::unique_ptr<SequenceDecoder> target_decoder_;  // while generating
  std::unique_ptr<SequenceDecoder> draft_decoder_;   // while it works
  // What drafting brings and costs here, over all turns, and the plans of the
  // turn's rounds. Times do not change the text.
  const std::shared_ptr<DraftPolicy> policy_ = std::make_shared<DraftPolicy>();
  Costs costs_;                             // over all turns
  std::unique_ptr<Speculator> speculator_;  // while generating
  Figures figures_;                         // of the turn
  std::atomic<bool> interrupted_{false};
  std::optional<std::chrono::steady_clock::time_point> deadline_;

  std::optional<TurnAction> pending_;  // ProposeAction or VerifyAction
  std::optional<FinishReason> end_;    // the turn's, from its EndAction
  std::vector<SampledToken> buffer_;
  size_t handed_out_ = 0;  // of buffer_
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SESSION_INFERENCE_SESSION_H_
