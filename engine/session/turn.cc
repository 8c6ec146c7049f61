#include "engine/session/turn.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

bool InVocabulary(const Tokenizer& tokenizer, TokenId id) {
  return id >= 0 && id < tokenizer.vocab_size();
}

// Tokens that may still be generated.
int64_t Remaining(const Turn& turn) {
  const int64_t by_length =
      turn.options().max_tokens - turn.usage().generated_tokens;
  const int64_t by_context =
      turn.context_max() - static_cast<int64_t>(turn.session_tokens().size());
  return std::max<int64_t>(0, std::min(by_length, by_context));
}

// Whether the target may answer a draft by `tokens`.
bool IsAnswer(const Tokenizer& tokenizer, absl::Span<const TokenId> draft,
              absl::Span<const SampledToken> tokens,
              TokenConstraint* constraint) {
  if (tokens.empty() || tokens.size() > draft.size() + 1) return false;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!InVocabulary(tokenizer, tokens[i].id)) return false;
    if (i + 1 < tokens.size() && tokens[i].id != draft[i]) return false;
  }
  // A text that has become too deep is for the target to refuse.
  const int64_t committed = constraint->length();
  bool is_allowed = true;
  for (const SampledToken& token : tokens) {
    if (constraint->is_over()) break;  // the rest is dropped
    const std::optional<ErrorDetail> error =
        GetErrorDetail(constraint->Append(token.id));
    is_allowed &= !error.has_value() || error->reason != kReasonInvalidToken;
  }
  constraint->Truncate(committed);
  return is_allowed;
}

}  // namespace

absl::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStopToken:
      return "stop_token";
    case FinishReason::kStopString:
      return "stop_string";
    case FinishReason::kGrammarEnd:
      return "grammar_end";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kContext:
      return "context";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kDeadline:
      return "deadline";
    case FinishReason::kError:
      return "error";
  }
  return "";
}

void SpeculationCounts::AddRound(DraftSource source, const DraftCounts& round) {
  ++rounds;
  drafted += round.drafted;
  accepted += round.accepted;
  if (source == DraftSource::kLookup) {
    lookup.drafted += round.drafted;
    lookup.accepted += round.accepted;
  }
  for (int64_t i = 0; i < round.drafted; ++i) {
    ++positions[i].drafted;
    if (i < round.accepted) ++positions[i].accepted;
  }
}

absl::Status CheckTurnRoom(const TurnSpec& spec) {
  if (spec.prompt.empty()) {
    return InvalidArgument(kReasonEmptyPrompt, "the prompt has no token");
  }
  if (static_cast<Position>(spec.prompt.size()) >= spec.context_max) {
    return InvalidArgument(
        kReasonContextExceeded,
        absl::StrCat("history and prompt have ", spec.prompt.size(),
                     " tokens and leave no room in a context of ",
                     spec.context_max));
  }
  return absl::OkStatus();
}

absl::Status CheckTurn(const Tokenizer& tokenizer, const TurnSpec& spec) {
  for (size_t i = 0; i < spec.prompt.size(); ++i) {
    if (InVocabulary(tokenizer, spec.prompt[i])) continue;
    return InvalidArgument(
        kReasonInvalidToken,
        absl::StrCat("token ", i, " of the prompt is ", spec.prompt[i],
                     ", the vocabulary has ids 0 to ",
                     tokenizer.vocab_size() - 1));
  }
  TANDEM_RETURN_IF_ERROR(
      ValidateGenOptions(spec.options, tokenizer.vocab_size()));
  return CheckTurnRoom(spec);
}

Turn::Turn(const Tokenizer* tokenizer, TurnSpec spec)
    : tokenizer_(tokenizer),
      spec_(std::move(spec)),
      tokens_(std::move(spec_.prompt)),
      prompt_tokens_(tokens_.size()),
      decoder_(tokenizer, spec_.options.stop_strings),
      constraint_(
          ConstraintOf(*tokenizer, spec_.options, std::move(spec_.grammar))),
      known_{.target = length(), .drafter = length()} {}

std::vector<TurnAction> Turn::Restore(absl::Span<const TokenId> tokens) {
  TANDEM_CHECK(phase_ == Phase::kCreated && generated().empty());
  std::vector<TurnAction> actions;
  for (const TokenId id : tokens) {
    if (finish_.has_value()) break;
    TANDEM_CHECK(InVocabulary(*tokenizer_, id));
    const SampledToken token = {.id = id};
    EmitAction emit{.first_token = usage().generated_tokens, .tokens = {token}};
    Commit(token);
    emit.text_end = text().size();
    actions.push_back(std::move(emit));
  }
  known_.target = length();
  known_.drafter = length();
  if (finish_.has_value()) actions.push_back(OnCancel(*finish_).front());
  return actions;
}

std::vector<TurnAction> Turn::Start(bool has_drafter, Speculator* speculator) {
  if (phase_ != Phase::kCreated) return {};
  speculator_ = speculator;
  has_drafter_ = has_drafter;
  std::vector<TurnAction> actions;
  BeginRound(&actions);
  return actions;
}

void Turn::Suspend() {
  if (ended()) return;
  phase_ = Phase::kCreated;
  ahead_.reset();
  known_.target = length();
  known_.drafter = length();
}

std::vector<TurnAction> Turn::OnProposed(absl::Span<const TokenId> draft) {
  if (phase_ != Phase::kProposing) return {};
  drafter_proposed_ = true;
  TakeDraft(draft, draft_length_);
  std::vector<TurnAction> actions;
  BeginVerify(&actions);
  GoAhead(&actions);
  return actions;
}

void Turn::OnAheadProposed(absl::Span<const TokenId> draft) {
  if (ahead_.has_value()) ahead_->draft.assign(draft.begin(), draft.end());
}

std::vector<TurnAction> Turn::OnDraftLate() {
  if (phase_ != Phase::kProposing) return {};
  ++speculation_.late;
  return OnProposed({});
}

void Turn::TakeDraft(absl::Span<const TokenId> draft, int length_max) {
  const int64_t committed = constraint_.length();
  for (const TokenId id : draft) {
    if (static_cast<int>(draft_.size()) == length_max) break;
    if (!InVocabulary(*tokenizer_, id) || !constraint_.Allows(id)) break;
    draft_.push_back(id);
    // Nothing is committed after a stop token or a complete text, so nothing is
    // verified there.
    draft_ends_ = !constraint_.Append(id).ok() || constraint_.is_over() ||
                  IsStopToken(*tokenizer_, spec_.options, id);
    if (draft_ends_) break;
  }
  constraint_.Truncate(committed);
}

std::vector<TurnAction> Turn::OnVerified(
    absl::Span<const SampledToken> tokens) {
  if (phase_ != Phase::kVerifying) return {};
  if (!IsAnswer(*tokenizer_, draft_, tokens, &constraint_)) {
    return OnCancel(FinishReason::kError);
  }

  const Position start = length();
  EmitAction emit{.first_token = static_cast<int64_t>(generated().size())};
  int64_t accepted = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i < draft_.size() && tokens[i].id == draft_[i]) ++accepted;
    emit.tokens.push_back(tokens[i]);
    if (Commit(tokens[i])) break;
  }
  emit.text_end = text().size();
  emit.draft = {
      .drafted = static_cast<uint8_t>(draft_.size()),
      .accepted = static_cast<uint8_t>(accepted),
      .from_lookup = source_ == DraftSource::kLookup && !draft_.empty()};
  speculation_.AddRound(
      source_,
      {.drafted = static_cast<int64_t>(draft_.size()), .accepted = accepted});

  // The target chose the last token but has not run it.
  known_.target = length() - 1;
  if (drafter_proposed_) {
    // The drafter has what was accepted, but did not run its last draft.
    const int64_t ran =
        std::max<int64_t>(static_cast<int64_t>(draft_.size()) - 1, 0);
    known_.drafter = start + std::min(accepted, ran);
  }
  // A draft that the turn's end cut tells nothing of the drafter.
  if (speculator_ != nullptr && !finish_.has_value()) {
    speculator_->OnRound(static_cast<int>(draft_.size()),
                         static_cast<int>(accepted));
  }
  std::vector<TurnAction> actions;
  actions.push_back(std::move(emit));
  if (finish_.has_value()) {
    actions.push_back(OnCancel(*finish_).front());
  } else {
    BeginRound(&actions);
  }
  return actions;
}

std::vector<TurnAction> Turn::OnDrafterLost() {
  has_drafter_ = false;
  drafter_proposed_ = false;
  ahead_.reset();
  if (phase_ != Phase::kProposing) return {};
  std::vector<TurnAction> actions;
  BeginVerify(&actions);
  return actions;
}

void Turn::OnDrafterAttached() {
  has_drafter_ = true;
  drafter_proposed_ = false;
  ahead_.reset();
  // It may have been opened before the last tokens were committed; a worker
  // that has them all takes their repetition for what it is.
  known_.drafter = static_cast<Position>(prompt_tokens_);
}

std::vector<TurnAction> Turn::OnTargetReplaced() {
  known_.target = length();
  if (phase_ != Phase::kVerifying) return {};
  std::vector<TurnAction> actions;
  BeginVerify(&actions);
  return actions;
}

std::vector<TurnAction> Turn::OnCancel(FinishReason reason) {
  if (ended()) return {};
  phase_ = Phase::kEnded;
  decoder_.Finish();
  constraint_ = {};  // a session keeps its last turn
  return {EndAction{.reason = reason}};
}

TurnUsage Turn::usage() const {
  return {.prompt_tokens = static_cast<int64_t>(prompt_tokens_),
          .generated_tokens = static_cast<int64_t>(generated().size())};
}

bool Turn::Commit(const SampledToken& token) {
  tokens_.push_back(token.id);
  (void)constraint_.Append(token.id);  // IsAnswer has looked
  if (spec_.options.logprobs.has_value()) logprobs_.push_back(token);
  if (IsStopToken(*tokenizer_, spec_.options, token.id)) {
    finish_ = FinishReason::kStopToken;
  } else if (decoder_.Push(token.id)) {
    finish_ = FinishReason::kStopString;
  } else if (constraint_.is_over()) {
    finish_ = FinishReason::kGrammarEnd;
  } else if (Remaining(*this) == 0) {
    finish_ = usage().generated_tokens >= spec_.options.max_tokens
                  ? FinishReason::kLength
                  : FinishReason::kContext;
  }
  return finish_.has_value();
}

// A round drafts at most one token less than may still be generated: the
// verification adds one. So nothing is ever generated past max_tokens or the
// context.
void Turn::BeginRound(std::vector<TurnAction>* actions) {
  draft_.clear();
  draft_ends_ = false;
  drafter_proposed_ = false;
  const int length_max = static_cast<int>(
      std::min<int64_t>(kDraftLengthLimit, Remaining(*this) - 1));
  int64_t model_max = has_drafter_ ? length_max : 0;
  if (spec_.draft_context_max > 0) {
    model_max =
        std::clamp<int64_t>(spec_.draft_context_max - length(), 0, model_max);
  }
  DraftPlan plan;
  if (speculator_ != nullptr) {
    plan = speculator_->PlanRound({.prompt = prompt(),
                                   .generated = generated(),
                                   .length_max = length_max,
                                   .model_max = static_cast<int>(model_max)});
  } else {
    plan.length = static_cast<int>(std::min<int64_t>(
        model_max, spec_.options.draft_length.value_or(kDraftLengthDefault)));
    if (plan.length > 0) plan.source = DraftSource::kModel;
  }
  source_ = plan.source;
  if (source_ == DraftSource::kLookup) TakeDraft(plan.draft, length_max);
  if (source_ != DraftSource::kModel) {
    ahead_.reset();
    return BeginVerify(actions);
  }
  draft_length_ = plan.length;
  if (TakeAhead(draft_length_)) {
    BeginVerify(actions);
    return GoAhead(actions);
  }
  phase_ = Phase::kProposing;
  const Position position = std::min(known_.drafter, length() - 1);
  actions->push_back(
      ProposeAction{.position = position,
                    .tokens = {tokens_.begin() + position, tokens_.end()},
                    .draft_length = draft_length_});
}

bool Turn::TakeAhead(int length_max) {
  const std::optional<Ahead> ahead = std::exchange(ahead_, std::nullopt);
  if (!ahead.has_value() || ahead->draft.size() < 2 ||
      ahead->position != length() - 1 || ahead->draft[0] != tokens_.back()) {
    return false;
  }
  TakeDraft(absl::MakeConstSpan(ahead->draft).subspan(1),
            std::min(length_max, ahead->length));
  if (draft_.empty()) return false;
  drafter_proposed_ = true;
  ++speculation_.ahead_used;
  return true;
}

// One token for the target's, and a draft as long as the last one.
void Turn::GoAhead(std::vector<TurnAction>* actions) {
  ahead_.reset();
  if (!may_go_ahead_ || draft_.empty() || draft_ends_) return;
  const int64_t drafted = static_cast<int64_t>(draft_.size());
  // After the round, of which one token is the target's.
  int64_t room = Remaining(*this) - (drafted + 1) - 1;
  if (spec_.draft_context_max > 0) {
    room = std::min<int64_t>(
        room, spec_.draft_context_max - (length() + drafted + 1));
  }
  const int next_length = static_cast<int>(
      std::min<int64_t>({draft_length_, room, kDraftLengthLimit - 1}));
  if (next_length < 1) return;
  const Position end = static_cast<Position>(length() + drafted);
  ahead_ = {.position = end, .length = next_length, .draft = {}};
  ++speculation_.ahead_asked;
  actions->push_back(ProposeAction{.position = end - 1,
                                   .tokens = {draft_.back()},
                                   .draft_length = next_length + 1,
                                   .is_ahead = true});
}

void Turn::BeginVerify(std::vector<TurnAction>* actions) {
  phase_ = Phase::kVerifying;
  const Position position = std::min(known_.target, length() - 1);
  actions->push_back(
      VerifyAction{.position = position,
                   .tokens = {tokens_.begin() + position, tokens_.end()},
                   .draft = draft_});
}

}  // namespace tandem
