// One client stream, of Converse or Generate: takes the client's messages,
// starts and resumes turns, and writes their events as fast as the client
// reads. Shared by its gRPC reactor and the closures that it posted.
//
// Everything but the Post functions runs on the conversation's loop. That is
// the loop of the session whose turn is under way; a stream that goes to a
// session of another loop moves there between turns.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_CONVERSATION_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_CONVERSATION_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "services/common/trace_context.h"
#include "services/coordinator/client/background_thread.h"
#include "services/coordinator/client/prompt.h"
#include "services/coordinator/client/session.h"
#include "services/coordinator/client/session_store.h"
#include "services/coordinator/routing/router.h"
#include "services/coordinator/turn/draft_priors.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/turn_runner.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// Texts up to this are tokenised on the event loop (well below 1 ms), longer
// ones on the background thread; messages always there, since a template may
// run long.
inline constexpr size_t kInlineTextBytes = 2048;
// Tokens in one event, so that a replay of a long turn is not one message.
inline constexpr int64_t kEventTokensMax = 256;

// Turns that run at once, over all loops.
class TurnAdmission {
 public:
  explicit TurnAdmission(int64_t turns_max) : turns_max_(turns_max) {}
  // RESOURCE_EXHAUSTED with EXHAUSTED at turns_max; else Leave must follow.
  absl::Status Enter();
  void Leave() { turns_.fetch_sub(1); }
  int64_t turns_max() const { return turns_max_; }
  int64_t turns() const { return turns_.load(); }

 private:
  const int64_t turns_max_;
  std::atomic<int64_t> turns_{0};
};

// What conversations share; owned by the server, outlives them.
struct ConversationServices {
  SessionStore* sessions = nullptr;
  Router* router = nullptr;
  BackgroundThread* background = nullptr;
  TurnAdmission* admission = nullptr;
  TurnLimits turn_limits;
  DraftPriors draft_priors;
  TurnObserver* observer = nullptr;  // may be null
  std::atomic<bool> draining{false};
};

// The transport under a conversation, called on its loop. One read and one
// write at a time; nothing after Finish.
class ClientStream {
 public:
  virtual ~ClientStream() = default;
  virtual void Read() = 0;
  virtual void Write(const v1::ConverseResponse& event) = 0;
  virtual void Finish(const absl::Status& status) = 0;
};

struct ConversationSetup {
  std::string tenant;
  // Path of the turn in the request: "start" or "turn".
  std::string turn_field;
  // What the client's request is part of.
  std::optional<TraceContext> trace = {};
  // When the client itself gives up.
  std::optional<std::chrono::system_clock::time_point> call_deadline;
};

class Conversation : public std::enable_shared_from_this<Conversation>,
                     private TurnListener,
                     private SessionHolder {
 public:
  // `stream` lives until after Finish.
  Conversation(ConversationServices* services, EventLoop* loop,
               ClientStream* stream, ConversationSetup setup);
  ~Conversation() override;

  // From any thread: what the transport has to tell.
  void PostMessage(v1::ConverseRequest message);
  void PostMalformed();
  void PostHalfClose();
  void PostWriteDone();
  // The client is gone.
  void PostCancelled();
  // The server is about to stop: an idle stream ends, a turn may end first.
  void PostDrain();
  // The time for that is over.
  void PostStop();

 private:
  enum class State {
    kIdle,       // no turn under way
    kPreparing,  // the prompt of a turn is being made
    kTurn,       // session_ and runner_ are set
    kFinished,   // stream_ is not ours any more
  };

  // Runs `closure` on the conversation's loop, wherever that is by then.
  void PostToSelf(EventLoop::Closure closure);
  void MoveTo(EventLoop* loop, EventLoop::Closure then);

  void OnMessage(v1::ConverseRequest message);
  void OnStart(v1::TurnRequest turn);
  void StartOnLoop(v1::TurnRequest turn);
  void OnResume(v1::ResumeRequest resume);
  void ResumeOnLoop(const v1::ResumeRequest& resume);
  void OnCancelMessage();
  void OnClientGone();

  // The session that `turn` continues: null for a new one.
  absl::StatusOr<Session*> FindSession(const v1::TurnRequest& turn);
  absl::Status Prepare(v1::TurnRequest turn);
  void OnPrepared(v1::TurnRequest turn, ModelSummary model,
                  absl::StatusOr<EncodedPrompt> prompt);
  absl::Status OpenTurn(const v1::TurnRequest& turn, const ModelSummary& model,
                        EncodedPrompt prompt);
  SequenceNeed NeedOf(const TurnSpec& spec) const;
  absl::Status CheckResume(const v1::ResumeRequest& resume,
                           const TurnRunner& runner) const;

  void OnTurnChanged() override;
  void OnTakenOver() override;
  // Writes the next event, if the last one is written.
  void Pump();
  void Write(v1::ConverseResponse event);
  v1::ConverseResponse NextTokens();
  // The turn is not this stream's any more.
  void LeaveTurn();
  void LeaveAdmission();
  // After a turn, or when the client half-closed.
  void FinishIfDone();
  void Finish(const absl::Status& status);

  ConversationServices* const services_;
  std::atomic<EventLoop*> loop_;
  ClientStream* const stream_;
  const ConversationSetup setup_;

  State state_ = State::kIdle;
  bool first_message_ = true;
  bool half_closed_ = false;
  bool stopping_ = false;  // the server's drain has reached this stream
  bool write_in_flight_ = false;
  std::optional<absl::Status> finish_status_;  // waits for the last write
  bool admitted_ = false;

  // In kPreparing (null for a new session) and kTurn.
  Session* session_ = nullptr;
  bool cancel_requested_ = false;  // while preparing
  // In kTurn.
  TurnRunner* runner_ = nullptr;
  bool started_sent_ = false;
  int64_t tokens_sent_ = 0;
  size_t text_sent_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_CONVERSATION_H_
