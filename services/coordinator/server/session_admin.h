// What operators ask of the stored sessions: translates between the store and
// the messages of CoordinatorAdminService. Owned by that service; any thread
// may call, and none waits.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_SESSION_ADMIN_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_SESSION_ADMIN_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "services/coordinator/client/session_store.h"
#include "services/coordinator/store/state_store.h"
#include "services/coordinator/turn/event_loop.h"
#include "tandem/v1/coordinator_admin.pb.h"

namespace tandem {

// Turns of one ShowSession: some 150 bytes each, of the 4 MiB of a message.
inline constexpr size_t kShownTurnsMax = 1000;

class SessionAdmin {
 public:
  // All outlive the calls. `store` may be null: then there is none.
  struct Parts {
    StateStore* store = nullptr;
    SessionStore* sessions = nullptr;
    EventLoop* loop = nullptr;
  };
  // Called once, by a thread of the store, by the loop or before the call
  // returns. The errors are those of the service.
  using Done = std::function<void(const absl::Status&)>;

  explicit SessionAdmin(const Parts& parts) : parts_(parts) {}

  // `response` lives until `done` is called.
  void List(const v1::ListSessionsRequest& request,
            v1::ListSessionsResponse* response, Done done) const;
  void Show(const v1::ShowSessionRequest& request,
            v1::ShowSessionResponse* response, Done done) const;
  // From the store, and then from this process: who loads it in between finds
  // nothing.
  void Delete(const v1::DeleteSessionRequest& request, Done done) const;

 private:
  const Parts parts_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_SESSION_ADMIN_H_
