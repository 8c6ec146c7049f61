#include "services/coordinator/turn/worker_lane.h"

#include <algorithm>
#include <utility>

namespace tandem {

void WorkerLane::Open(const WorkerChoice& worker, Opening opening,
                      WorkerStreamEvents* events) {
  Reset();
  worker_ = worker;
  last_name_ = worker.name;
  const Turn& turn = context_->turn;
  const TurnSetup& setup = context_->setup;
  // A little later than the turn's own timer, which ends it in good order.
  std::optional<MonotonicTime> deadline;
  if (setup.timeout.has_value()) {
    deadline = context_->started_at + *setup.timeout + std::chrono::seconds(1);
  }
  ReportComputed();
  stream_ = worker.link->Open(
      {.session_id = setup.session_id,
       .turn = setup.number,
       .model_id = worker.model_id,
       .fingerprint = std::move(opening.fingerprint),
       .tokens = turn.session_tokens(),
       .generated_from = static_cast<Position>(turn.prompt().size()),
       .tokens_max =
           std::min(worker.context_max, context_->Need({}).tokens_max),
       .options = std::move(opening.options),
       .tenant = setup.tenant,
       .tenant_kv_share = setup.tenant_kv_share,
       .queue_timeout = opening.queue_timeout,
       .trace = setup.trace},
      context_->loop, events, deadline);
}

void WorkerLane::Close() {
  if (is_confirmed_) ReportComputed();
  Reset();
}

void WorkerLane::Lose() {
  Reset();
  last_name_.clear();
}

void WorkerLane::Propose(ProposeAction propose) {
  const int rows = static_cast<int>(propose.tokens.size());
  unanswered_.push_back({.answer_position = propose.position + rows,
                         .sent_at = context_->loop->Now(),
                         .rows = rows,
                         .draft_length = propose.draft_length,
                         .is_ahead = propose.is_ahead});
  stream_->Propose(std::move(propose));
}

void WorkerLane::Verify(VerifyAction verify) {
  const int rows = static_cast<int>(verify.tokens.size());
  unanswered_.push_back(
      {.answer_position = verify.position + rows,
       .sent_at = context_->loop->Now(),
       .rows = rows,
       .draft_length = static_cast<int>(verify.draft.size())});
  stream_->Verify(std::move(verify));
}

std::optional<LaneRoundTrip> WorkerLane::Take(const WorkerAnswer& answer) {
  if (!is_confirmed_ || unanswered_.empty() ||
      unanswered_.front().answer_position != answer.position) {
    return std::nullopt;
  }
  LaneRoundTrip trip{.request = unanswered_.front()};
  unanswered_.pop_front();
  // A worker's own clock is not trusted beyond the round trip.
  trip.us = Micros(context_->loop->Now() - trip.request.sent_at);
  trip.compute_us = std::clamp<int64_t>(answer.compute_us, 0, trip.us);
  trip.served_us = answer.served_us <= 0
                       ? trip.compute_us
                       : std::clamp(answer.served_us, trip.compute_us, trip.us);
  trip.ran_prompt = !std::exchange(ran_prompt_, true);
  return trip;
}

void WorkerLane::DropUnanswered() {
  for (LaneRequest& request : unanswered_) request.is_dropped = true;
}

LastWorker WorkerLane::last_worker() const {
  return {
      .name = last_name_,
      .tokens = static_cast<Position>(context_->turn.session_tokens().size())};
}

void WorkerLane::ReportComputed() const {
  context_->directory->OnComputed({.worker = worker_.name,
                                   .tenant = context_->setup.tenant,
                                   .fingerprint = worker_.fingerprint,
                                   .tokens = context_->turn.session_tokens()});
}

void WorkerLane::Reset() {
  stream_.reset();
  worker_ = {};
  is_confirmed_ = false;
  ran_prompt_ = false;
  unanswered_.clear();
}

}  // namespace tandem
