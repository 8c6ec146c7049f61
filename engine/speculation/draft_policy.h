// Decides how many tokens the draft model drafts a round: one length for all
// sessions of a target worker, because sessions that share a pass share its
// cost. README.md has the rule and the figures behind its constants.
//
// Owned by whoever knows the target (a coordinator, or a session in this
// process) and used by every session there, from any thread. Pure: times are
// given, there is no clock.

#ifndef TANDEM_ENGINE_SPECULATION_DRAFT_POLICY_H_
#define TANDEM_ENGINE_SPECULATION_DRAFT_POLICY_H_

#include <array>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/sampling/gen_options.h"
#include "engine/speculation/acceptance.h"
#include "engine/speculation/cost_curve.h"
#include "engine/speculation/draft_source.h"

namespace tandem {

// The sessions that share a target worker, as the worker reports them.
struct TargetSharing {
  double sequences = 1;  // in one pass, a moving average
  // Open, with those that draft now. Counts as `sequences` where it is less.
  double streams = 0;
  // The target computes nothing while the drafter does.
  bool takes_turns = true;
};

class DraftPolicy {
 public:
  // Length before anything is known, of the one session that drafts then.
  static constexpr int kFirstLength = 4;
  // Another length must promise this much more, and so must drafting.
  static constexpr double kAdvantage = 0.005;
  // Rounds whose time another length must have saved before it is taken.
  static constexpr double kRoundsToChange = 2;
  // The share of the time that probes may take.
  static constexpr double kProbeShare = 0.005;
  // Rounds, or turns, that count as lately; the least rounds between probes.
  static constexpr int kLately = 64;
  // Waiting in workers counts as at most this share of a pass without drafts.
  static constexpr double kWaitingMax = 0.25;

  // A session's place in a turn. One thread.
  struct Seat {
    int64_t wave = -1;  // that the session planned last
    int length = 0;     // planned for that wave
    bool ran_prompt = false;
    bool is_first = false;  // drafts while nothing is known
  };

  // A round that was verified.
  struct Round {
    DraftSource source = DraftSource::kNone;
    int drafted = 0;  // tokens
    int accepted = 0;
    // The round's length was the policy's choice, not the request's.
    bool follows = true;
    // Round trips to drafter and target in microseconds, and the part of them
    // spent in the workers. 0: not to be counted, because a prompt or many old
    // tokens were run too.
    double us = 0;
    double served_us = 0;
  };

  // The workers' newest reports. Ignored where a curve has no points, or is the
  // one that the policy has: all sessions may hand on the same report.
  void OnTargetReport(std::shared_ptr<const CostCurve> passes,
                      const TargetSharing& sharing) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnDraftReport(std::shared_ptr<const CostCurve> passes)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // True where the session should have a drafter, because rounds or probes use
  // one now. While nothing is known, one session finds out.
  bool WantsDrafter(Seat* seat) ABSL_LOCKS_EXCLUDED(mutex_);
  // The length of the session's next round, 0 .. kDraftLengthLimit, whether or
  // not the session has a drafter. `lacking`: tokens of the session that a
  // drafter would have to run before it drafts.
  int PlanRound(Seat* seat, int64_t lacking) ABSL_LOCKS_EXCLUDED(mutex_);
  void OnRound(Seat* seat, const Round& round) ABSL_LOCKS_EXCLUDED(mutex_);
  // The session drafts no more at this target, or not in this turn.
  void Leave(Seat* seat) ABSL_LOCKS_EXCLUDED(mutex_);
  // The session leaves because its turn is over: the turn generated
  // `generated` tokens, and at its beginning a drafter lacked `lacking` tokens.
  void OnTurn(Seat* seat, int64_t lacking, int64_t generated)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // The length now, without probes.
  int length() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Microseconds that a round takes where all sessions draft `length` tokens
  // from `source`; 0 while nothing is known of the target.
  double RoundUs(DraftSource source, int length) const
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Microseconds until a proposal of `length` tokens is answered, behind a pass
  // of the target; 0 while nothing is known of a worker.
  double ProposalUs(int length) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Tokens that a round with `length` tokens of the draft model brings.
  double ExpectedTokens(int length) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  bool IsKnown() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return target_ != nullptr && draft_ != nullptr;
  }
  // By the curves: the passes of the target in a round, and what the drafter
  // adds to them.
  double TargetUs(int length) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double DraftUs(int length) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double UsOf(DraftSource source, int length) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tokens a microsecond, where a draft of `length` has `accepted` right.
  double Rate(int length, double accepted) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double RateOf(int length) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Decide() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the session is the one that drafts while nothing is known.
  bool IsFirst(Seat* seat) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartWave() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FoldWave() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The length of the wave that begins: a probe's, or the steady one.
  int ProbeOr(int length) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int TrialOrNone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // What the sessions' rounds and turns showed lately.
  struct Seen {
    double waiting = 0;  // of drafting rounds in workers, in plain passes
    double waiting_weight = 0;
    double transport_us = 0;  // of a request
    double transport_weight = 0;
    // The share of rounds whose length is the policy's, and the others' length.
    double follow_share = 1;
    double others_length = 0;
    double others_drafted = 0;  // of those, by a draft model
    // Of turns: tokens that drafters lacked, and tokens generated.
    double turns_lacking = 0;
    double turns_generated = 0;
    double lacking = 0;  // by a session's drafter now, in the mean
  };
  // The wave under way: one round of every session.
  struct Wave {
    int64_t number = 0;
    int length = kFirstLength;
    int sessions = 0;
    double waiting = 0;  // summed over `rounds`
    int rounds = 0;
    bool met_prompt = false;
    // Verified since the last wave; of those, the rounds whose length a request
    // fixed, and their drafts.
    double all_rounds = 0;
    double fixed_rounds = 0;
    double fixed_drafts = 0;
    double fixed_by_drafter = 0;  // of those
  };
  struct Probes {
    double credit_us = 0;
    int64_t wave = 0;         // of the last one
    bool next_longer = true;  // else the next one drafts nothing
    double trial_rounds = 0;  // to come
    int trial_length = 0;
  };

  mutable absl::Mutex mutex_;

  // Of the workers' reports.
  std::shared_ptr<const CostCurve> target_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const CostCurve> draft_ ABSL_GUARDED_BY(mutex_);
  double sequences_ ABSL_GUARDED_BY(mutex_) = 1;  // that draft alike
  // Passes in which those come: 2 where one half drafts while the other is
  // verified.
  double passes_ ABSL_GUARDED_BY(mutex_) = 1;
  bool takes_turns_ ABSL_GUARDED_BY(mutex_) = true;

  Acceptance acceptance_ ABSL_GUARDED_BY(mutex_){
      RowOf(DraftSource::kModel).priors[0]};
  Seen seen_ ABSL_GUARDED_BY(mutex_);
  Wave wave_ ABSL_GUARDED_BY(mutex_);
  int own_sessions_ ABSL_GUARDED_BY(mutex_) = 1;  // of the last wave
  int prompts_ ABSL_GUARDED_BY(mutex_) = 0;       // under way
  Probes probes_ ABSL_GUARDED_BY(mutex_);

  // The decision.
  bool decided_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_first_ ABSL_GUARDED_BY(mutex_) = false;
  int length_ ABSL_GUARDED_BY(mutex_) = kFirstLength;
  int64_t decided_wave_ ABSL_GUARDED_BY(mutex_) = 0;
  // By length: rounds whose time it would have saved since the last change.
  std::array<double, kDraftLengthLimit + 1> saved_ ABSL_GUARDED_BY(mutex_) = {};
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_DRAFT_POLICY_H_
