#include "services/coordinator/server/session_admin.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "services/common/turn_conversion.h"
#include "services/coordinator/client/session_loader.h"

namespace tandem {
namespace {

absl::Status NoStore() {
  return absl::FailedPreconditionError(
      "this coordinator has no store: its sessions are in its own memory, and "
      "GetStatus counts them; start it with --state-dir FOLDER or --store "
      "ADDRESS to keep them");
}

absl::Status NoSuchSession() {
  return MakeError(absl::StatusCode::kNotFound,
                   {.reason = kReasonUnknownSession},
                   "the store has no such session");
}

// What the store says, for an operator.
absl::Status InOperatorsWords(const absl::Status& status) {
  return absl::IsNotFound(status) ? NoSuchSession() : InClientsWords(status);
}

v1::SessionState StateOf(const SessionSummary& summary) {
  if (summary.is_damaged) return v1::SESSION_STATE_DAMAGED;
  return summary.is_over ? v1::SESSION_STATE_IDLE : v1::SESSION_STATE_TURN_OPEN;
}

v1::SessionSummary ToProto(const SessionSummary& summary) {
  v1::SessionSummary result;
  result.set_session_id(summary.id);
  result.set_state(StateOf(summary));
  // A string of a message is UTF-8, which damaged bytes may not be.
  if (summary.is_damaged) return result;
  result.set_tenant(summary.record.tenant);
  result.set_model_id(summary.record.model_id);
  result.set_created_at_seconds(absl::ToUnixSeconds(summary.created_at));
  result.set_used_at_seconds(absl::ToUnixSeconds(summary.used_at));
  result.set_turns(summary.turns);
  return result;
}

v1::TurnSummary ToProto(const StoredTurn& turn) {
  v1::TurnSummary result;
  result.set_turn(turn.number);
  result.set_fingerprint(turn.record.fingerprint);
  result.set_prompt_tokens(static_cast<int64_t>(turn.record.prompt.size()));
  result.set_generated_tokens(static_cast<int64_t>(turn.generated.size()));
  if (turn.end_reason.has_value()) {
    result.set_ended(true);
    result.set_finish_reason(ToProto(*turn.end_reason));
  }
  return result;
}

}  // namespace

void SessionAdmin::List(const v1::ListSessionsRequest& request,
                        v1::ListSessionsResponse* response, Done done) const {
  if (parts_.store == nullptr) return done(NoStore());
  if (!request.page_token().empty() && !IsSessionId(request.page_token())) {
    return done(InvalidField("page_token",
                             "must be the next_page_token of an earlier page"));
  }
  SessionsOf which;
  if (!request.tenant().empty()) which.tenant = request.tenant();
  parts_.store->List(
      std::move(which), request.page_token(),
      [response, done = std::move(done)](
          const absl::StatusOr<std::vector<SessionSummary>>& sessions) {
        if (!sessions.ok()) return done(InOperatorsWords(sessions.status()));
        for (const SessionSummary& summary : *sessions) {
          *response->add_sessions() = ToProto(summary);
        }
        if (static_cast<int64_t>(sessions->size()) == kListedSessionsMax) {
          response->set_next_page_token(sessions->back().id);
        }
        done(absl::OkStatus());
      });
}

void SessionAdmin::Show(const v1::ShowSessionRequest& request,
                        v1::ShowSessionResponse* response, Done done) const {
  if (parts_.store == nullptr) return done(NoStore());
  if (!IsSessionId(request.session_id())) return done(NoSuchSession());
  parts_.store->Load(
      request.session_id(), [response, done = std::move(done)](
                                const absl::StatusOr<StoredSession>& session) {
        if (!session.ok()) return done(InOperatorsWords(session.status()));
        *response->mutable_session() = ToProto(SummaryOf(*session));
        response->set_vocabulary_fingerprint(
            session->record.vocabulary_fingerprint);
        const size_t count = std::min(session->turns.size(), kShownTurnsMax);
        for (auto turn = session->turns.end() - static_cast<ptrdiff_t>(count);
             turn != session->turns.end(); ++turn) {
          *response->add_turns() = ToProto(*turn);
        }
        done(absl::OkStatus());
      });
}

void SessionAdmin::Delete(const v1::DeleteSessionRequest& request,
                          Done done) const {
  if (parts_.store == nullptr) return done(NoStore());
  const std::string& id = request.session_id();
  if (!IsSessionId(id)) return done(NoSuchSession());
  parts_.store->Delete(
      SessionsOf(), id,
      [parts = parts_, id, done = std::move(done)](absl::Status status) {
        if (!status.ok() && !absl::IsNotFound(status)) {
          return done(InOperatorsWords(status));
        }
        // What was loaded before the deletion has been posted before.
        parts.loop->Post([parts, id, done, status = std::move(status)] {
          Session* const session = parts.sessions->FindAny(id);
          if (session != nullptr) {
            parts.sessions->Drop(
                session, MakeError(absl::StatusCode::kNotFound,
                                   {.reason = kReasonUnknownSession},
                                   "the session was deleted by an operator; "
                                   "start a new one"));
          } else if (!status.ok()) {
            return done(NoSuchSession());
          }
          spdlog::info("session {}... was deleted by an operator",
                       id.substr(0, 8));
          done(absl::OkStatus());
        });
      });
}

}  // namespace tandem
