// Drives one Turn over worker streams: opens a target and a drafter, carries
// actions to them and answers back, and replaces a worker that is lost. No
// gRPC here. Owned by its session; everything belongs to the session's loop.
//
// The reader (a client's conversation) takes tokens and text from the runner at
// its own pace and says how far it is; a runner whose reader lags starts no new
// round. A suspended turn holds no worker; it goes on from its committed
// tokens with the same text.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_TURN_RUNNER_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_TURN_RUNNER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/session/turn.h"
#include "engine/speculation/draft_controller.h"
#include "engine/speculation/speculator.h"
#include "engine/tokenizer/tokenizer.h"
#include "services/common/trace_context.h"
#include "services/coordinator/turn/draft_priors.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/worker_link.h"

namespace tandem {

class TurnObserver;

struct TurnLimits {
  // A turn without a target looks for another for so long, and before its
  // first `opened` for so long; then it is suspended with UNAVAILABLE.
  MonotonicDuration recovery_budget = std::chrono::seconds(30);
  MonotonicDuration opening_budget = std::chrono::seconds(5);
  // While a target has no room the turn waits in its queue: so long in all
  // since it was started or resumed or lost its target, but not beyond the
  // turn's time, nor beyond `recovery_budget`. Drafters are not waited for.
  MonotonicDuration queue_timeout = std::chrono::seconds(30);
  // Streams opened to targets without any progress in between. A prompt that
  // kills workers takes no more than these with it.
  int target_opens_max = 6;
  // Between looking for a target again; doubled with each stream that failed.
  MonotonicDuration recovery_poll = std::chrono::milliseconds(100);
  // A round waits for its draft so many times as long as drafting should take,
  // and at least so much longer; then it goes on without.
  int draft_patience = 4;
  MonotonicDuration draft_patience_min = std::chrono::milliseconds(20);
  // A drafter that needs longer for one round is dropped for the turn.
  MonotonicDuration draft_round_deadline = std::chrono::seconds(2);
  // Added in the first round, for each token of the prompt; then the turn goes
  // on without a draft, and the drafter may take so long in all for the prompt.
  MonotonicDuration draft_prefill_per_token = std::chrono::milliseconds(10);
  MonotonicDuration draft_prompt_deadline = std::chrono::seconds(60);
  // Drafters go on while the target verifies, where they have cores of their
  // own and fewer sequences than this share their passes.
  bool draft_ahead = true;
  double draft_ahead_sequences_max = 1.5;
  // No new round while so many tokens wait for the reader.
  int64_t unread_tokens_max = 64;
};

struct TurnSetup {
  std::string session_id;
  std::string tenant = {};
  int64_t number = 0;        // of the turn in its session, from 1
  uint64_t first_epoch = 1;  // of the first worker stream
  std::shared_ptr<const Tokenizer> tokenizer;
  TurnSpec spec;  // has passed Turn::Check
  // The day that the prompt's chat template was told; "" without one.
  std::string template_date = {};
  // From Start; then the turn ends with kDeadline.
  std::optional<MonotonicDuration> timeout;
  // What was learned of drafting before.
  DraftController controller = {};
  // Who knows what the sessions on a target agree on. Outlives the runner;
  // null: each session is for itself.
  DraftPriors* draft_priors = nullptr;
  // Who drafted for the session last.
  LastWorker last_drafter = {};
  // Of the client's request; passed on to workers.
  std::optional<TraceContext> trace = {};
  // Outlives the runner; null: nobody is told.
  TurnObserver* observer = nullptr;
};

// What the turn's rounds took, in microseconds.
struct TurnTimes {
  int64_t draft_us = 0;   // draft workers computing
  int64_t verify_us = 0;  // target workers computing
  int64_t rpc_us = 0;     // the rest of the round trips
  int64_t wait_us = 0;    // of that, waiting in workers
  int64_t queue_us = 0;   // waiting for KV at targets
  int64_t first_token_us = 0;
  int64_t total_us = 0;
};

// Told, on the loop, that the runner's state or tokens have changed. May
// destroy the runner.
class TurnListener {
 public:
  virtual ~TurnListener() = default;
  virtual void OnTurnChanged() = 0;
};

class TurnRunner : private WorkerStreamEvents {
 public:
  enum class State {
    kOpening,    // no target has confirmed yet: the client knows nothing
    kRunning,    // tokens come (or a lost target is being replaced)
    kSuspended,  // waits for Resume; status() says why if not for the client
    kEnded,      // finish_reason() says why
    kFailed,     // can never go on: status()
  };

  // `loop` and `directory` outlive the runner.
  TurnRunner(EventLoop* loop, WorkerDirectory* directory,
             const TurnLimits& limits, TurnSetup setup);
  ~TurnRunner() override;

  // Null: nobody is told.
  void SetListener(TurnListener* listener) { listener_ = listener; }

  // Opens `target` and a drafter; once, first.
  void Start(WorkerChoice target);
  // Closes both streams; the turn can be resumed. `status`: why, OK where the
  // client is the reason. Nothing once it is over.
  void Suspend(const absl::Status& status);
  // Goes on; in kSuspended only.
  void Resume();
  // Ends the turn with kCancelled or kDeadline at its committed tokens; nothing
  // once it is over.
  void Cancel(FinishReason reason);

  // The reader has so many tokens of the turn.
  void SetTokensRead(int64_t tokens);

  State state() const { return state_; }
  bool active() const {
    return state_ == State::kOpening || state_ == State::kRunning;
  }
  // True once the client may know of the turn: its tokens are the history of
  // the session.
  bool taken() const { return taken_; }
  const absl::Status& status() const { return status_; }
  // What the last target that was lost said; for the log only.
  const absl::Status& lost_status() const { return lost_status_; }
  FinishReason finish_reason() const { return finish_reason_; }

  const Turn& turn() const { return *turn_; }
  const TurnSetup& setup() const { return setup_; }
  const std::string& model_id() const { return model_id_; }
  const std::string& fingerprint() const { return fingerprint_; }
  // Who had the turn's tokens last, for the session's next turn; no name where
  // the worker was lost.
  LastWorker last_target() const { return LastOf(last_target_); }
  LastWorker last_drafter() const { return LastOf(last_drafter_); }
  // Epoch for the session's next worker stream.
  uint64_t next_epoch() const { return next_epoch_; }

  TurnUsage usage() const;
  SpeculationCounts speculation() const;
  // True where a draft worker is there to be asked, or is left out because its
  // prompt would not pay.
  bool has_drafter() const {
    return drafter_found_ && (!last_drafter_.empty() || drafter_deferred_);
  }
  const TurnTimes& times() const { return times_; }
  // With what was learned in this turn. Taken, it leaves its credit with the
  // taker.
  const DraftController& controller() const { return controller_; }
  DraftController TakeController();

  // A group of tokens [first, end) and where their text ends in turn().text().
  struct Group {
    int64_t end = 0;
    size_t text_end = 0;
  };
  // What to send to a reader that has `tokens`: up to `tokens_max` tokens, and
  // at least one group. There are unread tokens.
  Group NextGroup(int64_t tokens, int64_t tokens_max) const;
  // Where the text of all tokens ends; what follows was held back until the
  // turn's end.
  size_t decided_bytes() const { return decided_bytes_; }

 private:
  // A worker's stream and the request under way on it.
  struct Lane {
    std::unique_ptr<WorkerStream> stream;
    std::shared_ptr<WorkerLink> link;
    std::shared_ptr<const WorkerCosts> costs;  // that the controller has
    StreamTag tag;
    std::string name;
    std::string fingerprint;
    Position context_max = 0;
    int vocab_size = 0;
    bool opened = false;
    bool outstanding = false;
    Position expected = 0;  // position of the answer
    MonotonicTime sent_at;
    // The first request runs the prompt too and tells nothing of rounds.
    bool ran_prompt = false;
    // Of the request under way: tokens that the worker may lack, and the
    // draft.
    int rows = 0;
    int draft_length = 0;
    bool late = false;  // a drafter's: the round went on without it
    // A drafter's request ahead that is not answered. Answers come in the order
    // of requests.
    struct Ahead {
      Position expected = 0;
      MonotonicTime sent_at;
      int draft_length = 0;
      bool is_dropped = false;  // nobody waits for the answer any more
    };
    std::optional<Ahead> ahead;
  };
  struct AnswerTimes {
    int64_t compute_us = 0;
    int64_t served_us = 0;
  };
  struct RoundTrip {
    double us = 0;
    double served_us = 0;  // of that, in the worker
  };

  void OnOpened(const StreamTag& tag, const OpenedSequence& opened) override;
  void OnProposed(const StreamTag& tag, ProposedTokens proposed) override;
  void OnVerified(const StreamTag& tag, VerifiedTokens verified) override;
  void OnClosed(const StreamTag& tag, const absl::Status& status) override;

  // Start and Resume from the turn's committed tokens.
  void Launch(std::optional<WorkerChoice> target);
  void OpenLane(const WorkerChoice& worker, bool is_target, Lane* lane);
  // Opens a drafter if there is one and, at the turn's beginning, if that may
  // pay; one that may not is deferred until there is credit for it.
  bool OpenDrafter();
  void OpenDeferredDrafter();
  void Perform(std::vector<TurnAction> actions);
  void OnAction(ProposeAction propose);
  void OnAction(VerifyAction verify);
  void OnAction(EmitAction emit);
  void OnAction(EndAction end);
  void SendPending();
  // Without a drafter from here on where that lacks one of the ids.
  void SendPropose(ProposeAction propose);
  void SendAhead(ProposeAction propose);
  // True where the answer is one to the request ahead, and dealt with.
  bool TakeAhead(const StreamTag& tag, const ProposedTokens& proposed);
  bool IsAnswer(const Lane& lane, const StreamTag& tag,
                Position position) const;
  // Counts the times of the lane's answer, which is there; gives its round
  // trip, or nothing where that says little of rounds.
  std::optional<RoundTrip> TakeAnswer(Lane* lane, const AnswerTimes& times);
  // Gives the controller what the workers have reported since.
  void TakeCosts();

  // Calls `then` so long after the proposal was sent.
  void SetDraftTimer(MonotonicDuration since_sent, void (TurnRunner::*then)());
  void OnDraftLate();
  void LoseDrafter();
  void LoseTarget(const absl::Status& status);
  SequenceNeed NeedOf(const LastWorker& last,
                      const std::vector<TokenId>& tokens) const;
  // Tokens that a worker's sequence will hold at most.
  Position TokensMax() const;
  LastWorker LastOf(const std::string& name) const;
  void TellComputed(const Lane& lane);
  enum class Wait { kNone, kOver };
  void LookForTarget(Wait wait);
  std::optional<WorkerChoice> PickTarget();
  void OpenTarget(const WorkerChoice& worker);
  // How long the next target may let the turn wait for KV.
  MonotonicDuration QueueTimeout() const;
  void GiveUp();
  // Ends what is under way: streams and timers.
  void Release();
  void SetState(State state);
  void ReportTokens(const EmitAction& emit);
  // Tells the observer, once.
  void ReportOver();
  void Notify();
  int64_t MicrosSinceStart() const;

  EventLoop* const loop_;
  WorkerDirectory* const directory_;
  const TurnLimits limits_;
  const TurnSetup setup_;
  TurnListener* listener_ = nullptr;

  State state_ = State::kOpening;
  bool taken_ = false;
  absl::Status status_;
  FinishReason finish_reason_ = FinishReason::kError;
  DraftController controller_;
  std::unique_ptr<Speculator> speculator_;  // while active
  std::unique_ptr<Turn> turn_;
  std::string model_id_;
  std::string fingerprint_;
  std::string vocabulary_fingerprint_;
  uint64_t next_epoch_;

  Lane target_;
  Lane drafter_;
  std::string last_target_;  // names
  std::string last_drafter_;
  bool drafter_found_ = false;  // in this turn, one that fits
  bool drafter_deferred_ = false;
  // What a drafter's prompt takes, or would have, when the turn began.
  std::optional<double> opening_us_;
  int rounds_to_opening_ = 1;
  // The request to send next; held while its worker is missing or the reader
  // lags.
  std::optional<ProposeAction> pending_propose_;
  std::optional<VerifyAction> pending_verify_;

  MonotonicTime started_at_;
  MonotonicTime launched_at_;  // by Start or Resume
  bool started_ = false;
  bool over_reported_ = false;
  // When tokens came last; absent right after Start and Resume.
  std::optional<MonotonicTime> tokens_at_;
  EventLoop::TimerId timeout_timer_;
  EventLoop::TimerId draft_timer_;
  EventLoop::TimerId recovery_timer_;
  // A target that was lost: since when, and streams opened since progress.
  std::optional<MonotonicTime> lost_at_;
  absl::Status lost_status_;
  int target_opens_ = 0;
  std::vector<std::string> tried_;

  int64_t tokens_read_ = 0;
  std::vector<Group> groups_;
  size_t decided_bytes_ = 0;
  // Of the first target that opened.
  std::optional<int64_t> cached_prompt_tokens_;
  SpeculationCounts earlier_;  // before the last Resume
  TurnTimes times_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_TURN_RUNNER_H_
