#include "services/worker/worker_service.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "services/common/status_conversion.h"
#include "services/common/version.h"
#include "services/worker/decode_stream.h"
#include "services/worker/tokenizer_stream.h"

namespace tandem {
namespace {

// A stream that ends before it began.
template <typename Reactor>
class FailedStream final : public Reactor {
 public:
  explicit FailedStream(const absl::Status& status) {
    this->Finish(ToGrpcStatus(status));
  }
  void OnDone() override { delete this; }
};

absl::Status Loading() {
  return MakeError(absl::StatusCode::kUnavailable,
                   {.reason = kReasonNoWorker, .violations = {}},
                   "the worker's model is loading; try again later");
}

}  // namespace

WorkerService::WorkerService() : hub_([this] { return Report(); }) {}

WorkerService::~WorkerService() { WaitForStreams(absl::InfiniteDuration()); }

void WorkerService::SetModel(WorkerModelParts parts) {
  TANDEM_CHECK(serving_.load() == nullptr);
  ComputeLoopOptions options;
  options.streams_max = parts.streams_max;
  options.queue_max = parts.queue_max;
  options.turn = std::move(parts.turn);
  options.on_load_changed = [this] { hub_.MarkChanged(); };
  auto serving = std::make_unique<Serving>();
  serving->info = std::move(parts.info);
  serving->loop = std::make_unique<ComputeLoop>(std::move(parts.engine),
                                                std::move(options));
  owned_serving_ = std::move(serving);
  serving_.store(owned_serving_.get());
}

void WorkerService::StartDraining() {
  draining_.store(true);
  hub_.MarkChanged();
}

bool WorkerService::WaitForStreams(absl::Duration timeout) {
  const auto none_left = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return streams_ == 0;
  };
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&none_left), timeout);
}

bool WorkerService::IsStalled(absl::Duration limit) const {
  const Serving* serving = serving_.load();
  return serving != nullptr && serving->loop->IsStalled(limit);
}

grpc::ServerUnaryReactor* WorkerService::Describe(
    grpc::CallbackServerContext* context, const v1::DescribeRequest*,
    v1::DescribeResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const Serving* serving = serving_.load();
  if (serving == nullptr) {
    reactor->Finish(ToGrpcStatus(absl::FailedPreconditionError(
        "the worker's model is loading; try again later")));
    return reactor;
  }
  const WorkerModelInfo& info = serving->info;
  response->set_version(kTandemVersion);
  response->set_role(info.role);
  v1::WorkerModel* model = response->add_models();
  model->set_model_id(info.model_id);
  model->set_fingerprint(info.fingerprint);
  model->set_vocabulary_fingerprint(info.vocabulary_fingerprint);
  model->set_numerics(info.numerics);
  model->set_context_max(info.context_max);
  model->set_vocab_size(info.vocab_size);
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<v1::GetTokenizerResponse>* WorkerService::GetTokenizer(
    grpc::CallbackServerContext*, const v1::GetTokenizerRequest* request) {
  using Failed =
      FailedStream<grpc::ServerWriteReactor<v1::GetTokenizerResponse>>;
  const Serving* serving = serving_.load();
  if (serving == nullptr) return new Failed(Loading());
  if (!request->model_id().empty() &&
      request->model_id() != serving->info.model_id) {
    return new Failed(
        MakeError(absl::StatusCode::kNotFound,
                  {.reason = kReasonUnknownModel, .violations = {}},
                  absl::StrCat("this worker has the model ",
                               serving->info.model_id, " only")));
  }
  return new TokenizerStream(serving->info.tokenizer_image);
}

grpc::ServerWriteReactor<v1::WatchResponse>* WorkerService::Watch(
    grpc::CallbackServerContext*, const v1::WatchRequest*) {
  if (serving_.load() == nullptr) {
    return new FailedStream<grpc::ServerWriteReactor<v1::WatchResponse>>(
        Loading());
  }
  return hub_.NewWatcher();
}

grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>*
WorkerService::Decode(grpc::CallbackServerContext*) {
  const Serving* serving = serving_.load();
  if (serving == nullptr) {
    return new FailedStream<
        grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>>(
        Loading());
  }
  {
    absl::MutexLock lock(&mutex_);
    ++streams_;
  }
  return new DecodeStream({.model = &serving->info,
                           .loop = serving->loop.get(),
                           .is_draining = [this] { return draining_.load(); },
                           .on_gone = [this] { OnStreamGone(); }});
}

v1::WatchResponse WorkerService::Report() const {
  v1::WatchResponse report;
  report.set_draining(draining_.load());
  const Serving* serving = serving_.load();
  if (serving == nullptr) return report;
  const ComputeLoad load = serving->loop->load();
  report.set_streams_open(load.streams_open);
  report.set_streams_queued(load.streams_queued);
  report.set_requests_pending(load.requests_pending);
  report.set_kv_pages_free(load.kv.pages_total - load.kv.pages_reserved);
  report.set_kv_pages_total(load.kv.pages_total);
  report.set_kv_page_tokens(load.kv.page_tokens);
  report.set_sequences_per_step(load.sequences_per_step);
  for (const auto& [rows, step_us] : load.step_costs_us) {
    v1::StepCost* cost = report.add_step_costs();
    cost->set_rows(rows);
    cost->set_step_us(std::llround(step_us));
  }
  return report;
}

void WorkerService::OnStreamGone() {
  absl::MutexLock lock(&mutex_);
  --streams_;
}

}  // namespace tandem
