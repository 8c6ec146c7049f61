#include "services/worker/server/worker_service.h"

#include <spdlog/spdlog.h>

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "services/common/status_conversion.h"
#include "services/common/trace_context.h"
#include "services/common/version.h"
#include "services/worker/server/decode_stream.h"
#include "services/worker/server/tokenizer_stream.h"

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

// Adds a model's load, and its counts to the worker's.
void AddModel(const ServedModelState& state, v1::WatchResponse* report) {
  const ComputeLoad& load = state.load;
  v1::ModelLoad* model = report->add_models();
  model->set_model_id(state.info.model_id);
  model->set_streams_open(load.streams_open);
  model->set_requests_pending(load.requests_pending);
  model->set_kv_pages_free(load.kv.pages_total - load.kv.pages_reserved);
  model->set_kv_pages_total(load.kv.pages_total);
  model->set_kv_pages_cached(load.kv.pages_cached);
  model->set_kv_page_tokens(load.kv.page_tokens);
  model->set_sequences_per_step(load.sequences_per_step);
  model->set_streams_queued(load.streams_queued);
  for (const auto& [rows, step_us] : load.step_costs_us) {
    v1::StepCost* cost = model->add_step_costs();
    cost->set_rows(rows);
    cost->set_step_us(std::llround(step_us));
  }
  report->set_streams_open(report->streams_open() + model->streams_open());
  report->set_requests_pending(report->requests_pending() +
                               model->requests_pending());
  report->set_kv_pages_free(report->kv_pages_free() + model->kv_pages_free());
  report->set_kv_pages_total(report->kv_pages_total() +
                             model->kv_pages_total());
  report->set_kv_pages_cached(report->kv_pages_cached() +
                              model->kv_pages_cached());
  if (state.info.takes_turns) report->set_takes_turns(true);
  report->set_streams_queued(report->streams_queued() +
                             model->streams_queued());
  if (report->models_size() > 1) return;
  report->set_kv_page_tokens(model->kv_page_tokens());
  report->set_sequences_per_step(model->sequences_per_step());
  *report->mutable_step_costs() = model->step_costs();
}

absl::Status Loading() {
  return NoWorker("the worker's model is loading; try again later");
}

}  // namespace

WorkerService::WorkerService(std::function<void(const StepReport&)> on_step)
    : hub_([this] { return Report(); }),
      models_([this] { hub_.MarkChanged(); }, std::move(on_step)) {}

WorkerService::~WorkerService() { WaitForStreams(absl::InfiniteDuration()); }

void WorkerService::SetLoaded(v1::WorkerRole role) {
  TANDEM_CHECK(!loaded_.load());
  role_.store(role);
  loaded_.store(true);
  hub_.MarkChanged();
}

void WorkerService::SetModel(WorkerModelParts parts) {
  const v1::WorkerRole role = parts.info.role;
  TANDEM_CHECK(models_.Add(std::move(parts)).ok());
  SetLoaded(role);
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

grpc::ServerUnaryReactor* WorkerService::Describe(
    grpc::CallbackServerContext* context, const v1::DescribeRequest*,
    v1::DescribeResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (!loaded_.load()) {
    reactor->Finish(ToGrpcStatus(absl::FailedPreconditionError(
        "the worker's model is loading; try again later")));
    return reactor;
  }
  response->set_version(kTandemVersion);
  response->set_role(role_.load());
  for (const ServedModelState& state : models_.States()) {
    if (!state.leaving) FillProto(state.info, response->add_models());
  }
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<v1::GetTokenizerResponse>* WorkerService::GetTokenizer(
    grpc::CallbackServerContext*, const v1::GetTokenizerRequest* request) {
  using Failed =
      FailedStream<grpc::ServerWriteReactor<v1::GetTokenizerResponse>>;
  if (!loaded_.load()) return new Failed(Loading());
  const absl::StatusOr<const ServedModel*> model =
      models_.Use(request->model_id());
  if (!model.ok()) return new Failed(model.status());
  AddStream();
  return new TokenizerStream((*model)->tokenizer_image, [this, used = *model] {
    models_.Release(used);
    OnStreamGone();
  });
}

grpc::ServerWriteReactor<v1::WatchResponse>* WorkerService::Watch(
    grpc::CallbackServerContext*, const v1::WatchRequest*) {
  if (!loaded_.load()) {
    return new FailedStream<grpc::ServerWriteReactor<v1::WatchResponse>>(
        Loading());
  }
  return hub_.NewWatcher();
}

grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>*
WorkerService::Decode(grpc::CallbackServerContext* context) {
  const std::optional<TraceContext> trace =
      TraceContextOf(context->client_metadata());
  if (trace.has_value() && trace->sampled()) {
    spdlog::info("a sequence for span {} of trace {}", trace->span_id,
                 trace->trace_id);
  }
  if (!loaded_.load()) {
    return new FailedStream<
        grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>>(
        Loading());
  }
  AddStream();
  return new DecodeStream({.models = &models_,
                           .is_draining = [this] { return draining_.load(); },
                           .on_gone = [this] { OnStreamGone(); }});
}

v1::WatchResponse WorkerService::Report() const {
  v1::WatchResponse report;
  report.set_draining(draining_.load());
  report.set_models_generation(models_.generation());
  for (const ServedModelState& state : models_.States()) {
    AddModel(state, &report);
  }
  return report;
}

void WorkerService::AddStream() {
  absl::MutexLock lock(&mutex_);
  ++streams_;
}

void WorkerService::OnStreamGone() {
  absl::MutexLock lock(&mutex_);
  --streams_;
}

}  // namespace tandem
