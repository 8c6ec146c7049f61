#include "services/worker/server/decode_stream.h"

#include <spdlog/spdlog.h>

#include <utility>
#include <variant>

#include "absl/strings/escaping.h"
#include "engine/base/check.h"
#include "engine/tokenizer/response_grammar.h"
#include "services/common/options_conversion.h"
#include "services/common/status_conversion.h"
#include "services/common/worker_protocol.h"
#include "services/worker/server/request_check.h"

namespace tandem {
namespace {

void LogOpen(const v1::OpenSequence& open,
             const std::optional<TraceContext>& trace) {
  spdlog::log(trace.has_value() && trace->sampled ? spdlog::level::info
                                                  : spdlog::level::debug,
              "turn {} of session {} opens a sequence of {} tokens; trace {}",
              open.turn(), absl::CHexEscape(open.session_id().substr(0, 8)),
              open.tokens_size(), trace.has_value() ? trace->trace_id : "-");
}

}  // namespace

DecodeStream::DecodeStream(DecodeStreamOptions options)
    : options_(std::move(options)) {
  absl::MutexLock lock(&mutex_);
  Pump();
}

void DecodeStream::OnReadDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  reading_ = false;
  if (!ok) {
    half_closed_ = true;
  } else if (!end_.has_value()) {
    if (const absl::Status status = Accept(); !status.ok()) {
      End(ToGrpcStatus(status));
    }
  }
  Pump();
}

void DecodeStream::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok) {
    write_failed_ = true;
    End(grpc::Status(grpc::StatusCode::CANCELLED, "the peer is gone"));
  }
  Pump();
}

void DecodeStream::OnCancel() {
  absl::MutexLock lock(&mutex_);
  End(grpc::Status(grpc::StatusCode::CANCELLED, "cancelled"));
  Pump();
}

void DecodeStream::OnDone() {
  {
    absl::MutexLock lock(&mutex_);
    // gRPC is done without Finish only where it could not start the call.
    End(grpc::Status::OK);
  }
  Unref();
}

void DecodeStream::OnOpened(const absl::StatusOr<OpenedStream>& opened) {
  absl::MutexLock lock(&mutex_);
  if (end_.has_value()) return;
  TANDEM_CHECK(!pending_.empty());
  pending_.pop_front();
  if (opened.ok()) {
    v1::DecodeResponse response;
    response.mutable_opened()->set_fingerprint(model_->info.fingerprint);
    response.mutable_opened()->set_cached_tokens(opened->cached_tokens);
    response.mutable_opened()->set_queued_us(opened->queued_us);
    answers_.push_back(std::move(response));
  } else {
    End(ToGrpcStatus(opened.status()));
  }
  Pump();
}

void DecodeStream::OnResult(absl::StatusOr<ComputeResult> result) {
  absl::MutexLock lock(&mutex_);
  if (end_.has_value()) return;
  if (!result.ok()) {
    End(ToGrpcStatus(result.status()));
    return Pump();
  }
  TANDEM_CHECK(!pending_.empty());
  const Pending pending = std::move(pending_.front());
  pending_.pop_front();
  v1::DecodeResponse response;
  v1::DecodedTokens* tokens = response.mutable_decoded();
  tokens->set_position(pending.first_position);
  tokens->set_compute_us(result->compute_us);
  tokens->set_served_us(
      absl::ToInt64Microseconds(MonotonicNow() - pending.arrived));
  for (const SampledToken& token : result->tokens) {
    tokens->add_token_ids(token.id);
    if (wants_logprobs_) *tokens->add_logprobs() = LogprobsToProto(token);
  }
  answers_.push_back(std::move(response));
  Pump();
}

void DecodeStream::OnScored(const std::vector<ScoredToken>& scores) {
  absl::MutexLock lock(&mutex_);
  if (end_.has_value()) return;
  v1::DecodeResponse response;
  v1::ScoredTokens* scored = response.mutable_scored();
  scored->set_position(score_next_);
  for (const ScoredToken& score : scores) {
    *scored->add_logprobs() = LogprobsToProto(score.token);
    scored->add_is_greedy(score.is_greedy);
  }
  score_next_ += static_cast<Position>(scores.size());
  answers_.push_back(std::move(response));
  Pump();
}

void DecodeStream::OnClosed() { Unref(); }

absl::Status DecodeStream::Accept() {
  switch (request_.request_case()) {
    case v1::DecodeRequest::kOpen:
      return AcceptOpen(request_.open());
    case v1::DecodeRequest::kPropose:
    case v1::DecodeRequest::kVerify:
      return AcceptRequest();
    case v1::DecodeRequest::REQUEST_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("the message holds no request");
}

absl::Status DecodeStream::AcceptOpen(const v1::OpenSequence& open) {
  if (stream_.has_value()) {
    return WrongState("a stream holds one sequence; open came a second time");
  }
  if (options_.is_draining()) {
    return Draining("the worker is shutting down; try another");
  }
  TANDEM_ASSIGN_OR_RETURN(model_, options_.models->Use(open.model_id()));
  TANDEM_ASSIGN_OR_RETURN(StreamOpen stream_open, ReadOpen(model_->info, open));
  tokens_max_ = stream_open.decoder.tokens_max;
  wants_logprobs_ = model_->info.role == v1::WORKER_ROLE_TARGET &&
                    stream_open.decoder.options.logprobs.has_value();
  score_next_ = stream_open.decoder.score_from;
  if (score_next_ > 0) score_end_ = open.tokens_size();
  LogOpen(open, options_.trace);
  pending_.push_back({});
  if (!stream_open.decoder.options.response_format.has_value()) {
    return OpenSequence(std::move(stream_open));
  }
  references_.fetch_add(1);
  const absl::Status status = options_.grammars->Run(
      [this, model = model_, read = std::move(stream_open)]() mutable {
        CompileAndOpen(*model, std::move(read));
      });
  compiling_ = status.ok();
  if (!status.ok()) references_.fetch_sub(1);
  return status;
}

void DecodeStream::CompileAndOpen(const ServedModel& model, StreamOpen open) {
  absl::StatusOr<std::shared_ptr<const TokenMasks>> grammar =
      CompileResponseFormat(model.loop->tokenizer(), open.decoder.options);
  if (grammar.ok()) (*grammar)->Warm(kWarmSteps);
  {
    absl::MutexLock lock(&mutex_);
    compiling_ = false;
    absl::Status status = grammar.status();
    if (status.ok() && !end_.has_value()) {
      open.decoder.grammar = *std::move(grammar);
      status = OpenSequence(std::move(open));
    }
    if (!status.ok()) End(ToGrpcStatus(status));
    Pump();
  }
  Unref();
}

absl::Status DecodeStream::OpenSequence(StreamOpen open) {
  references_.fetch_add(1);
  absl::StatusOr<StreamId> id = model_->loop->Open(std::move(open), this);
  if (!id.ok()) {
    references_.fetch_sub(1);
    return id.status();
  }
  stream_ = *id;
  return absl::OkStatus();
}

absl::Status DecodeStream::AcceptRequest() {
  if (!stream_.has_value()) {
    return WrongState("the first message of a stream must be open");
  }
  TANDEM_ASSIGN_OR_RETURN(ComputeRequest request,
                          ReadRequest(model_->info, tokens_max_, request_));
  const auto end = [](const auto& action) {
    return action.position + static_cast<Position>(action.tokens.size());
  };
  pending_.push_back({.first_position = std::visit(end, request)});
  return model_->loop->Submit(*stream_, std::move(request));
}

void DecodeStream::End(const grpc::Status& status) {
  if (end_.has_value()) return;
  end_ = status;
  pending_.clear();
  if (stream_.has_value()) model_->loop->Close(*stream_);
}

void DecodeStream::Pump() {
  if (half_closed_ && pending_.empty() && answers_.empty() && !writing_ &&
      score_next_ == score_end_) {
    End(grpc::Status::OK);
  }
  if (writing_ || finished_) return;
  if (!answers_.empty() && !write_failed_) {
    response_ = std::move(answers_.front());
    answers_.pop_front();
    writing_ = true;
    StartWrite(&response_);
  } else if (end_.has_value()) {
    finished_ = true;
    Finish(*end_);
    return;
  }
  const size_t outstanding =
      pending_.size() + answers_.size() + (writing_ ? 1 : 0);
  if (!reading_ && !compiling_ && !half_closed_ && !end_.has_value() &&
      outstanding < kStreamRequestsMax) {
    reading_ = true;
    StartRead(&request_);
  }
}

void DecodeStream::Unref() {
  if (references_.fetch_sub(1) != 1) return;
  const std::function<void()> on_gone = options_.on_gone;
  ModelSet* const models = options_.models;
  const ServedModel* model = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    model = model_;
  }
  delete this;
  if (model != nullptr) models->Release(model);
  on_gone();
}

}  // namespace tandem
