#include "services/worker/schedule/compute_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

// How often a gate that is held for drafts looks whether they are done: short
// beside a pass, and a look takes 1 us.
constexpr absl::Duration kLookEvery = absl::Microseconds(50);

absl::Status TryLater(absl::string_view what, absl::Duration retry_delay) {
  return Exhausted(absl::StrCat(what, "; try again later"),
                   absl::ToInt64Milliseconds(retry_delay));
}

// True where the request verifies a draft or makes one.
bool UsesDraft(const ComputeRequest& request) {
  const auto* verify = std::get_if<VerifyAction>(&request);
  return verify == nullptr || !verify->draft.empty();
}

int64_t PagesOf(const Engine& engine, Position tokens_max) {
  const int page_tokens = std::max(1, engine.kv_usage().page_tokens);
  return (int64_t{tokens_max} + page_tokens - 1) / page_tokens;
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
    : engine_(std::move(engine)),
      options_(std::move(options)),
      gate_(options_.gate) {
  thread_ = std::thread([this] { Run(); });
}

ComputeLoop::~ComputeLoop() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  changed_.Notify();
  thread_.join();
}

absl::StatusOr<StreamId> ComputeLoop::Open(StreamOpen open,
                                           ComputeClient* client) {
  StreamId id = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (load_.streams_open >= options_.streams_max + options_.queue_max) {
      return TryLater(
          absl::StrCat("the worker has ", load_.streams_open, " streams open"),
          kRetryAfterUnknown);
    }
    id = next_stream_++;
    ++load_.streams_open;
    ++load_.requests_pending;
    queue_.push_back(
        {.stream = id,
         .what = OpenCommand{.open = std::move(open), .client = client}});
  }
  changed_.Notify();
  options_.on_load_changed();
  return id;
}

absl::Status ComputeLoop::Submit(StreamId stream, ComputeRequest request) {
  {
    absl::MutexLock lock(&mutex_);
    if (load_.requests_pending >=
        (options_.streams_max + options_.queue_max) * kStreamRequestsMax) {
      return TryLater(
          absl::StrCat("the worker has ", load_.requests_pending, " requests"),
          kRetryAfterUnknown);
    }
    ++load_.requests_pending;
    gate_.OnRequest(stream, UsesDraft(request), MonotonicNow());
    queue_.push_back({.stream = stream, .what = std::move(request)});
  }
  changed_.Notify();
  options_.on_load_changed();
  return absl::OkStatus();
}

void ComputeLoop::Close(StreamId stream) {
  absl::MutexLock lock(&mutex_);
  gate_.OnClosed(stream);
  queue_.push_back({.stream = stream, .what = CloseCommand{}});
  // With the lock held: once the stream is closed the loop may be destroyed.
  changed_.Notify();
}

ComputeLoad ComputeLoop::load() const {
  const KvUsage kv = engine_->kv_usage();
  absl::MutexLock lock(&mutex_);
  ComputeLoad load = load_;
  load.kv = kv;
  return load;
}

bool ComputeLoop::IsStalled(absl::Duration limit) const {
  absl::MutexLock lock(&mutex_);
  if (round_.began == absl::InfinitePast()) return false;
  const absl::Duration expected =
      load_.step_costs.empty()
          ? kFirstStepLimit
          : absl::Microseconds(kStallFactor *
                               load_.step_costs.UpperEstimateUs(round_.rows));
  return MonotonicNow() - round_.began > std::max(limit, expected);
}

void ComputeLoop::Run() {
  while (AwaitCommands()) {
    RunCommands();
    if (FindWork() != Work::kNone) RunPass();
    options_.on_load_changed();
  }
  RunCommands();
  while (!streams_.empty()) CloseStream(streams_.begin()->first);
}

bool ComputeLoop::AwaitCommands() {
  const bool has_work =
      (has_freed_ && !admissions_.empty()) || FindWork() != Work::kNone;
  if (!has_work && options_.processor != nullptr) {
    options_.processor->SetDrafting(false);
  }
  const auto is_awake = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || !queue_.empty();
  };
  absl::MutexLock lock(&mutex_);
  if (!has_work) {
    round_.began = absl::InfinitePast();
    changed_.Await(&mutex_, admissions_.NextExpiry(), is_awake);
  }
  round_ = {.began = MonotonicNow()};
  return !stop_;
}

void ComputeLoop::RunCommands() {
  std::vector<Command> commands;
  {
    absl::MutexLock lock(&mutex_);
    commands.swap(queue_);
  }
  // Closes first, but for streams whose open is in the same batch; then the
  // opens that wait already.
  for (Command& command : commands) {
    if (std::holds_alternative<CloseCommand>(command.what)) {
      CloseStream(command.stream);
    }
  }
  ServeAdmissions();
  for (Command& command : commands) {
    if (auto* open = std::get_if<OpenCommand>(&command.what)) {
      OpenStream(command.stream, std::move(*open));
    } else if (auto* request = std::get_if<ComputeRequest>(&command.what)) {
      RunRequest(command.stream, std::move(*request));
    } else {
      CloseStream(command.stream);
    }
  }
  ServeAdmissions();
}

void ComputeLoop::RunRequest(StreamId id, ComputeRequest request) {
  const auto found = streams_.find(id);
  if (found == streams_.end() ||
      (found->second.decoder == nullptr && !found->second.queued.has_value())) {
    return Drop(id, 1);  // closed above, or dead: nobody waits for the answer
  }
  Stream* stream = &found->second;
  stream->waiting.push_back(std::move(request));
  ++stream->pending;
  if (stream->decoder != nullptr) Advance(stream);
}

void ComputeLoop::OpenStream(StreamId id, OpenCommand command) {
  Stream* stream = &streams_[id];
  stream->id = id;
  stream->client = command.client;
  stream->tenant = std::move(command.open.tenant);
  stream->kv_share = command.open.tenant_kv_share > 0
                         ? command.open.tenant_kv_share
                         : options_.tenant_kv_share;
  stream->pages = PagesOf(*engine_, command.open.decoder.tokens_max);
  // An open that waits goes first, also where this one would fit now.
  if (admissions_.empty() && TryOpen(stream, command.open.decoder).ok()) return;
  if (command.open.queue_timeout <= absl::ZeroDuration() ||
      admissions_.size() >= static_cast<size_t>(options_.queue_max)) {
    return Refuse(stream);
  }
  const absl::Time now = MonotonicNow();
  stream->queued = {.decoder = std::move(command.open.decoder), .since = now};
  admissions_.Push({.id = id,
                    .tenant = stream->tenant,
                    .until = now + command.open.queue_timeout,
                    .pages = stream->pages});
  // It may go before tenants that are over their share.
  has_freed_ = has_freed_ || admissions_.tenants() > 1;
  Settle(0);
}

absl::Status ComputeLoop::TryOpen(Stream* stream,
                                  SequenceDecoderOptions options) {
  absl::StatusOr<std::unique_ptr<SequenceDecoder>> decoder =
      SequenceDecoder::Open(engine_.get(), std::move(options));
  if (absl::IsResourceExhausted(decoder.status())) return decoder.status();
  OpenedStream opened;
  const absl::Time now = MonotonicNow();
  if (stream->queued.has_value()) {
    opened.queued_us = absl::ToInt64Microseconds(now - stream->queued->since);
    stream->queued.reset();
    admissions_.PopHead();
  }
  Settle(1);
  if (!decoder.ok()) {
    Drop(stream->id, std::exchange(stream->pending, 0));
    stream->waiting.clear();
    stream->client->OnOpened(decoder.status());
    return absl::OkStatus();
  }
  stream->decoder = std::move(decoder).value();
  opened.cached_tokens = stream->decoder->tokens_found();
  if (sequences_open_++ == 0) admissions_.BeginRates(now);
  stream->client->OnOpened(opened);
  Advance(stream);
  return absl::OkStatus();
}

void ComputeLoop::ServeAdmissions() {
  for (const StreamId id : admissions_.TakeExpired(MonotonicNow())) {
    has_freed_ = true;  // another head may fit
    Stream* stream = &streams_.find(id)->second;
    stream->queued.reset();
    Refuse(stream);
  }
  if (!std::exchange(has_freed_, false)) return;
  while (!admissions_.empty()) {
    PassToShares();
    const std::optional<StreamId> head = admissions_.Head();
    Stream* stream = &streams_.find(*head)->second;
    if (!TryOpen(stream, stream->queued->decoder).ok()) return;
  }
}

// Where all that wait are over their share the order stays as it is: the pages
// are not left unused.
void ComputeLoop::PassToShares() {
  if (admissions_.tenants() < 2) return;
  for (size_t passed = 0; passed < admissions_.tenants(); ++passed) {
    if (!IsOverShare(streams_.find(*admissions_.Head())->second)) return;
    admissions_.PassTurn();
  }
}

bool ComputeLoop::IsOverShare(const Stream& stream) const {
  if (stream.kv_share >= 1) return false;
  int64_t held = 0;
  for (const auto& [id, other] : streams_) {
    if (other.decoder != nullptr && other.tenant == stream.tenant) {
      held += other.pages;
    }
  }
  const double allowed =
      stream.kv_share * static_cast<double>(engine_->kv_usage().pages_total);
  return held > 0 && static_cast<double>(held + stream.pages) > allowed;
}

void ComputeLoop::Refuse(Stream* stream) {
  Drop(stream->id, 1 + std::exchange(stream->pending, 0));
  stream->waiting.clear();
  const KvUsage kv = engine_->kv_usage();
  stream->client->OnOpened(
      TryLater("the worker has no KV or no place for the sequence",
               admissions_.RetryAfter(
                   stream->pages,
                   {.pages = kv.pages_total - kv.pages_reserved,
                    .sequences = options_.streams_max - sequences_open_},
                   MonotonicNow())));
}

void ComputeLoop::CloseStream(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream* stream = &found->second;
  ComputeClient* const client = stream->client;
  const bool was_queued = stream->queued.has_value();
  if (was_queued) {
    admissions_.Remove(id);
    has_freed_ = true;  // another head may fit
  }
  Drop(id, stream->pending + (was_queued ? 1 : 0));
  DropDecoder(stream);
  streams_.erase(found);
  {
    absl::MutexLock lock(&mutex_);
    --load_.streams_open;
  }
  client->OnClosed();
}

void ComputeLoop::DropDecoder(Stream* stream) {
  if (stream->decoder == nullptr) return;
  stream->decoder.reset();
  has_freed_ = true;
  --sequences_open_;
  admissions_.OnFreed({.pages = stream->pages, .sequences = 1}, MonotonicNow());
}

void ComputeLoop::Advance(Stream* stream) {
  const absl::StatusOr<std::vector<ScoredToken>> scores =
      stream->decoder->TakeScores();
  if (!scores.ok()) return Fail(stream, scores.status());
  if (!scores->empty()) stream->client->OnScored(*scores);
  if (stream->decoder->is_scoring()) return;
  while (true) {
    if (std::optional<absl::StatusOr<DecodedTokens>> result =
            stream->decoder->TakeResult()) {
      if (!result->ok()) return Fail(stream, result->status());
      --stream->pending;
      {
        absl::MutexLock lock(&mutex_);
        --load_.requests_pending;
        // Before the answer, which its next request may overtake.
        gate_.OnAnswer(stream->id, MonotonicNow());
      }
      stream->client->OnResult(ComputeResult{
          .tokens = *std::move(*result),
          .compute_us = static_cast<int64_t>(stream->compute_us)});
    }
    if (stream->decoder->request_active() || stream->waiting.empty()) return;
    const ComputeRequest request = std::move(stream->waiting.front());
    stream->waiting.pop_front();
    stream->compute_us = 0;
    const absl::Status status = std::visit(
        [stream](const auto& action) { return stream->decoder->Begin(action); },
        request);
    if (!status.ok()) return Fail(stream, status);
  }
}

void ComputeLoop::Settle(int requests) {
  absl::MutexLock lock(&mutex_);
  load_.requests_pending -= requests;
  load_.streams_queued = static_cast<int>(admissions_.size());
}

void ComputeLoop::Drop(StreamId id, int requests) {
  Settle(requests);
  absl::MutexLock lock(&mutex_);
  gate_.OnClosed(id);
}

void ComputeLoop::Fail(Stream* stream, const absl::Status& status) {
  DropDecoder(stream);
  stream->waiting.clear();
  Drop(stream->id, std::exchange(stream->pending, 0));
  stream->client->OnResult(status);
}

ComputeLoop::Work ComputeLoop::FindWork() const {
  Work work = Work::kNone;
  for (const auto& [id, stream] : streams_) {
    if (stream.decoder == nullptr || !stream.decoder->has_work()) continue;
    if (stream.decoder->next_is_decode()) return Work::kDecodes;
    work = Work::kPrompts;
  }
  return work;
}

void ComputeLoop::RunPass() {
  if (options_.processor != nullptr) {
    options_.processor->SetDrafting(FindWork() == Work::kDecodes);
  }
  AwaitGate();
  // While another loop of the process computes, that one reports a stall.
  SetRoundBegan(absl::InfinitePast());
  if (options_.loop_order != nullptr) options_.loop_order->Acquire();
  SetRoundBegan(MonotonicNow());
  if (options_.processor != nullptr) options_.processor->Acquire();
  // Streams that came meanwhile have a part in this pass.
  {
    absl::MutexLock lock(&mutex_);
    round_.began = MonotonicNow();
    gate_.OnPassBegin();
  }
  RunCommands();
  BuildPass();
  absl::Status status;
  if (!pass_.items.empty()) {
    Rows rows(&pass_.streams);
    const absl::Time began = MonotonicNow();
    status = engine_->Step(pass_.items, &rows);
    pass_.report.step_us = absl::ToDoubleMicroseconds(MonotonicNow() - began);
  }
  if (options_.processor != nullptr) options_.processor->Release();
  if (options_.loop_order != nullptr) options_.loop_order->Release();
  if (!pass_.items.empty()) Deliver(status);
}

void ComputeLoop::AwaitGate() {
  const auto all_came = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || !gate_.is_waiting();
  };
  absl::MutexLock lock(&mutex_);
  while (!stop_) {
    const bool drafts_under_way = options_.processor != nullptr &&
                                  options_.processor->AreDraftsUnderWay();
    const absl::Time now = MonotonicNow();
    const absl::Time until = gate_.HoldUntil(now, drafts_under_way);
    if (until <= now) return;
    changed_.Await(&mutex_,
                   drafts_under_way ? std::min(until, now + kLookEvery) : until,
                   all_came);
  }
}

void ComputeLoop::SetRoundBegan(absl::Time time) {
  absl::MutexLock lock(&mutex_);
  round_.began = time;
}

void ComputeLoop::BuildPass() {
  pass_ = {};
  const int rows_max = engine_->info().rows_max;
  for (const auto& [id, stream] : streams_) {
    if (stream.decoder == nullptr || !stream.decoder->has_work()) continue;
    (stream.decoder->next_is_decode() ? pass_.decodes : pass_.prompts)
        .push_back(
            {.id = id,
             .tenant = stream.tenant,
             .rows = std::min(stream.decoder->rows_waiting(), rows_max)});
  }
  CostCurve costs;
  {
    absl::MutexLock lock(&mutex_);
    costs = load_.step_costs;
  }
  planner_.Plan(absl::MakeSpan(pass_.decodes), absl::MakeSpan(pass_.prompts),
                {.rows_max = rows_max, .costs = &costs});
  const auto add = [this](const RowClaim& claim) {
    if (claim.granted == 0) return 0;
    Stream* stream = &streams_.find(claim.id)->second;
    pass_.items.push_back(stream->decoder->NextItem(claim.granted));
    pass_.streams.push_back(stream);
    return claim.granted;
  };
  for (const RowClaim& claim : pass_.decodes) {
    pass_.report.decode_rows += add(claim);
  }
  pass_.report.decodes = static_cast<int>(pass_.items.size());
  for (const RowClaim& claim : pass_.prompts) {
    pass_.report.prompt_rows += add(claim);
  }
  absl::MutexLock lock(&mutex_);
  round_.rows = pass_.report.rows();
}

void ComputeLoop::Deliver(const absl::Status& status) {
  StepReport& report = pass_.report;
  report.ok = status.ok();
  {
    absl::MutexLock lock(&mutex_);
    gate_.OnPassEnd(report.step_us);
    if (report.ok) load_.step_costs.Add(report.rows(), report.step_us);
    if (report.ok && report.decodes > 0) {
      double& average = load_.sequences_per_step;
      average += (average == 0 ? 1 : CostCurve::kNewestWeight) *
                 (report.decodes - average);
    }
  }
  if (!report.ok) {
    spdlog::error("a pass of {} rows failed: {}", report.rows(),
                  absl::StatusCodeToString(status.code()));
  }
  options_.on_step(report);
  for (size_t i = 0; i < pass_.items.size(); ++i) {
    Stream* stream = pass_.streams[i];
    stream->compute_us += report.step_us *
                          static_cast<double>(pass_.items[i].tokens.size()) /
                          report.rows();
    stream->decoder->OnStepDone(status);
    if (report.ok) {
      Advance(stream);
    } else {
      // Whatever the engine blames, the client's request was checked before.
      Fail(stream, absl::InternalError("a pass of the engine failed"));
    }
  }
}

}  // namespace tandem
