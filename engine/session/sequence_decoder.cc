#include "engine/session/sequence_decoder.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/model/kv_layout.h"

namespace tandem {
namespace {

// A draft, and the token before it, can be taken back.
static_assert(kKvRollbackTokens >= kDraftLengthLimit + 1);

void CheckOptions(const SequenceDecoderOptions& options) {
  const Position size = static_cast<Position>(options.tokens.size());
  TANDEM_CHECK(options.generated_from >= 1 && options.generated_from <= size);
  TANDEM_CHECK(options.tokens_max >= size);
  TANDEM_CHECK(options.options.seed.has_value());
  TANDEM_CHECK(options.score_from >= 0 && options.score_from < size);
}

}  // namespace

absl::StatusOr<std::unique_ptr<SequenceDecoder>> SequenceDecoder::Open(
    Engine* engine, SequenceDecoderOptions options) {
  CheckOptions(options);
  SequenceOptions sequence_options{.tokens_max = options.tokens_max,
                                   .tokens = options.tokens,
                                   .tenant = options.tenant};
  if (options.score_from > 0) {
    sequence_options.kept_max = options.score_from - 1;
  }
  TANDEM_ASSIGN_OR_RETURN(const SequenceId sequence,
                          engine->Open(sequence_options));
  return absl::WrapUnique(
      new SequenceDecoder(engine, sequence, std::move(options)));
}

SequenceDecoder::SequenceDecoder(Engine* engine, SequenceId sequence,
                                 SequenceDecoderOptions options)
    : engine_(engine),
      sequence_(sequence),
      options_(std::move(options)),
      processor_(options_.options, engine->info().vocab_size, options_.tokens,
                 options_.generated_from,
                 ConstraintOf(engine->tokenizer(), options_.options,
                              options_.grammar)),
      tokens_(std::move(options_.tokens)),
      cached_(engine->state(sequence).length),
      tokens_found_(cached_),
      score_next_(options_.score_from),
      score_end_(options_.score_from > 0 ? known() : 0) {}

SequenceDecoder::~SequenceDecoder() { engine_->Close(sequence_); }

absl::Status SequenceDecoder::CheckRequest(
    Position position, absl::Span<const TokenId> tokens) const {
  TANDEM_CHECK(!request_active() && !is_scoring() && !tokens.empty());
  if (position > known() || position < options_.generated_from - 1) {
    return WrongState(absl::StrCat(
        "position ", position, " is not between the prompt's end, ",
        options_.generated_from - 1, ", and the known tokens, ", known()));
  }
  TANDEM_CHECK(position + static_cast<Position>(tokens.size()) <=
               options_.tokens_max);
  const Position cut_min = engine_->state(sequence_).cut_min;
  if (CachedWith(position, tokens) < cut_min) {
    return WrongState(absl::StrCat("the tokens differ from those before ",
                                   cut_min, ", which can not be cut any more"));
  }
  return absl::OkStatus();
}

Position SequenceDecoder::CachedWith(Position position,
                                     absl::Span<const TokenId> tokens) const {
  const auto first_new =
      std::mismatch(tokens.begin(), tokens.end(), tokens_.begin() + position,
                    tokens_.end())
          .first;
  const Position same =
      position + static_cast<Position>(first_new - tokens.begin());
  const Position last = position + static_cast<Position>(tokens.size()) - 1;
  return std::min({cached_, same, last});
}

void SequenceDecoder::Replace(Position position,
                              absl::Span<const TokenId> tokens) {
  TANDEM_CHECK(item_tokens_ == 0);
  TANDEM_CHECK(processor_.length() == known());
  const Position cached = CachedWith(position, tokens);
  const auto [first_new, first_old] = std::mismatch(
      tokens.begin(), tokens.end(), tokens_.begin() + position, tokens_.end());
  const Position same = first_old - tokens_.begin();
  tokens_.resize(same);
  tokens_.insert(tokens_.end(), first_new, tokens.end());
  processor_.Truncate(same);
  for (auto token = first_new; token != tokens.end(); ++token) {
    processor_.Append(*token);
  }
  cached_ = cached;
  request_end_ = known();
  prefill_rests_ = false;
  draft_.clear();
}

absl::Status SequenceDecoder::Begin(const ProposeAction& propose) {
  TANDEM_CHECK(propose.draft_length >= 1 &&
               propose.draft_length <= kDraftLengthLimit);
  TANDEM_RETURN_IF_ERROR(CheckRequest(propose.position, propose.tokens));
  Replace(propose.position, propose.tokens);
  request_ = Request::kPropose;
  drafts_left_ = static_cast<int>(
      std::min<Position>(propose.draft_length, options_.tokens_max - known()));
  if (processor_.is_over()) drafts_left_ = 0;
  return absl::OkStatus();
}

absl::Status SequenceDecoder::Begin(const VerifyAction& verify) {
  TANDEM_RETURN_IF_ERROR(CheckRequest(verify.position, verify.tokens));
  Replace(verify.position, verify.tokens);
  request_ = Request::kVerify;
  const size_t room = static_cast<size_t>(
      std::min<Position>(kDraftLengthLimit, options_.tokens_max - known()));
  for (const TokenId id : verify.draft) {
    if (draft_.size() == room) break;
    if (id < 0 || id >= engine_->info().vocab_size) break;
    draft_.push_back(id);
  }
  tokens_.insert(tokens_.end(), draft_.begin(), draft_.end());
  verification_.emplace(&processor_, draft_);
  return absl::OkStatus();
}

Position SequenceDecoder::first_wanted() const {
  switch (request_) {
    case Request::kNone:
      return is_scoring() ? score_next_ - 1 : known();
    case Request::kPropose:
      return drafts_left_ > 0 ? known() - 1 : known();
    case Request::kVerify:
      return request_end_ - 1;
  }
  return known();
}

bool SequenceDecoder::has_work() const {
  if (request_active()) return !result_.has_value();
  // The last token is left to the first request, which wants its row.
  return !prefill_rests_ && cached_ < known() - 1;
}

bool SequenceDecoder::next_is_decode() const {
  return request_active() && !result_.has_value() &&
         request_end_ - cached_ <= kDraftLengthLimit + 1;
}

Position SequenceDecoder::item_end() const {
  const Position first = first_wanted();
  if (is_scoring()) return std::min(known() - 1, first + kScoredRowsMax);
  // Several wanted rows go without unwanted ones before them.
  if (known() - first > 1 && cached_ < first) return first;
  return request_active() ? known() : known() - 1;
}

int SequenceDecoder::rows_waiting() const {
  TANDEM_CHECK(has_work() && item_tokens_ == 0);
  return static_cast<int>(item_end() - cached_);
}

StepItem SequenceDecoder::NextItem(int rows_max) {
  TANDEM_CHECK(has_work() && rows_max >= 1 && item_tokens_ == 0);
  const Position first = first_wanted();
  const Position end = std::min(item_end(), cached_ + rows_max);
  item_tokens_ = end - cached_;
  StepItem item{
      .sequence = sequence_,
      .position = cached_,
      .tokens = absl::MakeConstSpan(tokens_).subspan(cached_, item_tokens_)};
  const Position wanted = end - std::max(first, cached_);
  if (wanted == 1) {
    item.rows = WantedRows::kLast;
  } else if (wanted > 1) {
    item.rows = WantedRows::kAll;
    item.rows_from = static_cast<size_t>(item_tokens_ - wanted);
  }
  return item;
}

void SequenceDecoder::OnRow(size_t row, absl::Span<float> logits) {
  if (!row_status_.ok()) return;
  if (is_scoring()) {
    absl::StatusOr<ScoredToken> score = ScoreToken(
        logits, tokens_[score_next_ + row], options_.score_alternatives);
    if (score.ok()) {
      scores_->push_back(*std::move(score));
    } else {
      row_status_ = score.status();
    }
    return;
  }
  if (request_ == Request::kVerify) {
    row_status_ = verification_->OnRow(logits);
    return;
  }
  absl::StatusOr<SampledToken> token = processor_.Sample(logits);
  if (token.ok()) {
    next_draft_ = token->id;
  } else {
    row_status_ = token.status();
  }
}

void SequenceDecoder::OnStepDone(const absl::Status& status) {
  TANDEM_CHECK(item_tokens_ > 0);
  const Position ran = std::exchange(item_tokens_, 0);
  if (status.ok()) cached_ += ran;
  prefill_rests_ = !status.ok();
  if (is_scoring()) return OnScoreStep(status);
  if (!request_active()) return;
  if (!status.ok() || !row_status_.ok()) {
    FinishRequest(status.ok() ? row_status_ : status);
  } else if (request_ == Request::kPropose) {
    OnDraftStep();
  } else if (verification_->done()) {
    FinishRequest(verification_->TakeTokens());
  }
}

void SequenceDecoder::OnScoreStep(absl::Status status) {
  if (status.ok()) status = std::exchange(row_status_, absl::OkStatus());
  if (status.ok()) {
    score_next_ = std::max(score_next_, cached_ + 1);
  } else {
    scores_ = std::move(status);
    score_next_ = score_end_;
  }
}

absl::StatusOr<std::vector<ScoredToken>> SequenceDecoder::TakeScores() {
  return std::exchange(scores_, std::vector<ScoredToken>());
}

void SequenceDecoder::OnDraftStep() {
  if (next_draft_.has_value()) {
    const TokenId id = *std::exchange(next_draft_, std::nullopt);
    draft_.push_back(id);
    tokens_.push_back(id);
    processor_.Append(id);
    --drafts_left_;
    // The turn would end there, so what follows would not be used.
    if (IsStopToken(engine_->tokenizer(), options_.options, id) ||
        processor_.is_over()) {
      drafts_left_ = 0;
    }
  } else if (cached_ < known()) {
    return;  // prefill
  }
  if (drafts_left_ > 0) return;
  DecodedTokens result;
  for (const TokenId id : draft_) result.push_back({.id = id});
  FinishRequest(std::move(result));
}

void SequenceDecoder::FinishRequest(absl::StatusOr<DecodedTokens> result) {
  if (request_ == Request::kVerify || !result.ok()) {
    // What follows the request's own tokens: nothing, or what was chosen. The
    // KV holds the accepted drafts; the last chosen token has not been run.
    tokens_.resize(request_end_);
    Position valid = request_end_;
    if (result.ok()) {
      for (const SampledToken& token : *result) tokens_.push_back(token.id);
      valid = known() - 1;
    } else {
      processor_.Truncate(request_end_);
    }
    cached_ = std::min(cached_, valid);
  }
  verification_.reset();
  next_draft_.reset();
  row_status_ = absl::OkStatus();
  result_ = std::move(result);
}

std::optional<absl::StatusOr<DecodedTokens>> SequenceDecoder::TakeResult() {
  if (!result_.has_value()) return std::nullopt;
  request_ = Request::kNone;
  return std::exchange(result_, std::nullopt);
}

}  // namespace tandem
