#include "services/worker/compute_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

absl::Status Exhausted(absl::string_view what) {
  return MakeError(absl::StatusCode::kResourceExhausted,
                   {.reason = kReasonExhausted, .violations = {}},
                   absl::StrCat(what, "; try again later"));
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

absl::StatusOr<StreamId> ComputeLoop::Open(SequenceDecoderOptions options,
                                           ComputeClient* client) {
  StreamId id = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (streams_open_ >= options_.streams_max) {
      return Exhausted(
          absl::StrCat("the worker has ", streams_open_, " streams open"));
    }
    id = next_stream_++;
    ++streams_open_;
    ++requests_pending_;
    queue_.push_back(
        {.stream = id,
         .what = OpenCommand{.options = std::move(options), .client = client}});
  }
  NotifyLoadChanged();
  return id;
}

absl::Status ComputeLoop::Submit(StreamId stream, ComputeRequest request) {
  {
    absl::MutexLock lock(&mutex_);
    if (requests_pending_ >= options_.streams_max * kStreamRequestsMax) {
      return Exhausted(
          absl::StrCat("the worker has ", requests_pending_, " requests"));
    }
    ++requests_pending_;
    queue_.push_back({.stream = stream, .what = std::move(request)});
  }
  NotifyLoadChanged();
  return absl::OkStatus();
}

void ComputeLoop::Close(StreamId stream) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back({.stream = stream, .what = CloseCommand{}});
}

ComputeLoad ComputeLoop::load() const {
  ComputeLoad load;
  load.kv = engine_->kv_usage();
  absl::MutexLock lock(&mutex_);
  load.streams_open = streams_open_;
  load.requests_pending = requests_pending_;
  load.step_costs_us = costs_.averages();
  load.sequences_per_step = sequences_per_step_;
  return load;
}

bool ComputeLoop::IsStalled(absl::Duration limit) const {
  absl::MutexLock lock(&mutex_);
  if (round_began_ == absl::InfinitePast()) return false;
  const absl::Duration expected =
      costs_.averages().empty()
          ? kFirstStepLimit
          : absl::Microseconds(kStallFactor *
                               costs_.UpperEstimateUs(round_rows_));
  return absl::Now() - round_began_ > std::max(limit, expected);
}

void ComputeLoop::Run() {
  while (TakeCommands()) {
    RunCommands();
    BuildBatch();
    if (!batch_.empty()) RunBatch();
    NotifyLoadChanged();
  }
  RunCommands();
  while (!streams_.empty()) CloseStream(streams_.begin()->first);
}

bool ComputeLoop::TakeCommands() {
  bool has_work = false;
  for (const auto& [id, stream] : streams_) {
    has_work =
        has_work || (stream.decoder != nullptr && stream.decoder->has_work());
  }
  const auto awake = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || !queue_.empty();
  };
  absl::MutexLock lock(&mutex_);
  if (!has_work) {
    round_began_ = absl::InfinitePast();
    mutex_.Await(absl::Condition(&awake));
  }
  round_began_ = absl::Now();
  round_rows_ = 0;
  commands_.clear();
  commands_.swap(queue_);
  return !stop_;
}

void ComputeLoop::RunCommands() {
  // Closes first, but for streams whose open is in the same batch.
  for (Command& command : commands_) {
    if (std::holds_alternative<CloseCommand>(command.what)) {
      CloseStream(command.stream);
    }
  }
  for (Command& command : commands_) {
    if (auto* open = std::get_if<OpenCommand>(&command.what)) {
      OpenStream(command.stream, std::move(*open));
      continue;
    }
    const auto found = streams_.find(command.stream);
    auto* request = std::get_if<ComputeRequest>(&command.what);
    if (request == nullptr) {
      CloseStream(command.stream);
    } else if (found == streams_.end() || found->second.decoder == nullptr) {
      Settle(1);  // closed above, or dead: nobody waits for the answer
    } else {
      found->second.waiting.push_back(std::move(*request));
      ++found->second.pending;
      Advance(&found->second);
    }
  }
}

void ComputeLoop::OpenStream(StreamId id, OpenCommand command) {
  Stream& stream = streams_[id];
  stream.client = command.client;
  absl::StatusOr<std::unique_ptr<SequenceDecoder>> decoder =
      SequenceDecoder::Open(engine_.get(), std::move(command.options));
  Settle(1);
  if (!decoder.ok()) return stream.client->OnOpened(decoder.status());
  stream.decoder = std::move(decoder).value();
  stream.client->OnOpened(
      OpenedStream{.cached_tokens = stream.decoder->tokens_found()});
}

void ComputeLoop::CloseStream(StreamId id) {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  ComputeClient* const client = found->second.client;
  Settle(found->second.pending);
  streams_.erase(found);
  {
    absl::MutexLock lock(&mutex_);
    --streams_open_;
  }
  client->OnClosed();
}

void ComputeLoop::Advance(Stream* stream) {
  while (true) {
    if (std::optional<absl::StatusOr<DecodeResult>> result =
            stream->decoder->TakeResult()) {
      if (!result->ok()) return Fail(stream, result->status());
      --stream->pending;
      Settle(1);
      stream->client->OnResult(ComputeResult{
          .decoded = std::move(*result).value(),
          .compute_us = static_cast<int64_t>(stream->compute_us)});
    }
    if (stream->decoder->request_active() || stream->waiting.empty()) return;
    const ComputeRequest request = std::move(stream->waiting.front());
    stream->waiting.pop_front();
    stream->compute_us = 0;
    const absl::Status status =
        request.kind == ComputeRequest::Kind::kPropose
            ? stream->decoder->BeginPropose(request.position, request.tokens,
                                            request.draft_length)
            : stream->decoder->BeginVerify(request.position, request.tokens,
                                           request.draft);
    if (!status.ok()) return Fail(stream, status);
  }
}

void ComputeLoop::Settle(int requests) {
  absl::MutexLock lock(&mutex_);
  requests_pending_ -= requests;
}

void ComputeLoop::Fail(Stream* stream, const absl::Status& status) {
  stream->decoder.reset();
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
  int prefills_left = 0;
  for (const auto& [id, stream] : streams_) {
    if (stream.decoder == nullptr || !stream.decoder->has_work()) continue;
    const bool is_decode = stream.decoder->next_is_decode();
    working_.push_back({.id = id, .is_decode = is_decode});
    prefills_left += is_decode ? 0 : 1;
  }
  PlanOrder(working_, served_last_, &order_);

  const int rows_max = engine_->info().rows_max;
  const RowBudget budget =
      DivideRows(rows_max, static_cast<int>(working_.size()) - prefills_left,
                 prefills_left);
  int decode_rows_left = budget.decode;
  for (const size_t index : order_) {
    const WorkingStream& stream = working_[index];
    if (!stream.is_decode || decode_rows_left == 0) continue;
    decode_rows_left -= AddToBatch(stream.id, decode_rows_left);
    served_last_.decode = stream.id;
  }
  batch_decodes_ = static_cast<int>(batch_.size());
  batch_decode_rows_ = batch_rows_;
  int prefill_rows_left = std::min(budget.prefill, rows_max - batch_rows_);
  for (const size_t index : order_) {
    const WorkingStream& stream = working_[index];
    if (stream.is_decode || prefill_rows_left == 0) continue;
    prefill_rows_left -=
        AddToBatch(stream.id, PrefillShare(prefill_rows_left, prefills_left));
    --prefills_left;
    served_last_.prefill = stream.id;
  }
}

int ComputeLoop::AddToBatch(StreamId id, int rows_max) {
  Stream* stream = &streams_.find(id)->second;
  const StepItem item = stream->decoder->NextItem(rows_max);
  const int rows = static_cast<int>(item.tokens.size());
  TANDEM_CHECK(rows >= 1 && rows <= rows_max);
  batch_.push_back(item);
  batch_streams_.push_back(stream);
  batch_rows_ += rows;
  return rows;
}

void ComputeLoop::RunBatch() {
  {
    absl::MutexLock lock(&mutex_);
    round_rows_ = batch_rows_;
  }
  double step_us = 0;
  const absl::Status status = StepInTurn(&step_us);
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

absl::Status ComputeLoop::StepInTurn(double* step_us) {
  bool in_turn = false;
  if (options_.turn != nullptr && !turn_failed_) {
    const absl::Status status = options_.turn->Acquire();
    in_turn = status.ok();
    if (!in_turn) {
      // Turns are for speed only.
      turn_failed_ = true;
      spdlog::warn("computing without turns from now on: {}",
                   std::string(status.message()));
    }
  }
  Rows rows(&batch_streams_);
  const absl::Time began = absl::Now();
  const absl::Status status = engine_->Step(batch_, &rows);
  *step_us = absl::ToDoubleMicroseconds(absl::Now() - began);
  if (in_turn) options_.turn->Release();
  return status;
}

void ComputeLoop::NotifyLoadChanged() {
  if (options_.on_load_changed) options_.on_load_changed();
}

}  // namespace tandem
