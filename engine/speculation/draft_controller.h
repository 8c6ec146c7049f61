// Picks what a round drafts with: the draft model or prompt lookup, and how
// many tokens, 0 .. 16. It maximises expected tokens per second,
//
//   rate(source, k) = (1 + expected accepted of k) / (draft time + verify time)
//
// from what was measured (round_cost.h, acceptance.h), per session. Pure: no
// clock, no I/O, no randomness. A value; one thread at a time.
//
// What is not chosen is not seen, so now and then a round is spent on it: a
// probe. Probes take at most kProbeShare of the time of all sessions that share
// the target's passes: a session that probes comes late to the others' pass.

#ifndef TANDEM_ENGINE_SPECULATION_DRAFT_CONTROLLER_H_
#define TANDEM_ENGINE_SPECULATION_DRAFT_CONTROLLER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

#include "engine/sampling/gen_options.h"
#include "engine/speculation/acceptance.h"
#include "engine/speculation/draft_accord.h"
#include "engine/speculation/round_cost.h"

namespace tandem {

// Where a round's draft comes from.
enum class DraftSource { kNone, kModel, kLookup };

class DraftController {
 public:
  // Another length must promise so much more before it is taken. Where it is
  // all sessions' of a target: before it counts as better.
  static constexpr double kHysteresis = 0.01;
  // Rounds after which a session has a say in that. Before it has seen what its
  // rounds cost beside passes it would draft, and open a drafter, each time.
  static constexpr int64_t kRoundsToAgree = 8;
  // Rounds that it speaks for at most; more are long ago.
  static constexpr int64_t kRoundsWeighed = 16;
  // Rounds without a draft count as so much faster than they are: what is about
  // as fast is left alone, because estimates err.
  static constexpr double kPlainAdvantage = 1.015;
  // Where sessions share passes: a round waits for the slowest draft, and a
  // pass that a session comes too late for goes without it, so that a crowd
  // gains a few percent less than the costs say.
  static constexpr double kSharedPlainAdvantage = 1.04;
  // Of the time, for probes, less what they bring: one that is right is soon
  // followed by the next. As much again to open drafters for them. Together
  // half of the 2% that are promised, since what is tried in a worker delays
  // more than the round itself.
  static constexpr double kProbeShare = 0.005;
  // What a probe brings counts for so much: the lucky ones are seen first, and
  // where drafts nearly pay, probes without end would lose what each lacks.
  static constexpr double kProbeWorth = 0.75;
  // Time for probes is saved up for at most so many plain rounds.
  static constexpr double kProbeCreditRounds = 4;
  static constexpr int kProbeLength = 2;
  // Rounds without a draft, and with a longer one than usual, are seen at least
  // this often, budget permitting.
  static constexpr int64_t kPlainEveryRounds = 128;
  static constexpr int64_t kLongerEveryRounds = 16;
  // Where rounds lately were faster by this factor than the model's are (those
  // with a match of lookup), a draft must be worth the time that it keeps them
  // waiting. Lately: about so many rounds.
  static constexpr double kFasterElsewhere = 1.1;
  static constexpr double kLatelyRounds = 64;
  // A source that would not pay at this chance is not probed.
  static constexpr double kHopefulChance = 0.95;
  // Before any cost is known.
  static constexpr int kFirstLength = 4;
  // Chance of the model's drafts before anything was seen.
  static constexpr double kModelPrior = 0.7;

  // What a round may do. Lengths are 0 .. kDraftLengthLimit.
  struct Room {
    int model_max = 0;     // 0: no drafter
    int lookup_max = 0;    // tokens that lookup has; 0: it found nothing
    int lookup_match = 0;  // tokens of its match
  };
  struct Choice {
    DraftSource source = DraftSource::kNone;
    int length = 0;
    bool is_probe = false;
  };
  // A round that was verified.
  struct Round {
    DraftSource source = DraftSource::kNone;
    int drafted = 0;
    int accepted = 0;
    int lookup_match = 0;  // of kLookup
    // Its whole time in microseconds; 0: not to be counted.
    double us = 0;
  };

  // Knows what passes and drafting cost; see there.
  RoundCost& cost() { return cost_; }
  const RoundCost& cost() const { return cost_; }

  // While the target's passes are shared, chances and lengths of the model's
  // drafts go by what the sessions of that target agree on; null: by the
  // session alone.
  void Join(std::shared_ptr<DraftAccord> accord) {
    accord_ = std::move(accord);
  }

  Choice Choose(const Room& room);
  void OnRound(const Round& round);

  // A turn of so many tokens is over, in which a drafter's prompt took, or
  // would have taken, so long.
  void OnTurn(double opening_us, int64_t tokens);

  // Whether a drafter that has no sequence of the session yet should get one,
  // which takes `prompt_us` to run the prompt there: yes where its drafts are
  // used; else, as a probe, out of another kProbeShare of the time of all who
  // share passes, which it then spends.
  bool TakeOpening(double prompt_us);
  // What is saved for that, to go to another session or to come from one.
  double opening_credit_us() const { return opening_credit_us_; }
  void AddOpeningCredit(double us) { opening_credit_us_ += us; }

  // What was learned goes to another session, or over a long time: it weighs no
  // more than a few rounds, and nothing of times is kept, nor of credit.
  DraftController Softened() const;

  // Tokens per microsecond.
  double Rate(DraftSource source, int length, int lookup_match) const;
  // The length that rounds with the draft model have now, where there is room.
  int steady_length() const { return length_; }
  // Microseconds of all rounds that count, and of those spent on probes.
  double total_us() const { return total_us_; }
  double probe_us() const { return probe_us_; }

 private:
  // Lookup's chance goes by the length of its match.
  static constexpr int kMatchClasses = 4;
  static int MatchClass(int lookup_match);

  Acceptance Of(DraftSource source, int lookup_match) const;
  double RoundUs(DraftSource source, int length) const;
  double RateOf(DraftSource source, int length,
                const Acceptance& acceptance) const;
  bool agrees() const { return accord_ != nullptr && cost_.is_shared(); }
  Acceptance ModelAcceptance() const {
    return agrees() ? accord_->acceptance() : model_;
  }
  // Rate with the draft model, less what opening drafters takes, and with
  // plain's advantage.
  double SteadyRate(int length, const Acceptance& acceptance,
                    double opening_us_per_token) const;
  // Of all who share passes; 0 where it keeps nobody waiting.
  double OpeningUsPerToken() const;
  // The best length of 0 .. model_max, unless the last one is about as good.
  int SteadyLength(int model_max);
  // The one that is agreed on, after a word on what it should be.
  int AgreedLength(int model_max);
  // The length that is worth its time where a unit of it brings `rate` tokens.
  int LengthWorth(int model_max, double rate) const;
  // Turns `choice`, of this rate, into a probe where one is due.
  void Probe(const Room& room, double rate, Choice* choice);
  bool MayPay(DraftSource source, int length_max, double rate) const;
  // What `us` spent on a probe cost all sessions that share passes.
  double SharedUs(double us) const { return us * cost_.sequences(); }

  RoundCost cost_;
  Acceptance model_{kModelPrior};
  std::shared_ptr<DraftAccord> accord_;
  // Matches of 2, 3, 4 to 7, and 8 tokens or more.
  std::array<Acceptance, kMatchClasses> lookup_ = {
      Acceptance(0.3), Acceptance(0.5), Acceptance(0.6), Acceptance(0.8)};
  int length_ = kFirstLength;

  int64_t rounds_ = 0;
  // Rounds of which the accord was told.
  int64_t weighed_ = 0;
  // Rounds at which each was seen last.
  int64_t plain_seen_ = 0;
  int64_t model_seen_ = 0;
  int64_t longer_seen_ = 0;  // than length_
  std::array<int64_t, kMatchClasses> lookup_seen_ = {};

  // Of the rounds lately, the newest weighing the most.
  double lately_tokens_ = 0;
  double lately_us_ = 0;

  double total_us_ = 0;
  double probe_us_ = 0;
  double credit_us_ = 0;
  double opening_credit_us_ = 0;
  // Of the round under way, if it is a probe: the time that what it brings in
  // any case would take otherwise, and what one token would.
  bool probing_ = false;
  double worth_us_ = 0;
  double token_us_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_DRAFT_CONTROLLER_H_
