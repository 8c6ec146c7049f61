#include "tests/engine/session/turn_driver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "engine/sampling/logits_processor.h"
#include "engine/speculation/verify.h"

namespace tandem {
namespace {

bool HasFatal() { return ::testing::Test::HasFatalFailure(); }

}  // namespace

const FakeTokenizer& TestTokenizer() {
  static const FakeTokenizer* const tokenizer = new FakeTokenizer();
  return *tokenizer;
}

void SimulatedWorker::Apply(Position position,
                            absl::Span<const TokenId> tokens) {
  ASSERT_FALSE(tokens.empty());
  ASSERT_LE(position, static_cast<Position>(tokens_.size()));
  ASSERT_GE(position, static_cast<Position>(spec_.prompt.size()) - 1);
  tokens_.resize(position);
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
}

std::vector<TokenId> SimulatedWorker::Draft(const ProposeAction& action) {
  Apply(action.position, action.tokens);
  LogitsProcessor processor(
      spec_.options, kFakeVocabSize, tokens_,
      static_cast<Position>(spec_.prompt.size()),
      ConstraintOf(TestTokenizer(), spec_.options, spec_.grammar));
  std::vector<TokenId> draft;
  // It goes on behind a stop token, but not where no token is left.
  for (int i = 0; i < action.draft_length && !processor.is_over(); ++i) {
    std::vector<float> logits = FakeLogits(model_, tokens_);
    const auto token = processor.Sample(absl::MakeSpan(logits));
    // Where its answers were changed it has tokens outside of the grammar.
    if (!token.ok()) break;
    draft.push_back(token->id);
    processor.Append(draft.back());
    tokens_.push_back(draft.back());
  }
  // The last drafted token has not been run.
  if (!draft.empty()) tokens_.pop_back();
  return draft;
}

std::vector<SampledToken> SimulatedWorker::Verify(const VerifyAction& action) {
  Apply(action.position, action.tokens);
  LogitsProcessor processor(
      spec_.options, kFakeVocabSize, tokens_,
      static_cast<Position>(spec_.prompt.size()),
      ConstraintOf(TestTokenizer(), spec_.options, spec_.grammar));
  Verification verification(&processor, action.draft);
  std::vector<TokenId> prefix = tokens_;
  for (size_t row = 0; row <= action.draft.size(); ++row) {
    std::vector<float> logits = FakeLogits(model_, prefix);
    EXPECT_TRUE(verification.OnRow(absl::MakeSpan(logits)).ok());
    if (row < action.draft.size()) prefix.push_back(action.draft[row]);
  }
  std::vector<SampledToken> chosen = verification.TakeTokens();
  for (size_t i = 0; i + 1 < chosen.size(); ++i) {
    tokens_.push_back(chosen[i].id);
  }
  return chosen;
}

namespace {

std::shared_ptr<const CostCurve> RandomCurve(std::mt19937_64* random) {
  const double us = static_cast<double>(1 + (*random)() % 1000);
  const double row_us = static_cast<double>((*random)() % 100);
  return std::make_shared<const CostCurve>(std::vector<StepCost>{
      {.rows = 1, .us = us}, {.rows = 32, .us = us + 31 * row_us}});
}

}  // namespace

Faults RandomFaults(std::mt19937_64* random) {
  return {.bad_draft = static_cast<int>((*random)() % 3) * 25,
          .drafter_lost = static_cast<int>((*random)() % 30),
          .drafter_attached = static_cast<int>((*random)() % 60),
          .target_replaced = static_cast<int>((*random)() % 30),
          .restart = static_cast<int>((*random)() % 20),
          .draft_late = static_cast<int>((*random)() % 3) * 20,
          .ahead_late = static_cast<int>((*random)() % 3) * 30};
}

TurnDriver::TurnDriver(const Options& options)
    : spec_(options.spec),
      faults_(options.faults),
      random_(options.seed),
      target_(options.target, options.spec),
      drafter_(options.draft, options.spec),
      speculates_(options.speculates),
      goes_ahead_(options.goes_ahead) {}

void TurnDriver::Run(bool has_drafter, size_t tokens_max) {
  turn_.emplace(&TestTokenizer(), spec_);
  Begin(has_drafter);
  Drive(tokens_max);
}

void TurnDriver::Resume(bool has_drafter) {
  pending_.reset();
  turn_->Suspend();
  if (!turn_->ended()) Begin(has_drafter);
  Drive(SIZE_MAX);
}

std::vector<SampledToken> TurnDriver::sampled() const {
  if (spec_.options.logprobs.has_value()) return turn_->logprobs();
  std::vector<SampledToken> tokens;
  for (const TokenId id : turn_->generated()) tokens.push_back({.id = id});
  return tokens;
}

void TurnDriver::Drive(size_t tokens_max) {
  while (!turn_->ended() && turn_->generated().size() < tokens_max) {
    Disturb();
    if (turn_->ended() || HasFatal()) break;
    ASSERT_TRUE(pending_.has_value());
    Answer();
  }
}

bool TurnDriver::Chance(int percent) {
  return static_cast<int>(random_() % 100) < percent;
}

void TurnDriver::Begin(bool has_drafter) {
  has_drafter_ = has_drafter;
  target_.Open(turn_->session_tokens());
  drafter_.Open(turn_->session_tokens());
  reason_.reset();
  ahead_.reset();
  turn_->SetDraftAhead(goes_ahead_);
  if (speculates_) speculator_.emplace(policy_, spec_.options);
  Take(turn_->Start(has_drafter, speculates_ ? &*speculator_ : nullptr));
}

void TurnDriver::Take(std::vector<TurnAction> actions) {
  for (TurnAction& action : actions) {
    ASSERT_FALSE(reason_.has_value()) << "an action after the end";
    if (const auto* emit = std::get_if<EmitAction>(&action)) {
      ASSERT_EQ(emit->first_token, next_token_);
      ASSERT_FALSE(emit->tokens.empty());
      next_token_ += static_cast<int64_t>(emit->tokens.size());
      // What the end adds may be in text() already.
      ASSERT_GE(emit->text_end, text_end_);
      ASSERT_LE(emit->text_end, turn_->text().size());
      text_end_ = emit->text_end;
    } else if (const auto* end = std::get_if<EndAction>(&action)) {
      reason_ = end->reason;
      pending_.reset();
    } else if (const auto* propose = std::get_if<ProposeAction>(&action);
               propose != nullptr && propose->is_ahead) {
      ASSERT_TRUE(goes_ahead_ && has_drafter_);
      ASSERT_TRUE(std::holds_alternative<VerifyAction>(*pending_));
      ASSERT_FALSE(ahead_.has_value());
      ahead_ = *propose;
    } else {
      pending_ = std::move(action);
    }
  }
}

void TurnDriver::Disturb() {
  LoseOrAttachDrafter();
  if (Chance(faults_.target_replaced)) {
    target_.Open(turn_->session_tokens());
    Take(turn_->OnTargetReplaced());
  }
  if (Chance(faults_.stray_answer)) {  // of the other kind: no effect
    if (std::holds_alternative<ProposeAction>(*pending_)) {
      EXPECT_TRUE(turn_->OnVerified({{{.id = 3}}}).empty());
    } else {
      EXPECT_TRUE(turn_->OnProposed({{3}}).empty());
    }
    EXPECT_TRUE(turn_->Start(true).empty());
  }
  if (Chance(faults_.restart)) {
    pending_.reset();
    turn_->Suspend();
    Begin(has_drafter_);
    ++restarts_;
  }
}

void TurnDriver::LoseOrAttachDrafter() {
  if (has_drafter_ && Chance(faults_.drafter_lost)) {
    has_drafter_ = false;
    ahead_.reset();
    Take(turn_->OnDrafterLost());
  } else if (!has_drafter_ && Chance(faults_.drafter_attached)) {
    has_drafter_ = true;
    // Opened now or at any earlier time of the turn.
    std::vector<TokenId> tokens = turn_->session_tokens();
    const size_t prompt = spec_.prompt.size();
    tokens.resize(prompt + random_() % (tokens.size() - prompt + 1));
    drafter_.Open(std::move(tokens));
    turn_->OnDrafterAttached();
  }
}

void TurnDriver::Answer() {
  const TurnAction action = std::move(*pending_);
  pending_.reset();
  if (const auto* propose = std::get_if<ProposeAction>(&action)) {
    AnswerPropose(*propose);
  } else {
    AnswerVerify(std::get<VerifyAction>(action));
  }
}

void TurnDriver::AnswerPropose(const ProposeAction& action) {
  ASSERT_TRUE(has_drafter_);
  ASSERT_GE(action.draft_length, 1);
  ASSERT_LE(action.draft_length, DraftLengthMax(spec_.options));
  std::vector<TokenId> draft = drafter_.Draft(action);
  if (HasFatal()) return;
  // A drafter whose answers were changed may itself be wrong for good.
  if (faults_.bad_draft == 0) {
    CheckSession(drafter_.tokens(),
                 std::max(static_cast<int>(draft.size()) - 1, 0));
  }
  if (spec_.draft_context_max > 0) {
    ASSERT_LE(turn_->session_tokens().size() + draft.size(),
              static_cast<size_t>(spec_.draft_context_max));
  }
  // The drafter did its work all the same.
  if (Chance(faults_.draft_late)) {
    if (speculates_) speculator_->OnDraftLate();
    return Take(turn_->OnDraftLate());
  }
  if (Chance(faults_.bad_draft)) Spoil(&draft);
  if (speculates_) {
    speculator_->OnRequest(static_cast<double>(random_() % 1000),
                           static_cast<double>(random_() % 1000));
  }
  Take(turn_->OnProposed(draft));
}

std::optional<std::vector<TokenId>> TurnDriver::AnswerAhead() {
  if (!ahead_.has_value()) return std::nullopt;
  const ProposeAction action = *std::move(ahead_);
  ahead_.reset();
  EXPECT_GE(action.draft_length, 2);
  EXPECT_LE(action.draft_length, kDraftLengthLimit);
  std::vector<TokenId> draft = drafter_.Draft(action);
  const size_t end = static_cast<size_t>(action.position) + 1 + draft.size();
  EXPECT_LE(end, static_cast<size_t>(spec_.context_max));
  if (spec_.draft_context_max > 0) {
    EXPECT_LE(end, static_cast<size_t>(spec_.draft_context_max));
  }
  if (Chance(faults_.bad_draft)) Spoil(&draft);
  return draft;
}

void TurnDriver::AnswerVerify(const VerifyAction& action) {
  ASSERT_LT(turn_->generated().size() + action.draft.size(),
            static_cast<size_t>(spec_.options.max_tokens));
  ASSERT_LT(turn_->session_tokens().size() + action.draft.size(),
            static_cast<size_t>(spec_.context_max));
  const std::optional<std::vector<TokenId>> ahead = AnswerAhead();
  const bool ahead_late = Chance(faults_.ahead_late);
  if (ahead.has_value() && !ahead_late) turn_->OnAheadProposed(*ahead);
  const std::vector<SampledToken> chosen = target_.Verify(action);
  if (HasFatal()) return;
  CheckSession(target_.tokens(), static_cast<int>(chosen.size()) - 1);
  if (speculates_) {
    speculator_->OnRequest(static_cast<double>(random_() % 1000),
                           static_cast<double>(random_() % 1000));
    policy_->OnDraftReport(RandomCurve(&random_));
    policy_->OnTargetReport(RandomCurve(&random_), {});
  }
  Take(turn_->OnVerified(chosen));
  // It belongs to no request any more: no effect.
  if (ahead.has_value() && ahead_late && !ahead_.has_value()) {
    turn_->OnAheadProposed(*ahead);
  }
}

void TurnDriver::CheckSession(std::vector<TokenId> tokens, int drafts) {
  ASSERT_GE(tokens.size(), static_cast<size_t>(drafts));
  tokens.resize(tokens.size() - drafts);
  ASSERT_EQ(tokens, turn_->session_tokens());
}

void TurnDriver::Spoil(std::vector<TokenId>* draft) {
  switch (draft->empty() ? 1 : random_() % 5) {
    case 0:
      draft->clear();
      break;
    case 1:
      draft->resize(draft->size() + 40, 3);
      break;
    case 2:
      (*draft)[random_() % draft->size()] = kFakeVocabSize;
      break;
    case 3:
      (*draft)[random_() % draft->size()] = -1;
      break;
    default:
      for (TokenId& id : *draft) id = random_() % kFakeVocabSize;
  }
}

}  // namespace tandem
