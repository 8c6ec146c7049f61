// What the parts of a running turn share: what the turn was set up with, its
// Turn, its limits and its times. Owned by the TurnRunner; everything belongs
// to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_TURN_CONTEXT_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_TURN_CONTEXT_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/reply/reply_format.h"
#include "engine/session/turn.h"
#include "engine/tokenizer/tokenizer.h"
#include "services/common/trace_context.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/worker_link.h"

namespace tandem {

class PromptQuarantine;
class TurnObserver;

struct TurnLimits {
  // How long a turn without a target looks for another one: at all, and before
  // its first target has confirmed it. Then the turn stops with UNAVAILABLE.
  MonotonicDuration recovery_budget = std::chrono::seconds(30);
  MonotonicDuration opening_budget = std::chrono::seconds(5);
  // How long a turn waits in the queues of targets that have no room, in all
  // since it was started or resumed or lost its target; not beyond the turn's
  // own time, nor beyond `recovery_budget`. Drafters are not waited for.
  MonotonicDuration queue_timeout = std::chrono::seconds(30);
  // Streams opened to targets without any progress in between.
  int target_opens_max = 6;
  // Between two looks for a target; doubled with each stream that failed.
  MonotonicDuration recovery_poll = std::chrono::milliseconds(100);
  // The same of a turn that waits for the trial of another suspect.
  MonotonicDuration trial_poll = std::chrono::milliseconds(20);
  // A round waits for its draft as long as drafting should take, and one pass
  // of the target more, which a round without a draft takes, within these
  // bounds. Then it goes on without a draft. 20 ms are what the scheduler of a
  // busy machine takes.
  MonotonicDuration draft_patience_min = std::chrono::milliseconds(20);
  MonotonicDuration draft_patience_max = std::chrono::milliseconds(200);
  // Added in the first round for each token of the prompt, which a drafter
  // whose costs are not known yet runs first.
  MonotonicDuration draft_prefill_per_token = std::chrono::milliseconds(10);
  // Drafters go on while the target verifies, where they have cores of their
  // own and fewer sequences than this share their passes.
  bool draft_ahead = true;
  double draft_ahead_sequences_max = 1.5;
  // No new round starts while this many tokens wait for the reader.
  int64_t unread_tokens_max = 64;
};

// How the reply of a turn is split into its parts.
struct ReplySplit {
  std::shared_ptr<const ReplyFormat> format;  // the model's; not null
  bool has_tools = false;
  bool starts_in_reasoning = false;
};

// Log-probabilities of the prompt's own tokens are asked for.
struct PromptLogprobs {
  int alternatives = 0;  // to each, 0 .. kLogprobsLimit
  Position first = 0;    // index in the session of the first of these tokens
};

struct TurnSetup {
  std::string session_id;
  std::string tenant = {};
  double tenant_kv_share = 0;  // as OpenRequest has it
  int64_t number = 0;          // of the turn in its session, from 1
  std::shared_ptr<const Tokenizer> tokenizer;
  TurnSpec spec;  // has passed CheckTurn
  // The day that the prompt's chat template was given; "" without one.
  std::string template_date = {};
  // From Start; then the turn ends with kDeadline.
  std::optional<MonotonicDuration> timeout;
  // How long the turn goes on without its client; 0: it waits at once.
  MonotonicDuration go_on = {};
  // Nothing: the client gets the text alone.
  std::optional<ReplySplit> reply_split = {};
  // Nothing: the client gets none.
  std::optional<PromptLogprobs> prompt_logprobs = {};
  // The model of the session's turn before; empty: there was none.
  std::string previous_fingerprint = {};
  // The worker that drafted for the session last.
  LastWorker last_drafter = {};
  // Of the client's request; passed on to workers.
  std::optional<TraceContext> trace = {};
  // Both outlive the runner; may be null.
  PromptQuarantine* quarantine = nullptr;
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

// The turn's model: that of its first target. All its targets have it.
struct TurnModel {
  std::string id;
  std::string fingerprint;
  std::string vocabulary_fingerprint;
};

// What a worker is needed for: a sequence of `tokens`, the last `generated` of
// which the turn has generated under `options`.
struct NeedSource {
  absl::string_view tenant;
  absl::Span<const TokenId> tokens;
  const GenOptions& options;
  int64_t generated = 0;
};
SequenceNeed NeedOf(const NeedSource& source, LastWorker last);

struct TurnContext {
  // The setup's spec goes to `turn`.
  TurnContext(EventLoop* event_loop, WorkerDirectory* worker_directory,
              const TurnLimits& turn_limits, TurnSetup turn_setup);

  int64_t MicrosSinceStart() const;
  // What the turn needs of a worker from here on.
  SequenceNeed Need(LastWorker last) const;

  EventLoop* const loop;
  WorkerDirectory* const directory;
  const TurnLimits limits;
  TurnSetup setup;
  Turn turn;
  TurnTimes times;
  TurnModel model;           // since Start
  MonotonicTime started_at;  // by Start
  // The target that the turn has now; no link between two of them.
  WorkerChoice target;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_TURN_CONTEXT_H_
