#include "services/coordinator/client/driver_watch.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "services/coordinator/client/session_loader.h"

namespace tandem {

void DriverWatch::SetTimer() {
  timer_ =
      loop_->SetTimer(loop_->Now() + kDriverWatchInterval, [this] { Ask(); });
}

void DriverWatch::Ask() {
  std::vector<HeldSession> held;
  asked_.clear();
  for (const Session* session : sessions_->Held()) {
    // A new session is not in the store yet.
    if (session->turns() == 0) continue;
    held.push_back({.session_id = session->id(), .epoch = session->epoch()});
    asked_[session->id()] = {.tenant = session->tenant(),
                             .epoch = session->epoch()};
  }
  if (held.empty()) return SetTimer();
  store_->FindLost(
      // It may answer when the watch has gone, and the loop has stopped.
      std::move(held),
      [this, loop = loop_](absl::StatusOr<std::vector<std::string>> lost) {
        loop->Post([this, lost = std::move(lost)] { OnAnswer(lost); });
      });
}

void DriverWatch::OnAnswer(
    const absl::StatusOr<std::vector<std::string>>& lost) {
  SetTimer();
  // Nobody drives anything where the store is away: turns that run go on.
  if (!lost.ok()) return;
  for (const std::string& id : *lost) {
    const Asked& asked = asked_[id];
    const absl::StatusOr<Session*> session = sessions_->Find(id, asked.tenant);
    // It may have been loaded again meanwhile.
    if (!session.ok() || (*session)->epoch() != asked.epoch) continue;
    spdlog::warn("session {}... is driven by another coordinator now",
                 id.substr(0, 8));
    sessions_->Drop(*session, ResumedElsewhere());
  }
}

}  // namespace tandem
