// tandem sessions: what a coordinator has stored of its clients' sessions, by
// the coordinator's own calls. Nothing that a client said or got is shown.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

struct SessionsFlags {
  std::string tenant;
  std::string session_id;
  bool json = false;
};

// "2026-01-02T03:04:05Z"; null for what is not known.
Json TimeJson(int64_t seconds) {
  if (seconds == 0) return nullptr;
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ",
                          absl::FromUnixSeconds(seconds), absl::UTCTimeZone());
}

// "idle", "turn_open", "damaged"; "state_7" for one of a later version.
std::string StateName(v1::SessionState state) {
  return EnumWord(v1::SessionState_Name(state), "SESSION_STATE_", "state",
                  state);
}

Json SessionJson(const v1::SessionSummary& session) {
  return {{"session_id", session.session_id()},
          {"tenant", session.tenant()},
          {"model_id", session.model_id()},
          {"state", StateName(session.state())},
          {"turns", session.turns()},
          {"created_at", TimeJson(session.created_at_seconds())},
          {"used_at", TimeJson(session.used_at_seconds())}};
}

Json TurnJson(const v1::TurnSummary& turn) {
  Json json = {{"turn", turn.turn()},
               {"prompt_tokens", turn.prompt_tokens()},
               {"generated_tokens", turn.generated_tokens()},
               {"ended", turn.ended()},
               {"finish_reason", nullptr},
               {"fingerprint", turn.fingerprint()}};
  if (turn.finish_reason() != v1::FINISH_REASON_UNSPECIFIED) {
    json["finish_reason"] = FinishReasonName(turn.finish_reason());
  }
  return json;
}

// Of show and delete.
absl::Status Explain(const absl::Status& error, const SessionsFlags& flags) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(error);
  if (!detail.has_value() || detail->reason != kReasonUnknownSession) {
    return error;
  }
  return MakeError(
      error.code(), *detail,
      absl::StrCat("there is no session ", QuotedValue(flags.session_id),
                   ": `tandem sessions list` shows those that "
                   "are"));
}

absl::Status RunList(const SessionsFlags& flags,
                     const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  v1::ListSessionsRequest request;
  request.set_tenant(flags.tenant);
  Json sessions = Json::array();
  do {  // a page of the store has another token than the one before
    TANDEM_ASSIGN_OR_RETURN(const v1::ListSessionsResponse page,
                            client->ListSessions(request));
    for (const v1::SessionSummary& session : page.sessions()) {
      sessions.push_back(SessionJson(session));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  if (flags.json) {
    PrintJson({{"sessions", sessions}}, io.out);
  } else if (sessions.empty()) {
    *io.out << "no session is stored\n";
  } else {
    PrintReport({{"sessions", sessions}}, io.out);
  }
  return absl::OkStatus();
}

absl::Status RunShow(const SessionsFlags& flags,
                     const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  v1::ShowSessionRequest request;
  request.set_session_id(flags.session_id);
  const absl::StatusOr<v1::ShowSessionResponse> shown =
      client->ShowSession(request);
  if (!shown.ok()) return Explain(shown.status(), flags);
  Json report = SessionJson(shown->session());
  report.erase("turns");  // their number; the turns themselves come last
  report["vocabulary_fingerprint"] = shown->vocabulary_fingerprint();
  report["turns"] = Json::array();
  for (const v1::TurnSummary& turn : shown->turns()) {
    report["turns"].push_back(TurnJson(turn));
  }
  if (flags.json) {
    PrintJson(report, io.out);
  } else {
    PrintReport(report, io.out);
  }
  return absl::OkStatus();
}

absl::Status RunDelete(const SessionsFlags& flags,
                       const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  v1::DeleteSessionRequest request;
  request.set_session_id(flags.session_id);
  const absl::Status deleted = client->DeleteSession(request);
  if (!deleted.ok()) return Explain(deleted, flags);
  *io.out << flags.session_id << " is deleted\n";
  return absl::OkStatus();
}

CLI::App* AddCommandOfOne(CLI::App* sessions, const char* name,
                          const char* description,
                          const std::shared_ptr<SessionsFlags>& flags) {
  CLI::App* command = sessions->add_subcommand(name, description);
  command
      ->add_option("session-id", flags->session_id,
                   "The session, as sessions list shows it")
      ->required();
  return command;
}

}  // namespace

void AddSessionsCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<SessionsFlags>();
  CLI::App* sessions = app->add_subcommand(
      "sessions",
      "Lists, shows and deletes the sessions that a coordinator has stored, "
      "without their texts.");
  sessions->require_subcommand(1);
  CLI::App* list = sessions->add_subcommand(
      "list", "Lists the sessions, in the order of their ids.");
  list->add_option("--tenant", flags->tenant,
                   "Those of this tenant alone, as the list shows it");
  list->add_flag("--json", flags->json, "Prints {\"sessions\": [...]}");
  SetExamples(list, {"tandem sessions list",
                     "tandem sessions list --tenant key:alice --json"});
  RunWhenChosen(list, flags, RunList, line);
  CLI::App* show = AddCommandOfOne(
      sessions, "show", "Shows a session and its turns, in tokens.", flags);
  show->add_flag("--json", flags->json, "Prints an object with `turns`");
  SetExamples(show, {"tandem sessions show 0123456789abcdef0123456789abcdef"});
  RunWhenChosen(show, flags, RunShow, line);
  CLI::App* remove = AddCommandOfOne(
      sessions, "delete",
      "Deletes a session for good; a turn of it under way ends.", flags);
  SetExamples(remove,
              {"tandem sessions delete 0123456789abcdef0123456789abcdef"});
  RunWhenChosen(remove, flags, RunDelete, line);
  SetExamples(sessions,
              {"tandem sessions list",
               "tandem sessions show 0123456789abcdef0123456789abcdef",
               "tandem sessions delete 0123456789abcdef0123456789abcdef"});
}

}  // namespace tandem::cli
