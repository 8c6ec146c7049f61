#include "services/coordinator/client/session_loader.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/options_conversion.h"
#include "services/common/turn_conversion.h"
#include "services/coordinator/client/request_checks.h"

namespace tandem {
namespace {

// A database that restarts is back within seconds.
constexpr int64_t kStoreRetryMs = 1000;

absl::Status Damaged(const StoredSession& stored, const std::string& what) {
  return absl::DataLossError(absl::StrCat("the stored session ", stored.id,
                                          " has ", what, "; start a new one"));
}

// The client never heard of a turn without a token that is followed by another
// one: it would resume it.
bool EndsUnheard(const StoredSession& stored) {
  const StoredTurn& last = stored.turns.back();
  return stored.turns.size() > 1 && !last.end_reason.has_value() &&
         last.generated.empty();
}

// Another coordinator has it now, as a write was answered.
bool IsLost(const Session& session) {
  return session.holder() == nullptr && session.last() != nullptr &&
         DiffersFromStore(session.last()->journal.status());
}

// The start that the session was loaded for was lost: its client came back, had
// its turn begun by another coordinator, and resumes that one here.
bool LacksTurnOf(LoadFor purpose, const Session& session) {
  return purpose == LoadFor::kResume && session.has_unheard_turn();
}

// A turn that had ended is made again for who resumes it (MakeAgain), who has
// left before its end: it is no history.
bool LacksHistory(LoadFor purpose, const Session& session) {
  const SessionTurn* const last = session.last();
  return purpose == LoadFor::kNextTurn && session.holder() == nullptr &&
         last != nullptr && last->loaded_end.has_value() &&
         last->runner.state() != TurnState::kEnded;
}

bool MustBeLoaded(LoadFor purpose, const Session& session) {
  return IsLost(session) || LacksTurnOf(purpose, session) ||
         LacksHistory(purpose, session);
}

// Whether the session that is here is taken over, before anybody asks whether
// it is still this process' to drive.
bool MustBeTakenOver(LoadFor purpose, const Session& session) {
  return MustBeLoaded(purpose, session) || session.is_begun_in_vain();
}

absl::StatusOr<ModelSummary> ModelOf(const Router& router,
                                     const SessionRecord& session) {
  absl::StatusOr<ModelSummary> model = router.FindModel(session.model_id);
  // A coordinator that has just started does not know its workers yet.
  if (!model.ok()) {
    return NoWorker(absl::StrCat("no target worker has the session's model ",
                                 session.model_id, " now"));
  }
  if (model->vocabulary_fingerprint != session.vocabulary_fingerprint) {
    return OtherVocabulary(session.model_id);
  }
  return model;
}

// As its client heard of it; nothing where it has none.
std::optional<v1::TurnEnded> EndOf(const StoredTurn& turn) {
  v1::TurnEnded ended;
  if (!turn.end_reason.has_value() || !ended.ParseFromString(turn.figures)) {
    return std::nullopt;
  }
  return ended;
}

// Log-probabilities are not stored: the turn runs again, up to its end. The
// receipt is of the options as they were.
void MakeAgain(TurnSetup* setup, RestoredTurn* restored, v1::TurnEnded* end) {
  if (HasReceipt(end->finish_reason())) {
    *end->mutable_receipt() =
        MakeReceipt({.model_id = restored->model.id,
                     .fingerprint = restored->model.fingerprint,
                     .prompt = setup->spec.prompt,
                     .options = setup->spec.options,
                     .generated = restored->generated});
  }
  setup->spec.options.max_tokens =
      static_cast<int32_t>(restored->generated.size());
  setup->spec.options.min_tokens =
      std::min(setup->spec.options.min_tokens, setup->spec.options.max_tokens);
  setup->timeout.reset();
  restored->generated.clear();
  restored->end.reset();
}

std::vector<TokenId> PromptOf(const StoredSession& stored) {
  std::vector<TokenId> tokens;
  for (const StoredTurn& turn : stored.turns) {
    tokens.insert(tokens.end(), turn.record.prompt.begin(),
                  turn.record.prompt.end());
    if (&turn == &stored.turns.back()) break;
    tokens.insert(tokens.end(), turn.generated.begin(), turn.generated.end());
  }
  return tokens;
}

std::optional<PromptLogprobs> PromptLogprobsOf(
    const TurnSpec& spec, const StoredTurn& turn,
    const v1::TurnSetupRecord& record) {
  if (!record.has_prompt_logprobs()) return std::nullopt;
  return PromptLogprobs{
      .alternatives = std::clamp(record.prompt_logprobs(), 0, kLogprobsLimit),
      .first = static_cast<Position>(spec.prompt.size() -
                                     turn.record.prompt.size())};
}

}  // namespace

absl::Status StoreIsAway() {
  return MakeError(
      absl::StatusCode::kUnavailable,
      {.reason = kReasonStoreUnavailable, .retry_delay_ms = kStoreRetryMs},
      "the store of sessions is away; try again");
}

absl::Status ResumedElsewhere() {
  return MakeError(absl::StatusCode::kAborted, {.reason = kReasonWrongState},
                   "the turn was resumed elsewhere");
}

absl::Status OtherVocabulary(const std::string& model_id) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.reason = kReasonVocabularyMismatch},
                   absl::StrCat("model ", model_id,
                                " has another vocabulary than the session; "
                                "start a new one"));
}

absl::StatusOr<SessionPlace> FindPlace(const SessionQuery& query,
                                       SessionStore* sessions,
                                       const Router& router) {
  SessionPlace place;
  TANDEM_ASSIGN_OR_RETURN(place.session, sessions->FindFor(query));
  const TurnModel before =
      place.session == nullptr ? TurnModel() : place.session->model();
  TANDEM_ASSIGN_OR_RETURN(
      place.model,
      router.FindModel(place.session == nullptr ? query.model_id : before.id));
  if (place.session != nullptr &&
      before.vocabulary_fingerprint != place.model.vocabulary_fingerprint) {
    return OtherVocabulary(place.model.model_id);
  }
  return place;
}

absl::Status InClientsWords(const absl::Status& status) {
  if (absl::IsAborted(status)) return ResumedElsewhere();
  if (absl::IsNotFound(status)) return UnknownSession();
  if (absl::IsUnavailable(status) || absl::IsResourceExhausted(status)) {
    return StoreIsAway();
  }
  return status;
}

Session* SessionLoader::Here(const Key& key) const {
  const absl::StatusOr<Session*> found =
      parts_.sessions->Find(key.second, key.first);
  return found.ok() ? *found : nullptr;
}

bool SessionLoader::IsNeeded(const std::string& session_id,
                             const std::string& tenant, LoadFor purpose) const {
  if (parts_.store == nullptr || !IsSessionId(session_id)) return false;
  const Session* const here = Here({tenant, session_id});
  if (here == nullptr) return true;
  return here->turns() > 0 &&
         (parts_.is_shared || MustBeTakenOver(purpose, *here));
}

void SessionLoader::Load(const std::string& session_id,
                         const std::string& tenant, LoadFor purpose,
                         Done done) {
  const Key key = {tenant, session_id};
  std::vector<Done>& waiting = waiting_[{key, purpose}];
  waiting.push_back(std::move(done));
  // What one of them drives the others find driven.
  if (waiting.size() > 1) return;
  const Session* const here = Here(key);
  if (here == nullptr || MustBeTakenOver(purpose, *here)) {
    return TakeOver(key, purpose);
  }
  Check(key, purpose, here->epoch());
}

void SessionLoader::Check(const Key& key, LoadFor purpose, int64_t epoch) {
  using Lost = absl::StatusOr<std::vector<std::string>>;
  parts_.store->FindLost(
      {{.session_id = key.second, .epoch = epoch}},
      [this, loop = parts_.loop, key, purpose, epoch](Lost lost) {
        loop->Post([this, key, purpose, epoch, lost = std::move(lost)] {
          if (!lost.ok())
            return Answer(key, purpose, InClientsWords(lost.status()));
          const Session* const here = Here(key);
          if (lost->empty() && here != nullptr && here->epoch() == epoch) {
            return Answer(key, purpose, absl::OkStatus());
          }
          TakeOver(key, purpose);
        });
      });
}

// The store may answer when the loader has gone, and the loop has stopped.
void SessionLoader::TakeOver(const Key& key, LoadFor purpose) {
  // It could not go on here, and may go on where it is.
  if (!parts_.router->HasTarget()) {
    return parts_.loop->Post([this, key, purpose] {
      Answer(key, purpose, NoWorker("no target worker is usable now"));
    });
  }
  parts_.store->TakeOver(
      key.second, key.first,
      [this, loop = parts_.loop, key,
       purpose](absl::StatusOr<StoredSession> stored) {
        loop->Post([this, key, purpose, stored = std::move(stored)]() mutable {
          OnTakenOver(key, purpose, std::move(stored));
        });
      });
}

void SessionLoader::OnTakenOver(const Key& key, LoadFor purpose,
                                absl::StatusOr<StoredSession> stored) {
  absl::Status status = stored.status();
  Session* const here = Here(key);
  if (here != nullptr && status.ok() && here->is_begun_in_vain() &&
      !MustBeLoaded(purpose, *here) &&
      stored->driver_epoch == here->epoch() + 1) {
    // It was ours, with more than the store has.
    here->SetEpoch(stored->driver_epoch);
    return Answer(key, purpose, absl::OkStatus());
  }
  if (here != nullptr && (status.ok() || absl::IsNotFound(status))) {
    parts_.sessions->Drop(
        here, status.ok() ? ResumedElsewhere() : InClientsWords(status));
  }
  if (status.ok() && stored->turns.empty()) {
    status = Damaged(*stored, "no turn");
  } else if (status.ok()) {
    return Prepare(key, purpose, *std::move(stored));
  } else {
    spdlog::warn("session {}... was not loaded: {}", key.second.substr(0, 8),
                 std::string(status.message()));
    status = InClientsWords(status);
  }
  Answer(key, purpose, status);
}

void SessionLoader::Prepare(const Key& key, LoadFor purpose,
                            StoredSession stored) {
  const bool leaves_out = purpose == LoadFor::kNextTurn && EndsUnheard(stored);
  if (leaves_out) stored.turns.pop_back();
  absl::StatusOr<LastTurn> last = ReadLastTurn(stored);
  if (!last.ok()) return Answer(key, purpose, last.status());
  last->purpose = purpose;
  last->leaves_out = leaves_out;
  const bool has_format = last->options.response_format.has_value();
  // A turn that is over is history for the next one.
  const bool is_history = purpose == LoadFor::kNextTurn &&
                          stored.turns.back().end_reason.has_value();
  if (!has_format || is_history) {
    return Answer(key, purpose, Restore(std::move(stored), *last));
  }
  const absl::Status status = parts_.background->Run(
      {.tenant = key.first,
       .bytes = CompileBytes(last->options),
       .run =
           [this, loop = parts_.loop, key, purpose, stored = std::move(stored),
            last = *std::move(last)]() mutable {
             auto grammar =
                 CompileResponseFormat(*last.model.tokenizer, last.options);
             loop->Post([this, key, purpose, stored = std::move(stored),
                         last = std::move(last),
                         grammar = std::move(grammar)]() mutable {
               if (!grammar.ok()) {
                 return Answer(key, purpose,
                               Damaged(stored, "a grammar that is none"));
               }
               last.grammar = *std::move(grammar);
               Answer(key, purpose, Restore(std::move(stored), last));
             });
           },
       .is_over = [] { return false; },
       .drop = [] {}});
  if (!status.ok()) Answer(key, purpose, status);
}

void SessionLoader::Answer(const Key& key, LoadFor purpose,
                           const absl::Status& status) {
  const std::vector<Done> waiting = std::move(waiting_[{key, purpose}]);
  waiting_.erase({key, purpose});
  for (const Done& done : waiting) done(status);
}

absl::Status SessionLoader::Restore(StoredSession stored,
                                    const LastTurn& last) {
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<SessionTurn> turn,
                          RestoreTurn(stored, last));
  const bool is_one_shot =
      stored.record.is_one_shot && stored.turns.size() == 1;
  TANDEM_ASSIGN_OR_RETURN(
      Session* const session,
      parts_.sessions->Add(
          stored.id, stored.record.tenant,
          is_one_shot ? SessionUse::kOneShot : SessionUse::kConversation));
  session->Restore(stored.driver_epoch, stored.turns.back().number,
                   std::move(turn));
  if (last.leaves_out) session->LeaveOutUnheardTurn();
  parts_.sessions->Measure(session);
  return absl::OkStatus();
}

absl::StatusOr<SessionLoader::LastTurn> SessionLoader::ReadLastTurn(
    const StoredSession& stored) const {
  LastTurn last;
  TANDEM_ASSIGN_OR_RETURN(last.model, ModelOf(*parts_.router, stored.record));
  if (!last.setup.ParseFromString(stored.turns.back().record.setup)) {
    return Damaged(stored, "a setup that does not parse");
  }
  last.options = FromProto(last.setup.options());
  return last;
}

absl::StatusOr<std::unique_ptr<SessionTurn>> SessionLoader::RestoreTurn(
    const StoredSession& stored, const LastTurn& last_turn) {
  const StoredTurn& last = stored.turns.back();
  const ModelSummary& model = last_turn.model;
  const v1::TurnSetupRecord& record = last_turn.setup;
  TurnSetup setup;
  setup.session_id = stored.id;
  setup.tenant = stored.record.tenant;
  setup.tenant_kv_share = parts_.quotas->LimitsOf(setup.tenant).kv_share;
  setup.number = last.number;
  setup.tokenizer = model.tokenizer;
  setup.spec = {.prompt = PromptOf(stored),
                .options = last_turn.options,
                .grammar = last_turn.grammar,
                .context_max = static_cast<Position>(record.context_max())};
  setup.template_date = record.template_date();
  if (record.timeout_ms() > 0) {
    setup.timeout = std::chrono::milliseconds(record.timeout_ms());
  }
  setup.go_on = std::chrono::milliseconds(record.go_on_ms());
  if (record.split_reply() && model.reply_format != nullptr) {
    setup.reply_split = {.format = model.reply_format,
                         .has_tools = record.has_tools(),
                         .starts_in_reasoning = record.starts_in_reasoning()};
  }
  setup.prompt_logprobs = PromptLogprobsOf(setup.spec, last, record);
  if (stored.turns.size() > 1) {
    setup.previous_fingerprint =
        stored.turns[stored.turns.size() - 2].record.fingerprint;
  }
  setup.quarantine = parts_.quarantine;
  setup.observer = parts_.observer;
  if (!CheckTurn(*model.tokenizer, setup.spec).ok() ||
      !CheckTokenIds(last.generated, model.vocab_size, "").ok()) {
    return Damaged(stored, "what the model does not take");
  }
  RestoredTurn restored = {
      .model = {.id = stored.record.model_id,
                .fingerprint = last.record.fingerprint,
                .vocabulary_fingerprint = model.vocabulary_fingerprint},
      .generated = last.generated,
      .elapsed = std::chrono::milliseconds(last.elapsed_ms),
      .moves = stored.driver_epoch - last.begun_epoch,
      .end = last.end_reason};
  const bool is_over = last.end_reason.has_value();
  std::optional<v1::TurnEnded> loaded_end = EndOf(last);
  if (last_turn.purpose == LoadFor::kResume && loaded_end.has_value() &&
      setup.spec.options.logprobs.has_value() && !last.generated.empty()) {
    MakeAgain(&setup, &restored, &*loaded_end);
  }
  std::unique_ptr<SessionTurn> turn(new SessionTurn{
      .runner = TurnRunner(parts_.loop, parts_.router, parts_.turn_limits,
                           std::move(setup)),
      .journal =
          TurnJournal({.store = parts_.store,
                       .loop = parts_.loop,
                       .key = {.session_id = stored.id,
                               .epoch = stored.driver_epoch,
                               .turn = last.number},
                       .written = static_cast<int64_t>(last.generated.size()),
                       .is_begun = true,
                       .is_over = is_over}),
      .loaded_end = std::move(loaded_end)});
  turn->runner.Restore(restored);
  if (turn->runner.usage().generated_tokens !=
      static_cast<int64_t>(restored.generated.size())) {
    return Damaged(stored, "tokens behind its turn's own end");
  }
  return turn;
}

}  // namespace tandem
