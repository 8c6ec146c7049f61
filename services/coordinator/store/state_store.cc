#include "services/coordinator/store/state_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

constexpr size_t kSessionIdDigits = 32;

}  // namespace

bool IsSessionId(absl::string_view text) {
  return text.size() == kSessionIdDigits &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

SessionSummary SummaryOf(const StoredSession& session) {
  return {.id = session.id,
          .record = session.record,
          .created_at = session.created_at,
          .used_at = session.used_at,
          .turns = static_cast<int64_t>(session.turns.size()),
          .is_over = !session.turns.empty() &&
                     session.turns.back().end_reason.has_value()};
}

absl::Status NotStored() {
  return absl::NotFoundError("the store has no such session");
}

absl::Status DrivenByAnother(int64_t epoch) {
  return absl::AbortedError(absl::StrCat(
      "another coordinator has taken the session over (driver epoch ", epoch,
      ")"));
}

absl::Status TurnNotStored(int64_t turn) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the session has no such turn ", turn, ", or more tokens of it"));
}

absl::Status StoredTurnIsOver(int64_t turn) {
  return absl::FailedPreconditionError(
      absl::StrCat("turn ", turn, " has ended already"));
}

}  // namespace tandem
