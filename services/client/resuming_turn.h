// A turn over as many streams as it takes: starts or resumes it, hands its
// events on, and asks for it again after a lost connection. What TurnStream
// holds; kept alive by its call too. Any thread.
//
// It goes on
// - once `started` has come, after a lost connection or an answer that says
//   the turn waits (IsLostConnection, WaitsForResume): by a resume from the
//   tokens and bytes that came;
// - before `started`, where the request went out, the connection was lost and
//   the request has no session: by the same start, once. The first may have
//   run; it has left a session that nobody knows, which ends by its idle time.
//   In a session a start that may have run is not sent again, since its prompt
//   could stand twice in the history;
// - before `started`, where the service's store is away (WaitsForStore): by the
//   same start.
// Any other answer of the service before `started` is final, and so is a
// connection that could not be made for the first start.

#ifndef TANDEM_SERVICES_CLIENT_RESUMING_TURN_H_
#define TANDEM_SERVICES_CLIENT_RESUMING_TURN_H_

#include <grpcpp/alarm.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/client/converse_call.h"
#include "services/client/live_turns.h"
#include "services/client/received_turn.h"
#include "services/client/retry_schedule.h"
#include "services/client/turn_stream.h"
#include "tandem/v1/generation.grpc.pb.h"

namespace tandem::client {

struct TurnSetup {
  std::shared_ptr<LiveTurns> live;
  v1::GenerationService::Stub* stub = nullptr;   // outlives live's holds
  std::string api_key = {};                      // empty: none
  absl::Time deadline = absl::InfiniteFuture();  // of absl::Now
  absl::Duration resume_for;
  std::function<void(const LostConnection&)> on_lost = {};  // may be empty
};

class ResumingTurn final : public StreamListener,
                           public LiveTurn,
                           public std::enable_shared_from_this<ResumingTurn> {
 public:
  static std::shared_ptr<ResumingTurn> Start(TurnSetup setup,
                                             v1::TurnRequest request);
  static std::shared_ptr<ResumingTurn> Resume(TurnSetup setup,
                                              const TurnPosition& from);
  // One that never begins.
  static std::shared_ptr<ResumingTurn> Failed(TurnSetup setup,
                                              absl::Status error);
  ~ResumingTurn() override;

  // See TurnStream.
  void Next(std::function<void(NextEvent)> done);
  void Cancel();
  void Leave();
  TurnPosition position() const;
  std::optional<v1::TurnStarted> started() const;

  // LiveTurn
  void Close() override;
  // StreamListener
  void OnEvent(v1::ConverseResponse event) override;
  void OnEnd(const StreamEnd& end) override;

 private:
  ResumingTurn(TurnSetup setup, ReceivedTurn received, v1::TurnRequest request);

  // Begins a stream, for the turn's start or its resume.
  void Open();
  v1::ConverseRequest FirstMessage() const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Opens the next stream after `wait`.
  void OpenAfter(absl::Duration wait);
  // The wait after a stream's end; nullopt where the turn is not asked for
  // again.
  std::optional<absl::Duration> WaitAfter(const StreamEnd& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The error of a stream after which there is none.
  absl::Status FinalError(const StreamEnd& end) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // No event follows; OK: `ended` was given. The waiting `done`, if there is
  // one.
  std::function<void(NextEvent)> End(absl::Status status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const TurnSetup setup_;

  mutable absl::Mutex mutex_;
  ReceivedTurn received_ ABSL_GUARDED_BY(mutex_);
  v1::TurnRequest request_ ABSL_GUARDED_BY(mutex_);  // until `started`
  bool has_session_ ABSL_GUARDED_BY(mutex_);         // the request names one
  int starts_sent_ ABSL_GUARDED_BY(mutex_) = 0;      // without `started`
  RetrySchedule schedule_ ABSL_GUARDED_BY(mutex_);
  std::function<void(NextEvent)> next_ ABSL_GUARDED_BY(mutex_);
  bool cancel_asked_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> over_ ABSL_GUARDED_BY(mutex_);
  // Null between streams; one that is over may still be ending.
  std::shared_ptr<ConverseCall> call_ ABSL_GUARDED_BY(mutex_);
  // Between streams.
  std::unique_ptr<grpc::Alarm> alarm_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem::client

#endif  // TANDEM_SERVICES_CLIENT_RESUMING_TURN_H_
