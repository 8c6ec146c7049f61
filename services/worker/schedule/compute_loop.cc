#include "services/worker/schedule/compute_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

absl::Status TryLater(absl::string_view what, absl::Duration retry_delay) {
  return Exhausted(absl::StrCat(what, "; try again later"),
                   absl::ToInt64Milliseconds(retry_delay));
}

// Verifies nothing: its stream did not draft.
bool IsPlain(const ComputeRequest& request) {
  const auto* verify = std::get_if<VerifyAction>(&request);
  return verify != nullptr && verify->draft.empty();
}

}  // namespace

// Hands each row of a Step to the decoder that asked for it.
class ComputeLoop::Rows : public RowConsumer {
 public:
  explicit Rows(const std::vector<Stream*>* streams) : streams_(streams) {}
  void OnRow(size_t item, size_t row, absl::Span<float> logits) override {
    (*streams_)[item]->decoder->OnRow(row, logits);
  }

 private:
  const std::vector<Stream*>* const streams_;
};

ComputeLoop::ComputeLoop(std::unique_ptr<Engine> engine,
                         ComputeLoopOptions options)
    : engine_(std::move(engine)), options_(std::move(options)) {
  thread_ = std::thread([this] { Run(); });
}

ComputeLoop::~ComputeLoop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

absl::StatusOr<StreamId> ComputeLoop::Open(StreamOpen open,
                                           ComputeClient* client) {
  StreamId id = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (streams_open_ >= options_.streams_max + options_.queue_max) {
      return TryLater(
          absl::StrCat("the worker has ", streams_open_, " streams open"),
          kForecastUnknown);
    }
    id = next_stream_++;
    ++streams_open_;
    ++requests_pending_;
    queue_.push_back(
        {.stream = id,
         .what = OpenCommand{.open = std::move(open), .client = client}});
  }
  NotifyLoadChanged();
  return id;
}

absl::Status ComputeLoop::Submit(StreamId stream, ComputeRequest request) {
  {
    absl::MutexLock lock(&mutex_);
    if (requests_pending_ >=
        (options_.streams_max + options_.queue_max) * kStreamRequestsMax) {
      return TryLater(
          absl::StrCat("the worker has ", requests_pending_, " requests"),
          kForecastUnknown);
    }
    ++requests_pending_;
    cohort_.erase(stream);
    queue_.push_back({.stream = stream,
                      .what = RequestCommand{.request = std::move(request),
                                             .arrived = absl::Now()}});
  }
  NotifyLoadChanged();
  return absl::OkStatus();
}

void ComputeLoop::Close(StreamId stream) {
  absl::MutexLock lock(&mutex_);
  cohort_.erase(stream);
  queue_.push_back({.stream = stream, .what = CloseCommand{}});
}

ComputeLoad ComputeLoop::load() const {
  ComputeLoad load;
  load.kv = engine_->kv_usage();
  absl::MutexLock lock(&mutex_);
  load.streams_open = streams_open_;
  load.streams_queued = streams_queued_;
  load.requests_pending = requests_pending_;
  load.step_costs_us = costs_.averages();
  load.sequences_per_step = sequences_per_step_;
  return load;
}

bool ComputeLoop::IsStalled(absl::Duration limit) const {
  absl::MutexLock lock(&mutex_);
  if (round_began_ == absl::InfinitePast()) return false;
  const absl::Duration expected =
      costs_.Curve().empty()
          ? kFirstStepLimit
          : absl::Microseconds(kStallFactor *
                               costs_.UpperEstimateUs(round_rows_));
  return absl::Now() - round_began_ > std::max(limit, expected);
}

void ComputeLoop::Run() {
  while (TakeCommands()) {
    RunCommands();
    ServeOpenQueue();
    if (HasRows()) RunInTurn();
    NotifyLoadChanged();
  }
  RunCommands();
  while (!streams_.empty()) CloseStream(streams_.begin()->first);
}

bool ComputeLoop::HasRows() const {
  for (const auto& [id, stream] : streams_) {
    if (stream.decoder != nullptr && stream.decoder->has_work()) return true;
  }
  return false;
}

bool ComputeLoop::WaitsForDrafts() const {
  int ready = 0;
  int plain = 0;
  for (const auto& [id, stream] : streams_) {
    if (stream.decoder == nullptr || !stream.decoder->has_work()) continue;
    ++ready;
    plain += stream.is_plain ? 1 : 0;
  }
  absl::MutexLock lock(&mutex_);
  for (const Command& command : queue_) {
    const auto* request = std::get_if<RequestCommand>(&command.what);
    if (request == nullptr) continue;
    ++ready;
    plain += IsPlain(request->request) ? 1 : 0;
  }
  return ready < sequences_open_ &&
         plain < options_.plain_share * sequences_open_;
}

bool ComputeLoop::HasDecodes() const {
  for (const auto& [id, stream] : streams_) {
    if (stream.decoder != nullptr && stream.decoder->has_work() &&
        stream.decoder->next_is_decode()) {
      return true;
    }
  }
  return false;
}

bool ComputeLoop::TakeCommands() {
  const bool has_work = (room_changed_ && !opens_.empty()) || HasRows();
  const auto awake = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || !queue_.empty();
  };
  absl::MutexLock lock(&mutex_);
  // What came while the Step ran.
  for (const Command& command : queue_) cohort_.erase(command.stream);
  AwaitCohort(std::exchange(cohort_wait_, absl::ZeroDuration()));
  if (!has_work) {
    round_began_ = absl::InfinitePast();
    if (options_.turn != nullptr && options_.turn->drafting() &&
        !mutex_.AwaitWithTimeout(absl::Condition(&awake),
                                 options_.draft_linger)) {
      options_.turn->SetDrafting(false);
    }
    mutex_.AwaitWithDeadline(absl::Condition(&awake), opens_.NextExpiry());
    AwaitWave();
  }
  round_began_ = absl::Now();
  round_rows_ = 0;
  commands_.clear();
  commands_.swap(queue_);
  return !stop_;
}

void ComputeLoop::AwaitCohort(absl::Duration wait) {
  const auto is_here = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || cohort_.empty();
  };
  mutex_.AwaitWithTimeout(absl::Condition(&is_here), wait);
  cohort_.clear();
}

void ComputeLoop::AwaitWave() {
  std::set<uint64_t> waves;
  for (const Command& command : queue_) {
    const auto found = streams_.find(command.stream);
    if (found != streams_.end() && found->second.wave != 0) {
      waves.insert(found->second.wave);
    }
  }
  ++wave_;
  wave_began_ = absl::Now();
  if (waves.empty()) return;
  for (const auto& [id, stream] : streams_) {
    // Who waits for KV has its request here.
    if (waves.contains(stream.wave) && stream.pending == 0) cohort_.insert(id);
  }
  for (const Command& command : queue_) cohort_.erase(command.stream);
  AwaitCohort(wave_wait_);
}

void ComputeLoop::RunInTurn() {
  const bool in_turn = AcquireTurn();
  // Whoever came meanwhile has a part in this pass.
  {
    absl::MutexLock lock(&mutex_);
    round_began_ = absl::Now();
    commands_.clear();
    commands_.swap(queue_);
  }
  RunCommands();
  ServeOpenQueue();
  BuildBatch();
  double step_us = 0;
  absl::Status status;
  if (!batch_.empty()) status = Step(&step_us);
  if (in_turn) options_.turn->Release();
  if (options_.step_turn != nullptr) options_.step_turn->Release();
  if (!batch_.empty()) Deliver(status, step_us);
}

void ComputeLoop::RunCommands() {
  // Closes first, but for streams whose open is in the same batch; then those
  // that wait already.
  for (Command& command : commands_) {
    if (std::holds_alternative<CloseCommand>(command.what)) {
      CloseStream(command.stream);
    }
  }
  ServeOpenQueue();
  for (Command& command : commands_) {
    if (auto* open = std::get_if<OpenCommand>(&command.what)) {
      OpenStream(command.stream, std::move(*open));
    } else if (auto* request = std::get_if<RequestCommand>(&command.what)) {
      RunRequest(command.stream, std::move(*request));
    } else {
      CloseStream(command.stream);
    }
  }
}

void ComputeLoop::RunRequest(StreamId id, RequestCommand command) {
  const auto found = streams_.find(id);
  if (found == streams_.end() ||
      (found->second.decoder == nullptr && !found->second.queued.has_value())) {
    return Settle(1);  // closed above, or dead: nobody waits for the answer
  }
  Stream* stream = &found->second;
  if (stream->answered_at.has_value()) {
    stream->return_time = command.arrived - *stream->answered_at;
    stream->answered_at.reset();
  }
  const bool is_of_wave = command.arrived <= wave_began_ + wave_wait_;
  stream->wave = is_of_wave ? wave_ : 0;
  stream->waiting.push_back(std::move(command.request));
  ++stream->pending;
  if (stream->decoder != nullptr) Advance(stream);
}

void ComputeLoop::OpenStream(StreamId id, OpenCommand command) {
  Stream* stream = &streams_[id];
  stream->id = id;
  stream->client = command.client;
  stream->tenant = std::move(command.open.tenant);
  const int64_t pages = PagesOf(command.open.decoder.tokens_max);
  Queued queued{.decoder = std::move(command.open.decoder),
                .since = absl::Now(),
                .pages = pages};
  // Whoever waits goes first, also where this one would fit now.
  if (opens_.empty() && TryOpen(stream, queued.decoder).ok()) return;
  if (command.open.queue_timeout <= absl::ZeroDuration() ||
      opens_.size() >= static_cast<size_t>(options_.queue_max)) {
    return RefuseOpen(stream, queued);
  }
  opens_.Push({.id = id,
               .tenant = stream->tenant,
               .until = queued.since + command.open.queue_timeout});
  pages_queued_ += queued.pages;
  stream->queued = std::move(queued);
  absl::MutexLock lock(&mutex_);
  ++streams_queued_;
}

absl::Status ComputeLoop::TryOpen(Stream* stream,
                                  SequenceDecoderOptions options) {
  const int64_t pages = PagesOf(options.tokens_max);
  absl::StatusOr<std::unique_ptr<SequenceDecoder>> decoder =
      SequenceDecoder::Open(engine_.get(), std::move(options));
  if (absl::IsResourceExhausted(decoder.status())) return decoder.status();
  Settle(1);
  OpenedStream opened;
  if (stream->queued.has_value()) {
    opened.queued_us =
        absl::ToInt64Microseconds(absl::Now() - stream->queued->since);
  }
  if (!decoder.ok()) {
    stream->client->OnOpened(decoder.status());
    return absl::OkStatus();
  }
  stream->decoder = std::move(decoder).value();
  stream->pages = pages;
  opened.cached_tokens = stream->decoder->tokens_found();
  if (sequences_open_++ == 0) {
    pages_forecast_ = RoomForecast(absl::Now());
    sequences_forecast_ = RoomForecast(absl::Now());
  }
  stream->client->OnOpened(opened);
  return absl::OkStatus();
}

void ComputeLoop::ServeOpenQueue() {
  const auto leave = [this](Stream* stream) {
    const Queued queued = *std::move(stream->queued);
    stream->queued.reset();
    pages_queued_ -= queued.pages;
    absl::MutexLock lock(&mutex_);
    --streams_queued_;
    return queued;
  };
  for (const StreamId id : opens_.TakeExpired(absl::Now())) {
    room_changed_ = true;  // another head may fit
    Stream* stream = &streams_.find(id)->second;
    RefuseOpen(stream, leave(stream));
  }
  if (!std::exchange(room_changed_, false)) return;
  while (const std::optional<StreamId> head = opens_.Head()) {
    Stream* stream = &streams_.find(*head)->second;
    if (!TryOpen(stream, stream->queued->decoder).ok()) return;
    opens_.PopHead();
    leave(stream);
    if (stream->decoder != nullptr) {
      Advance(stream);
    } else {
      Settle(std::exchange(stream->pending, 0));
      stream->waiting.clear();
    }
  }
}

void ComputeLoop::RefuseOpen(Stream* stream, const Queued& queued) {
  Settle(1 + std::exchange(stream->pending, 0));
  stream->waiting.clear();
  stream->client->OnOpened(
      TryLater("the worker has no KV or no place for the sequence",
               RetryDelay(queued.pages)));
}

absl::Duration ComputeLoop::RetryDelay(int64_t pages) const {
  const absl::Time now = absl::Now();
  const KvUsage kv = engine_->kv_usage();
  const int64_t pages_short =
      pages_queued_ + pages - (kv.pages_total - kv.pages_reserved);
  const int64_t places_short = static_cast<int64_t>(opens_.size()) + 1 -
                               (options_.streams_max - sequences_open_);
  return std::max(pages_forecast_.DelayFor(now, pages_short),
                  sequences_forecast_.DelayFor(now, places_short));
}

int64_t ComputeLoop::PagesOf(Position tokens_max) const {
  const int page_tokens = std::max(1, engine_->kv_usage().page_tokens);
  return (int64_t{tokens_max} + page_tokens - 1) / page_tokens;
}

void ComputeLoop::CloseStream(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream* stream = &found->second;
  ComputeClient* const client = stream->client;
  const bool was_queued = stream->queued.has_value();
  if (was_queued) {
    opens_.Remove(id);
    pages_queued_ -= stream->queued->pages;
    room_changed_ = true;  // another head may fit
  }
  Settle(stream->pending + (was_queued ? 1 : 0));
  DropDecoder(stream);
  streams_.erase(found);
  {
    absl::MutexLock lock(&mutex_);
    --streams_open_;
    streams_queued_ -= was_queued ? 1 : 0;
  }
  client->OnClosed();
}

void ComputeLoop::DropDecoder(Stream* stream) {
  if (stream->decoder == nullptr) return;
  stream->decoder.reset();
  room_changed_ = true;
  --sequences_open_;
  const absl::Time now = absl::Now();
  pages_forecast_.OnFreed(now, stream->pages);
  sequences_forecast_.OnFreed(now, 1);
}

void ComputeLoop::Advance(Stream* stream) {
  while (true) {
    if (std::optional<absl::StatusOr<DecodedTokens>> result =
            stream->decoder->TakeResult()) {
      if (!result->ok()) return Fail(stream, result->status());
      --stream->pending;
      Settle(1);
      // Before the answer, which its next request may overtake.
      if (stream->waiting.empty()) ExpectReturn(stream);
      stream->client->OnResult(ComputeResult{
          .tokens = *std::move(*result),
          .compute_us = static_cast<int64_t>(stream->compute_us)});
    }
    if (stream->decoder->request_active() || stream->waiting.empty()) return;
    const ComputeRequest request = std::move(stream->waiting.front());
    stream->waiting.pop_front();
    stream->compute_us = 0;
    stream->is_plain = IsPlain(request);
    const absl::Status status = std::visit(
        [stream](const auto& action) { return stream->decoder->Begin(action); },
        request);
    if (!status.ok()) return Fail(stream, status);
  }
}

void ComputeLoop::ExpectReturn(Stream* stream) {
  stream->answered_at = absl::Now();
  if (stream->return_time > cohort_wait_) return;
  absl::MutexLock lock(&mutex_);
  cohort_.insert(stream->id);
}

void ComputeLoop::Settle(int requests) {
  absl::MutexLock lock(&mutex_);
  requests_pending_ -= requests;
}

void ComputeLoop::Fail(Stream* stream, const absl::Status& status) {
  DropDecoder(stream);
  stream->waiting.clear();
  Settle(stream->pending);
  stream->pending = 0;
  stream->client->OnResult(status);
}

void ComputeLoop::BuildBatch() {
  working_.clear();
  batch_.clear();
  batch_streams_.clear();
  batch_rows_ = 0;
  batch_decodes_ = 0;
  batch_decode_rows_ = 0;
  const int rows_max = engine_->info().rows_max;
  for (const auto& [id, stream] : streams_) {
    if (stream.decoder == nullptr || !stream.decoder->has_work()) continue;
    working_.push_back(
        {.id = id,
         .tenant = stream.tenant,
         .is_decode = stream.decoder->next_is_decode(),
         .rows = std::min(stream.decoder->rows_waiting(), rows_max)});
  }
  if (working_.empty()) return;
  CostCurve costs;
  {
    absl::MutexLock lock(&mutex_);
    costs = costs_.Curve();
  }
  planner_.Plan(working_, {.rows_max = rows_max, .costs = &costs}, &rows_);
  for (size_t i = 0; i < working_.size(); ++i) {
    if (rows_[i] == 0) continue;
    Stream* stream = &streams_.find(working_[i].id)->second;
    batch_.push_back(stream->decoder->NextItem(rows_[i]));
    batch_streams_.push_back(stream);
    batch_rows_ += rows_[i];
    if (!working_[i].is_decode) continue;
    ++batch_decodes_;
    batch_decode_rows_ += rows_[i];
  }
}

absl::Status ComputeLoop::Step(double* step_us) {
  {
    absl::MutexLock lock(&mutex_);
    round_rows_ = batch_rows_;
  }
  Rows rows(&batch_streams_);
  const absl::Time began = absl::Now();
  const absl::Status status = engine_->Step(batch_, &rows);
  *step_us = absl::ToDoubleMicroseconds(absl::Now() - began);
  return status;
}

void ComputeLoop::Deliver(const absl::Status& status, double step_us) {
  cohort_wait_ = options_.cohort_wait.After(step_us);
  wave_wait_ = options_.wave_wait.After(step_us);
  draft_patience_ = absl::Microseconds(step_us * options_.draft_patience);
  if (status.ok()) {
    absl::MutexLock lock(&mutex_);
    costs_.Add(batch_rows_, step_us);
    if (batch_decodes_ > 0) {
      sequences_per_step_ =
          sequences_per_step_ == 0
              ? batch_decodes_
              : sequences_per_step_ +
                    StepCosts::kNewestWeight *
                        (batch_decodes_ - sequences_per_step_);
    }
  } else {
    spdlog::error("a pass of {} rows failed: {}", batch_rows_,
                  absl::StatusCodeToString(status.code()));
  }
  if (options_.on_step) {
    options_.on_step({.ok = status.ok(),
                      .decode_rows = batch_decode_rows_,
                      .prompt_rows = batch_rows_ - batch_decode_rows_,
                      .step_us = step_us});
  }
  for (size_t i = 0; i < batch_.size(); ++i) {
    Stream* stream = batch_streams_[i];
    stream->compute_us +=
        step_us * static_cast<double>(batch_[i].tokens.size()) / batch_rows_;
    stream->decoder->OnStepDone(status);
    if (status.ok()) {
      Advance(stream);
    } else {
      // Whatever the engine blames, the client's request was checked before.
      Fail(stream, absl::InternalError("a pass of the engine failed"));
    }
  }
}

bool ComputeLoop::AcquireTurn() {
  const auto set_round_began = [this](absl::Time time) {
    absl::MutexLock lock(&mutex_);
    round_began_ = time;
  };
  // While another loop of the process computes, that one tells whether it does.
  set_round_began(absl::InfinitePast());
  if (options_.step_turn != nullptr) options_.step_turn->Acquire();
  set_round_began(absl::Now());
  if (options_.turn == nullptr || turn_failed_) return false;
  options_.turn->SetDrafting(HasDecodes());
  const absl::Status status = options_.turn->Acquire(
      draft_patience_, [this] { return WaitsForDrafts(); });
  if (status.ok()) return true;
  // Turns are for speed only.
  turn_failed_ = true;
  spdlog::warn("computing without turns from now on: {}",
               std::string(status.message()));
  return false;
}

void ComputeLoop::NotifyLoadChanged() {
  if (options_.on_load_changed) options_.on_load_changed();
}

}  // namespace tandem
