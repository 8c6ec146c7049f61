#include "services/coordinator/score/score_call.h"

#include <algorithm>
#include <utility>

#include "services/coordinator/turn/turn_observer.h"

namespace tandem {

ScoreCall::ScoreCall(ClientServices* services, ScoreTransport* transport,
                     ScoreCallSetup setup)
    : services_(services), transport_(transport), setup_(std::move(setup)) {}

void ScoreCall::PostToSelf(EventLoop::Closure closure) {
  services_->loop->Post(
      [self = shared_from_this(), closure = std::move(closure)]() mutable {
        closure();
      });
}

void ScoreCall::PostRequest(v1::ScoreRequest request) {
  PostToSelf([this, request = std::move(request)]() mutable {
    const absl::Status status = Begin(std::move(request));
    if (!status.ok()) Finish(status);
  });
}

void ScoreCall::PostRefused(absl::Status status) {
  PostToSelf([this, status = std::move(status)] { Finish(status); });
}

void ScoreCall::PostCancelled() {
  is_over_.store(true);
  PostToSelf([this] { Finish(absl::CancelledError("the client is gone")); });
}

void ScoreCall::PostStop() {
  is_over_.store(true);
  PostToSelf([this] { Finish(ShuttingDown()); });
}

ScoreModel ScoreCall::model() const {
  return {.tokenizer = *model_.tokenizer,
          .context_max = model_.context_largest,
          .token_bytes_max = model_.token_bytes_max};
}

absl::Status ScoreCall::Begin(v1::ScoreRequest request) {
  if (transport_ == nullptr) return absl::OkStatus();
  if (services_->draining.load()) return ShuttingDown();
  TANDEM_ASSIGN_OR_RETURN(model_,
                          services_->router->FindModel(request.model_id()));
  TANDEM_ASSIGN_OR_RETURN(ScoreInput input, ParseScore(&request, model()));
  if (EncodeBytes(input) > static_cast<int64_t>(kInlineTextBytes)) {
    return EncodeAside(std::move(input));
  }
  OnEncoded(EncodeScore(std::move(input), model(), [] { return false; }));
  return absl::OkStatus();
}

absl::Status ScoreCall::EncodeAside(ScoreInput input) {
  const int64_t bytes = EncodeBytes(input);
  services_->sessions->MakeRoom(setup_.tenant, bytes);
  return services_->background->Run(
      {.tenant = setup_.tenant,
       .bytes = bytes,
       .run =
           [self = shared_from_this(), input = std::move(input)]() mutable {
             ScoreCall* const call = self.get();
             absl::StatusOr<ScoreTokens> tokens =
                 EncodeScore(std::move(input), call->model(),
                             [call] { return call->is_over_.load(); });
             call->PostToSelf([call, tokens = std::move(tokens)]() mutable {
               call->OnEncoded(std::move(tokens));
             });
           },
       .is_over = [self = shared_from_this()] { return self->is_over_.load(); },
       .drop = [] {}});
}

void ScoreCall::OnEncoded(absl::StatusOr<ScoreTokens> tokens) {
  if (transport_ == nullptr) return;
  if (!tokens.ok()) return Finish(tokens.status());
  tokens_ = *std::move(tokens);
  const auto prompt_tokens = static_cast<int64_t>(tokens_.prompt.size());
  absl::StatusOr<TurnAdmission> admission =
      services_->quotas->Admit({.tenant = setup_.tenant,
                                .prompt_tokens = prompt_tokens,
                                .charged_tokens = prompt_tokens});
  if (!admission.ok()) return Finish(admission.status());
  admission_ = *std::move(admission);
  context_ = {
      .loop = services_->loop,
      .directory = services_->router,
      .quarantine = services_->quarantine,
      .limits = services_->turn_limits,
      .tenant = setup_.tenant,
      .tenant_kv_share = services_->quotas->LimitsOf(setup_.tenant).kv_share,
      .model_id = model_.model_id,
      .vocabulary_fingerprint = model_.vocabulary_fingerprint,
      .deadline = setup_.deadline,
      .trace = setup_.trace};
  scores_.resize(tokens_.continuations.size());
  OpenLanes();
}

void ScoreCall::OnLaneChanged() {
  const std::shared_ptr<ScoreCall> keep = shared_from_this();
  Advance();
}

void ScoreCall::Advance() {
  for (const ScoreLane& lane : lanes_) {
    if (lane.state() == ScoreLane::State::kFailed) {
      return Finish(absl::Status(lane.status()));
    }
  }
  if (context_.is_begun) admission_->OnTaken();
  lanes_.remove_if([this](const ScoreLane& lane) { return TakeResult(lane); });
  if (done_ < scores_.size()) return OpenLanes();
  if (services_->observer != nullptr) {
    services_->observer->OnScored(tokens_done_);
  }
  Finish(Response());
}

bool ScoreCall::TakeResult(const ScoreLane& lane) {
  if (lane.state() != ScoreLane::State::kDone) return false;
  const auto index = static_cast<size_t>(lane.number() - 1);
  std::vector<TokenId>& ids = tokens_.continuations[index];
  v1::ContinuationScore& score = scores_[index];
  score.mutable_token_ids()->Add(ids.begin(), ids.end());
  double sum = 0;
  for (const float logprob : lane.logprobs()) {
    score.add_logprobs(logprob);
    sum += logprob;
  }
  score.set_logprob(sum);
  score.set_is_greedy(lane.is_greedy());
  ++done_;
  tokens_done_ += static_cast<int64_t>(ids.size());
  ids = {};
  admission_->OnTokens(tokens_done_);
  return true;
}

void ScoreCall::OpenLanes() {
  const bool goes_ahead =
      !context_.is_begun && tokens_.prompt.size() > kSharedPromptTokens;
  const size_t lanes_max = goes_ahead ? 1 : kScoreLanesMax;
  while (lanes_.size() < lanes_max && opened_ < scores_.size()) {
    ScoreLane::Sequence sequence{
        .tokens = tokens_.prompt,
        .score_from = static_cast<Position>(tokens_.prompt.size())};
    const std::vector<TokenId>& ids = tokens_.continuations[opened_];
    sequence.tokens.insert(sequence.tokens.end(), ids.begin(), ids.end());
    sequence.number = static_cast<int64_t>(++opened_);
    lanes_.emplace_back(&context_, static_cast<ScoreLaneOwner*>(this),
                        std::move(sequence));
    lanes_.back().Start();
  }
}

v1::ScoreResponse ScoreCall::Response() {
  v1::ScoreResponse response;
  response.set_model_id(model_.model_id);
  response.set_fingerprint(context_.fingerprint);
  response.set_prompt_tokens(static_cast<int64_t>(tokens_.prompt.size()));
  for (v1::ContinuationScore& score : scores_) {
    *response.add_scores() = std::move(score);
  }
  return response;
}

void ScoreCall::Finish(const absl::StatusOr<v1::ScoreResponse>& response) {
  if (transport_ == nullptr) return;
  lanes_.clear();
  admission_.reset();
  const absl::Status& status = response.status();
  if (!status.ok() && !absl::IsCancelled(status) &&
      services_->observer != nullptr) {
    services_->observer->OnStreamFailed(ReasonOf(status));
  }
  ScoreTransport* const transport = std::exchange(transport_, nullptr);
  if (status.ok()) return transport->Finish(response);
  transport->Finish(services_->quotas->WithReturnTime(setup_.tenant, status));
}

}  // namespace tandem
