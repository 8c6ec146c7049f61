// After which ends of a stream a turn is asked for again, and when. One thread
// at a time.

#ifndef TANDEM_SERVICES_CLIENT_RETRY_SCHEDULE_H_
#define TANDEM_SERVICES_CLIENT_RETRY_SCHEDULE_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "services/common/channel.h"

namespace tandem::client {

// Whether the stream was ended by the transport and not by an answer of the
// service, whose errors have details: a connection that was lost or could not
// be made, a reset, a proxy that went. `status` is not that of a call which
// this side has cancelled.
bool IsLostConnection(const grpc::Status& status);

// Whether the service has ended the stream of a turn that waits to be resumed:
// no worker, a drain, no place free.
bool WaitsForResume(const grpc::Status& status);

// Whether the service has refused a turn's start because its store is away: it
// has left nothing behind, and a database that is started again is back within
// seconds.
bool WaitsForStore(const grpc::Status& status);

// The times of one loss after the other. A wait is doubled from
// kReconnectBackoffMinMs up to kReconnectBackoffMaxMs, as gRPC's own between
// connections, and drawn from half to one and a half of that, so that clients
// which have lost one server do not come back together.
class RetrySchedule {
 public:
  explicit RetrySchedule(absl::Duration budget) : budget_(budget) {}

  // The wait before the next attempt, at least `delay_min`; nullopt where it
  // would end later than the budget after the loss. `now` is of MonotonicNow.
  std::optional<absl::Duration> NextWait(absl::Time now,
                                         absl::Duration delay_min);
  // The turn went on: the next loss has the whole budget.
  void Reset();

  // Waits since Reset.
  int attempts() const { return attempts_; }

 private:
  absl::Duration budget_;
  std::optional<absl::Time> lost_at_;
  absl::Duration backoff_ = absl::Milliseconds(kReconnectBackoffMinMs);
  int attempts_ = 0;
};

}  // namespace tandem::client

#endif  // TANDEM_SERVICES_CLIENT_RETRY_SCHEDULE_H_
