#include "services/coordinator/turn/prompt_scores.h"

#include <algorithm>
#include <utility>

#include "absl/types/span.h"
#include "engine/session/turn.h"

namespace tandem {
namespace {

Position PromptEnd(const Turn& turn) {
  return static_cast<Position>(turn.session_tokens().size() -
                               turn.generated().size());
}

}  // namespace

PromptScores::PromptScores(const Setup& setup, const TurnRunner* runner,
                           int64_t received)
    : setup_(setup),
      runner_(runner),
      asked_(runner->setup().prompt_logprobs.value_or(PromptLogprobs())),
      next_(asked_.first + static_cast<Position>(received)),
      end_(PromptEnd(runner->turn())) {}

std::optional<PromptScoresPart> PromptScores::Next(int64_t tokens_max) {
  const absl::Span<const TokenId> tokens = runner_->turn().session_tokens();
  PromptScoresPart part{.first_token = next_ - asked_.first};
  // Nothing stands before the session's first token.
  if (next_ == 0) {
    part.tokens.push_back({.id = tokens[0], .logprob = 0, .alternatives = {}});
    ++next_;
  }
  while (lane_.has_value() && taken_ < lane_->logprobs().size() &&
         static_cast<int64_t>(part.tokens.size()) < tokens_max) {
    SampledToken token{.id = tokens[static_cast<size_t>(next_)],
                       .logprob = lane_->logprobs()[taken_],
                       .alternatives = {}};
    if (asked_.alternatives > 0) {
      token.alternatives = lane_->alternatives()[taken_];
    }
    part.tokens.push_back(std::move(token));
    ++taken_;
    ++next_;
  }
  const bool is_taken = lane_.has_value() &&
                        lane_->state() == ScoreLane::State::kDone &&
                        taken_ == lane_->logprobs().size();
  if (is_taken) lane_.reset();
  if (!lane_.has_value() && next_ < end_) OpenPiece();
  if (part.tokens.empty()) return std::nullopt;
  return part;
}

void PromptScores::OnLaneChanged() {
  const std::function<void()> on_change = setup_.on_change;
  on_change();
}

void PromptScores::OpenPiece() {
  const TurnSetup& turn = runner_->setup();
  // All scores are of the model that answers. The turn has begun, so another
  // worker is searched for as long as the turn does it.
  context_ = {.loop = setup_.loop,
              .directory = setup_.directory,
              .quarantine = turn.quarantine,
              .limits = setup_.limits,
              .tenant = turn.tenant,
              .tenant_kv_share = turn.tenant_kv_share,
              .model_id = runner_->model().id,
              .vocabulary_fingerprint = runner_->model().vocabulary_fingerprint,
              .deadline = setup_.deadline,
              .trace = turn.trace,
              .fingerprint = runner_->model().fingerprint,
              .is_begun = true};
  const Position piece_end = std::min(end_, next_ + kPromptPieceTokens);
  const std::vector<TokenId>& tokens = runner_->turn().session_tokens();
  taken_ = 0;
  lane_.emplace(&context_, static_cast<ScoreLaneOwner*>(this),
                ScoreLane::Sequence{
                    .number = ++pieces_,
                    .tokens = {tokens.begin(), tokens.begin() + piece_end},
                    .score_from = next_,
                    .alternatives = asked_.alternatives});
  lane_->Start();
}

bool PromptScores::is_over() const {
  const FinishReason reason = runner_->finish_reason();
  const bool is_cut_short =
      runner_->state() == TurnState::kEnded &&
      (reason == FinishReason::kCancelled || reason == FinishReason::kDeadline);
  return next_ >= end_ || is_cut_short;
}

absl::Status PromptScores::status() const {
  if (!lane_.has_value() || lane_->state() != ScoreLane::State::kFailed) {
    return absl::OkStatus();
  }
  return lane_->status();
}

}  // namespace tandem
