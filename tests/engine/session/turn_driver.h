// Drives a Turn over simulated workers, checking every action, with whatever
// may go wrong on the way.

#ifndef TANDEM_TESTS_ENGINE_SESSION_TURN_DRIVER_H_
#define TANDEM_TESTS_ENGINE_SESSION_TURN_DRIVER_H_

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/session/turn.h"
#include "tests/engine/session/fake_engine.h"

namespace tandem {

// Outlives every test.
const FakeTokenizer& TestTokenizer();

// The tokens that a worker of the turn holds; takes requests as
// SequenceDecoder does.
class SimulatedWorker {
 public:
  SimulatedWorker(const FakeModel& model, const TurnSpec& spec)
      : model_(model), spec_(spec) {}

  void Open(std::vector<TokenId> tokens) { tokens_ = std::move(tokens); }
  std::vector<TokenId> Draft(const ProposeAction& action);
  std::vector<SampledToken> Verify(const VerifyAction& action);
  const std::vector<TokenId>& tokens() const { return tokens_; }

 private:
  void Apply(Position position, absl::Span<const TokenId> tokens);

  FakeModel model_;
  TurnSpec spec_;
  std::vector<TokenId> tokens_;
};

// What may go wrong while a turn is driven; odds in percent per action.
struct Faults {
  int bad_draft = 0;
  int drafter_lost = 0;
  int drafter_attached = 0;
  int target_replaced = 0;
  int stray_answer = 0;
  int restart = 0;     // the turn is suspended and starts again
  int draft_late = 0;  // the drafter's answer is not waited for
  int ahead_late = 0;  // its answer ahead comes after the verification
};

// Of each but strays, from none to many.
Faults RandomFaults(std::mt19937_64* random);

class TurnDriver {
 public:
  struct Options {
    TurnSpec spec;
    FakeModel target;
    FakeModel draft;
    Faults faults = {};
    uint64_t seed = 0;
    // Rounds are planned by a Speculator whose policy gets random reports.
    bool speculates = false;
    // The drafter is asked for proposals ahead.
    bool goes_ahead = false;
  };
  explicit TurnDriver(const Options& options);

  // A new turn, until it ends or has generated `tokens_max` tokens.
  void Run(bool has_drafter, size_t tokens_max = SIZE_MAX);
  // Suspends the turn and drives it to its end.
  void Resume(bool has_drafter);
  void Cancel(FinishReason reason) { Take(turn_->OnCancel(reason)); }

  const Turn& turn() const { return *turn_; }
  // Committed tokens as the reference has them.
  std::vector<SampledToken> sampled() const;
  std::optional<FinishReason> reason() const { return reason_; }
  int restarts() const { return restarts_; }

 private:
  bool Chance(int percent);
  void Begin(bool has_drafter);
  void Drive(size_t tokens_max);
  void Take(std::vector<TurnAction> actions);
  void Disturb();
  void LoseOrAttachDrafter();
  void Answer();
  void AnswerPropose(const ProposeAction& action);
  // Runs the request ahead, if there is one; what it drafts.
  std::optional<std::vector<TokenId>> AnswerAhead();
  void AnswerVerify(const VerifyAction& action);
  // The worker ran exactly the session and then `drafts` more.
  void CheckSession(std::vector<TokenId> tokens, int drafts);
  void Spoil(std::vector<TokenId>* draft);

  TurnSpec spec_;
  Faults faults_;
  std::mt19937_64 random_;
  SimulatedWorker target_;
  SimulatedWorker drafter_;
  const bool speculates_;
  const bool goes_ahead_;
  const std::shared_ptr<DraftPolicy> policy_ = std::make_shared<DraftPolicy>();
  std::optional<Speculator> speculator_;
  std::optional<Turn> turn_;
  std::optional<TurnAction> pending_;
  std::optional<ProposeAction> ahead_;
  bool has_drafter_ = false;
  int64_t next_token_ = 0;
  size_t text_end_ = 0;
  std::optional<FinishReason> reason_;
  int restarts_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_SESSION_TURN_DRIVER_H_
