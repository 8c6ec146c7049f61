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

class RoundCost {
 public:
  // Passes of the worker now, and how many sequences share one. All sequences
  // of a pass are taken to draft alike: a row that one of them adds delays the
  // others too, so each counts as many rows as there are sequences, and what is
  // best for one is best for all. An empty curve tells nothing.
  void SetTarget(const CostCurve& passes, double sequences);
  void SetDraft(const CostCurve& passes, double sequences);

  // A verification of so many drafts took so long, from request to answer.
  void OnVerified(int drafted, double us);
  // A proposal of `length` tokens did; its first pass had `rows` rows (tokens
  // that the drafter did not have).
  void OnProposed(int length, int rows, double us);

  // Sequences that share a pass of the target, 1 or more.
  double sequences() const { return sequences_; }

  // False while nothing is known of the target.
  bool known() const { return known_; }
  // False while nothing is known of the drafter.
  bool draft_known() const { return draft_known_; }

  // Microseconds, never falling with the length.
  double VerifyUs(int drafted) const { return verify_us_[drafted]; }
  double DraftUs(int length) const;

 private:
  static constexpr int kLengths = kDraftLengthLimit + 1;

  void Draw();
  // Takes the newest of the times; gives their median.
  double MedianWith(double us);

  // Of the worker's passes alone; by length of the draft.
  std::array<double, kLengths> passes_us_ = {};
  bool has_passes_ = false;
  double sequences_ = 1;
  double draft_pass_us_ = 0;
  double draft_row_us_ = 0;  // of one more row in a pass
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
