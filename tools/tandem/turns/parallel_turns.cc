#include "tools/tandem/turns/parallel_turns.h"

#include <utility>

#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "engine/base/status.h"

namespace tandem::cli {
namespace {

// After this time a turn is asked for again that a coordinator without a store
// has lost.
constexpr absl::Duration kLostWait = absl::Seconds(1);

// When a turn that was refused may be asked for again; nullopt: never. It names
// no session, so it may begin anew.
std::optional<absl::Duration> DelayAfter(const absl::Status& error) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(error);
  if (detail.has_value() && detail->reason == kReasonUnknownSession) {
    return kLostWait;
  }
  if (!detail.has_value() || !detail->retry_delay_ms.has_value()) {
    return std::nullopt;
  }
  return absl::Milliseconds(*detail->retry_delay_ms);
}

}  // namespace

ParallelTurns::ParallelTurns(Client* client, int at_once) : client_(client) {
  threads_.reserve(static_cast<size_t>(at_once));
  for (int i = 0; i < at_once; ++i) threads_.emplace_back([this] { Work(); });
}

ParallelTurns::~ParallelTurns() {
  std::vector<std::shared_ptr<client::TurnStream>> under_way;
  {
    absl::MutexLock lock(&mutex_);
    is_cancelled_ = is_over_ = true;
    for (const std::unique_ptr<Job>& job : jobs_) {
      if (job->stream != nullptr) under_way.push_back(job->stream);
    }
  }
  // Nobody waits for the ends of those that were cancelled.
  for (const auto& stream : under_way) stream->Leave();
  for (std::thread& thread : threads_) thread.join();
}

void ParallelTurns::Add(v1::TurnRequest turn) {
  absl::MutexLock lock(&mutex_);
  jobs_.push_back(std::make_unique<Job>(Job{.request = std::move(turn)}));
}

size_t ParallelTurns::size() const {
  absl::MutexLock lock(&mutex_);
  return jobs_.size();
}

absl::StatusOr<TurnRecord> ParallelTurns::Take() {
  absl::MutexLock lock(&mutex_);
  TANDEM_CHECK(!jobs_.empty());
  const Job* const oldest = jobs_.front().get();
  const auto has_result = [oldest] { return oldest->result.has_value(); };
  mutex_.Await(absl::Condition(&has_result));
  absl::StatusOr<TurnRecord> result = *std::move(jobs_.front()->result);
  jobs_.pop_front();
  return result;
}

void ParallelTurns::Cancel() {
  absl::MutexLock lock(&mutex_);
  is_cancelled_ = true;
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (job->stream != nullptr) job->stream->Cancel();
  }
}

void ParallelTurns::Work() {
  while (Job* const job = NextJob()) {
    absl::StatusOr<TurnRecord> result = Run(job);
    absl::MutexLock lock(&mutex_);
    job->stream = nullptr;
    job->result = std::move(result);
  }
}

ParallelTurns::Job* ParallelTurns::FirstThatWaits() const {
  for (const std::unique_ptr<Job>& job : jobs_) {
    if (!job->is_begun) return job.get();
  }
  return nullptr;
}

bool ParallelTurns::HasWork() const {
  return is_over_ || FirstThatWaits() != nullptr;
}

ParallelTurns::Job* ParallelTurns::NextJob() {
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &ParallelTurns::HasWork));
  if (is_over_) return nullptr;
  Job* const next = FirstThatWaits();
  next->is_begun = true;
  return next;
}

absl::StatusOr<TurnRecord> ParallelTurns::Run(Job* job) {
  const absl::Time give_up = absl::Now() + kRoomWait;
  while (true) {
    std::shared_ptr<client::TurnStream> stream;
    {
      absl::MutexLock lock(&mutex_);
      if (is_cancelled_) return InterruptedError();
      stream = job->stream = client_->Start(job->request);
    }
    absl::StatusOr<TurnRecord> record =
        Read(stream.get(), job->request.has_messages());
    if (record.ok()) return record;
    const auto delay = DelayAfter(record.status());
    if (!delay.has_value() || absl::Now() + *delay > give_up) return record;
    if (!Wait(*delay)) return InterruptedError();
  }
}

absl::StatusOr<TurnRecord> ParallelTurns::Read(client::TurnStream* stream,
                                               bool is_chat) {
  TurnRecord record;
  record.is_chat = is_chat;
  while (true) {
    TANDEM_ASSIGN_OR_RETURN(const std::optional<client::Event> event,
                            stream->Next());
    if (!event.has_value()) {
      return absl::InternalError("the turn ended without its last event");
    }
    if (event->has_started()) record.started = event->started();
    if (event->has_tokens()) Append(event->tokens(), &record);
    if (!event->has_ended()) continue;
    End(event->ended(), &record);
    return record;
  }
}

bool ParallelTurns::Wait(absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithTimeout(absl::Condition(&is_cancelled_), delay);
}

}  // namespace tandem::cli
