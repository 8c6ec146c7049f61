// The stream of one client, of Converse or Generate: takes the client's
// messages, starts and resumes turns, and writes their events as fast as the
// client reads. Shared by its gRPC reactor and the closures that it posted.
// Everything but the Post functions belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_CLIENT_STREAM_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_CLIENT_STREAM_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/status.h"
#include "services/common/trace_context.h"
#include "services/coordinator/client/background_queue.h"
#include "services/coordinator/client/client_call.h"
#include "services/coordinator/client/left_turns.h"
#include "services/coordinator/client/memory_budget.h"
#include "services/coordinator/client/prompt.h"
#include "services/coordinator/client/reader_watch.h"
#include "services/coordinator/client/request_checks.h"
#include "services/coordinator/client/session.h"
#include "services/coordinator/client/session_loader.h"
#include "services/coordinator/client/session_store.h"
#include "services/coordinator/client/split_reply.h"
#include "services/coordinator/client/turn_events.h"
#include "services/coordinator/client/turn_quotas.h"
#include "services/coordinator/routing/router.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/prompt_scores.h"
#include "services/coordinator/turn/turn_runner.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// Tokens in one event, so that a replay of a long turn is not one message.
inline constexpr int64_t kEventTokensMax = 256;
// A turn whose client has not read for this long gives its KV back where others
// wait for it. A write that is not done says that the client has left 64 KiB
// unread, HTTP/2's default window, which is some 1,000 events. Well below the
// 30 s that others wait in a worker's queue, and above a link's
// retransmissions.
inline constexpr MonotonicDuration kClientStall = std::chrono::seconds(2);
// After this many times as long it does so also where nobody waits. A session
// whose turn holds no worker may go as an idle one while its client does not
// read.
inline constexpr int kStallsMax = 15;

struct ClientStreamSetup;

// A prompt that comes in parts before its turn starts. Owned by its stream.
class PromptParts {
 public:
  virtual ~PromptParts() = default;
  // Fields of errors are those of the part.
  virtual absl::Status Add(v1::AppendRequest part) = 0;
  // Puts the parts before the prompt of `turn`, which may have none of its own.
  // INVALID_OPTIONS with a field of the turn where it is not that of the parts.
  virtual absl::Status Complete(v1::TurnRequest* turn) = 0;
};

// What client streams share; owned by the server, outlives them.
struct ClientServices {
  EventLoop* loop = nullptr;
  SessionStore* sessions = nullptr;
  Router* router = nullptr;
  BackgroundQueue* background = nullptr;
  MemoryBudget* memory = nullptr;
  TurnQuotas* quotas = nullptr;
  LeftTurns* left_turns = nullptr;
  SessionLoader* loader = nullptr;  // null: there is no store
  TurnLimits turn_limits;
  MonotonicDuration client_stall = kClientStall;
  PromptQuarantine* quarantine = nullptr;  // may be null, and so may this:
  TurnObserver* observer = nullptr;
  // Begins the prompt of a stream whose first part has come.
  std::function<std::unique_ptr<PromptParts>(const ClientStreamSetup&)>
      begin_append;
  std::atomic<bool> draining{false};

  StateStore* store() const {  // may be null
    return loader == nullptr ? nullptr : loader->store();
  }
};

// The transport under a client's stream, called on the event loop. One read and
// one write at a time; nothing after Finish.
class ClientTransport {
 public:
  virtual ~ClientTransport() = default;
  virtual void Read() = 0;
  virtual void Write(const v1::ConverseResponse& event) = 0;
  virtual void Finish(const absl::Status& status) = 0;
};

struct ClientStreamSetup {
  std::string tenant;
  // Path of the turn in the request: "start" or "turn".
  std::string turn_field;
  // Of sessions that the stream makes.
  SessionUse use = SessionUse::kConversation;
  // The trace that the client's request is part of.
  std::optional<TraceContext> trace = {};
  // When the client itself gives up.
  std::optional<MonotonicTime> call_deadline;
};

class ClientStream : public std::enable_shared_from_this<ClientStream>,
                     public ClientCall,
                     private TurnListener,
                     private SessionHolder {
 public:
  // `transport` lives until after Finish.
  ClientStream(ClientServices* services, ClientTransport* transport,
               ClientStreamSetup setup);

  // From any thread: what the transport reports.
  void PostMessage(v1::ConverseRequest message);
  // A message was refused before it came here: the stream ends so.
  void PostRefused(absl::Status status);
  void PostHalfClose();
  void PostWriteDone();
  // The client is gone.
  void PostCancelled();
  void PostDrain() override;
  void PostStop() override;

 private:
  enum class State {
    kIdle,       // no turn under way
    kLoading,    // the session comes from the store
    kPreparing,  // the prompt of a turn is being made
    kTurn,       // session_ and turn_ are set
    kFinished,   // transport_ is not ours any more
  };
  // What the client was told of a turn, and what else it is told than tokens.
  struct Told {
    bool started = false;
    TurnProgress sent;                // tokens and text
    std::optional<SplitReply> split;  // where the turn's reply is split
    // Of the prompt, until the client has what it is to get of them.
    std::optional<PromptScores> scores;
  };

  // Runs `closure` on the event loop while this lives on.
  void PostToSelf(EventLoop::Closure closure);
  void OnMessage(v1::ConverseRequest message);
  // A start, or a part of a prompt.
  void OnPrompt(v1::ConverseRequest message);
  void OnResume(const v1::ResumeRequest& resume);
  // Calls `then` when the session is here, if there is one of that id: it may
  // have to be loaded. The stream ends where it can not be had.
  void WithSession(const std::string& session_id, LoadFor purpose,
                   std::function<void()> then);
  void OnClientGone();

  // Checks the turn and makes token ids of its prompt; OnPrepared follows.
  absl::Status Prepare(v1::TurnRequest turn);
  // Makes the grammar and the ids on a helper thread.
  absl::Status PrepareAside(TurnInput input, std::optional<TokenId> last);
  void OnPrepared(const TurnInput& input, absl::StatusOr<EncodedPrompt> prompt);
  absl::Status OpenTurn(const TurnInput& input, EncodedPrompt prompt);
  // `turn` goes to the client from `sent` on, and the log-probabilities of its
  // prompt, if it has some, from token `prompt_sent` on.
  void FollowTurn(SessionTurn* turn, const TurnProgress& sent,
                  int64_t prompt_sent);

  void OnTurnChanged() override;
  void OnJournalChanged();
  bool opens_turn() const override { return opening_ != nullptr; }
  void OnLost(const absl::Status& why) override;
  // Writes the next event, if the last one is written.
  void Pump();
  // Takes the next event of the turn; nothing where there is none now, or the
  // stream has ended.
  std::optional<v1::ConverseResponse> NextEvent();
  // The client has not read for `since`: the turn and its session may be set
  // aside.
  void OnStalled(MonotonicDuration since);
  // Lets the turn, which is suspended or lacks scores of its prompt, run on.
  void RunOn();
  // The turn is not this stream's any more.
  void LeaveTurn();
  // After a turn, or when the client half-closed.
  void FinishIfDone();
  void Finish(const absl::Status& status);

  ClientServices* const services_;
  ClientTransport* const transport_;
  const ClientStreamSetup setup_;

  State state_ = State::kIdle;
  bool first_message_ = true;
  bool half_closed_ = false;
  bool stopping_ = false;  // the server's drain has reached this stream
  ReaderWatch reader_;
  std::optional<absl::Status> finish_status_;  // waits for the last write
  std::optional<TurnAdmission> admission_;     // while a turn runs
  std::atomic<bool> is_gone_{false};           // the client; any thread
  std::unique_ptr<PromptParts> appended_;      // in kIdle; null: none

  // In kPreparing (null for a new session) and kTurn.
  Session* session_ = nullptr;
  bool cancel_requested_ = false;  // while preparing
  // In kTurn. The session's, or opening_ until the client knows of the turn.
  SessionTurn* turn_ = nullptr;
  std::unique_ptr<SessionTurn> opening_;
  // Of a resume: to be checked when the turn has that many tokens, which one
  // that was loaded has to make again.
  std::optional<v1::ResumeRequest> unchecked_;
  bool set_aside_ = false;  // the turn; until the client has read what there is
  bool may_go_ = false;     // the session; until the client reads
  Told told_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_CLIENT_STREAM_H_
