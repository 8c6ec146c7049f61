// One turn as its client sees it: a stream of events that is read on demand and
// goes on by itself after a lost connection.
//
// Made by Client (client.h), which outlives the calls of its turns. Shared by
// whoever reads; every member may be called by any thread.

#ifndef TANDEM_SERVICES_CLIENT_TURN_STREAM_H_
#define TANDEM_SERVICES_CLIENT_TURN_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::client {

// Where a client is in a turn: enough to go on with it from another connection
// or process.
struct TurnPosition {
  std::string session_id = {};
  int64_t turn = 0;        // its number in the session, from 1
  int64_t tokens = 0;      // received tokens of the turn
  int64_t text_bytes = 0;  // received bytes of the turn's text
  // Tokens of the prompt whose log-probabilities were received.
  int64_t prompt_tokens = 0;

  friend bool operator==(const TurnPosition&, const TurnPosition&) = default;
};

// `started`, `prompt`, `tokens` or `ended`: one `started`, then, where the
// request asks for log-probabilities of the prompt, any number of `prompt`,
// then any number of `tokens`, both without gap or repeat, then one `ended`.
using Event = v1::ConverseResponse;
// nullopt: the turn is over, `ended` was given before. An error ends the stream
// for good, and every further Next gives the same one. Its ErrorDetail
// (engine/base/status.h) has the service's reason; an error without one is
// gRPC's, such as UNAVAILABLE where nobody answers.
using NextEvent = absl::StatusOr<std::optional<Event>>;

// A connection that was lost, before the turn is asked for again.
struct LostConnection {
  absl::Status error;   // what ended it
  int attempt = 1;      // of this loss, from 1
  absl::Duration wait;  // until the attempt
};

class ResumingTurn;

class TurnStream {
 public:
  // For Client.
  explicit TurnStream(std::shared_ptr<ResumingTurn> turn);
  // Leaves a turn that is under way.
  ~TurnStream();

  TurnStream(const TurnStream&) = delete;
  TurnStream& operator=(const TurnStream&) = delete;

  // Asks for the next event. One request at a time: not before the last one's
  // `done` has been called; inside it is right. An event is taken from the
  // connection only when it is asked for, so a reader that does not ask holds
  // the server back.
  //
  // `done` is called once, without a lock: by a thread of gRPC, which it must
  // not block, by this call where the stream is over, or by the call of Leave
  // or the destructor of this or of the client, before they return. A `done`
  // that another thread has begun to call may still run after these.
  void Next(std::function<void(NextEvent)> done);
  // The same, blocking; not on a thread of gRPC.
  NextEvent Next();

  // Asks the service to end the turn, which then ends by its own `ended` with
  // FINISH_REASON_CANCELLED; read on. Also after a lost connection, once the
  // turn is resumed. Nothing after `ended`.
  void Cancel();
  // Gives the connection up: the turn waits at the service to be resumed
  // (Client::Resume with position()). A Next under way gets CANCELLED.
  void Leave();

  // What was given by Next until now.
  TurnPosition position() const;
  // nullopt: not yet.
  std::optional<v1::TurnStarted> started() const;

 private:
  const std::shared_ptr<ResumingTurn> turn_;
};

}  // namespace tandem::client

#endif  // TANDEM_SERVICES_CLIENT_TURN_STREAM_H_
