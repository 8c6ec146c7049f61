// What rounds cost a session: drafting and verifying, as functions of the
// draft's length. Joins the costs of passes, as workers report them, with the
// times that the session sees. Pure: times are given, there is no clock. Owned
// by a DraftController; one thread.

#ifndef TANDEM_ENGINE_SPECULATION_ROUND_COST_H_
#define TANDEM_ENGINE_SPECULATION_ROUND_COST_H_

#include <array>

#include "engine/sampling/gen_options.h"
#include "engine/speculation/cost_curve.h"

namespace tandem {

// Who shares a target worker.
struct TargetSharing {
  double sequences = 1;  // in one pass
  // Open now: those and the ones that draft, or wait for the next pass. Where
  // it is less than `sequences` it counts as much.
  double streams = 0;
  // The worker and the drafter compute in turns.
  bool takes_turns = false;
};

class RoundCost {
 public:
  // From so many sequences a pass on, what a session waits for in a worker is
  // the others' doing and no cost of its own length: else each would draft
  // longer because the others do.
  static constexpr double kShared = 1.5;

  // Passes of the worker now, and who shares one. All sequences of a pass are
  // taken to draft alike: a row that one of them adds delays the others too, so
  // each counts as many rows as there are sequences, and what is best for one
  // is best for all. Sequences that draft may come in several passes where ones
  // that do not come in one. An empty curve tells nothing.
  void SetTarget(const CostCurve& passes, const TargetSharing& sharing);
  // After SetTarget, where both are known. All of those that share the target's
  // passes are taken to share the drafter's, where these two compute in turns.
  void SetDraft(const CostCurve& passes, double sequences);

  // A verification of so many drafts took so long, from request to answer, and
  // of that so long in the worker.
  void OnVerified(int drafted, double us, double served_us);
  // A proposal of `length` tokens did; its first pass had `rows` rows (tokens
  // that the drafter did not have).
  void OnProposed(int length, int rows, double us, double served_us);

  // Sequences that share a pass of the target, 1 or more.
  double sequences() const { return sequences_; }
  bool is_shared() const { return sequences_ >= kShared; }

  // The target computes nothing while the drafter does.
  bool takes_turns() const { return takes_turns_; }

  // False while nothing is known of the target.
  bool known() const { return known_; }
  // False while nothing is known of the drafter.
  bool draft_known() const { return draft_known_; }

  // What they add to a round in microseconds. VerifyUs never falls with the
  // length.
  double VerifyUs(int drafted) const { return verify_us_[drafted]; }
  double DraftUs(int length) const;
  // How long a proposal takes, also behind the others' pass.
  double ProposalUs(int length) const;

 private:
  static constexpr int kLengths = kDraftLengthLimit + 1;
  static constexpr double kCohortsMax = 2;

  // Of a proposal that nobody keeps waiting.
  double LoneDraftUs(int length) const;
  // What the session sees beyond passes with drafts of `length`.
  double BeyondUs(int length) const;
  void Draw();
  // Takes the newest of the times; gives their median.
  double MedianWith(double us);

  // Of the worker's passes alone; by length of the draft.
  std::array<double, kLengths> passes_us_ = {};
  bool has_passes_ = false;
  double sequences_ = 1;
  // Passes of the target in a round of sequences that draft, 1 .. kCohortsMax.
  double cohorts_ = 1;
  bool takes_turns_ = false;
  double draft_pass_us_ = 0;
  double draft_row_us_ = 0;   // of one more row in a pass
  double draft_more_us_ = 0;  // of one more row of each sequence in it
  // What the first pass of a proposal has more than one row, in the mean: the
  // last draft's end, where that was right.
  double more_rows_ = 0.5;
  bool has_draft_passes_ = false;

  // What the session sees beyond that: transport, waiting, and what the passes
  // alone do not tell. By length, with the weight of what was seen there.
  struct Beyond {
    double us = 0;
    double weight = 0;
  };
  std::array<Beyond, kLengths> beyond_ = {};
  // Of the last proposals: their median, so that one that was late is an
  // accident and three of five are how it is.
  static constexpr int kDraftTimes = 5;
  std::array<double, kDraftTimes> draft_times_ = {};
  int draft_times_seen_ = 0;
  double draft_beyond_us_ = 0;

  // Where the worker reports nothing: what the session sees, by rows.
  CostCurve seen_;
  double draft_token_us_ = 0;

  bool known_ = false;
  bool draft_known_ = false;
  std::array<double, kLengths> verify_us_ = {};
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_ROUND_COST_H_
