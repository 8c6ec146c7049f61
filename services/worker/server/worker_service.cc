#include "services/worker/server/worker_service.h"

#include <cmath>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "services/common/status_conversion.h"
#include "services/common/trace_context.h"
#include "services/common/version.h"
#include "services/worker/server/decode_stream.h"

namespace tandem {
namespace {

// A stream that ends before it began.
class FailedStream final
    : public grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse> {
 public:
  explicit FailedStream(const absl::Status& status) {
    Finish(ToGrpcStatus(status));
  }
  void OnDone() override { delete this; }
};

void FillProto(const ServedModelState& state, v1::ModelLoad* model) {
  const ComputeLoad& load = state.load;
  model->set_model_id(state.info.model_id);
  model->set_streams_open(load.streams_open);
  model->set_requests_pending(load.requests_pending);
  model->set_kv_pages_free(load.kv.pages_total - load.kv.pages_reserved);
  model->set_kv_pages_total(load.kv.pages_total);
  model->set_kv_pages_cached(load.kv.pages_cached);
  model->set_kv_page_tokens(load.kv.page_tokens);
  model->set_sequences_per_step(load.sequences_per_step);
  model->set_streams_queued(load.streams_queued);
  for (const StepCost& seen : load.step_costs.costs()) {
    v1::StepCost* cost = model->add_step_costs();
    cost->set_rows(seen.rows);
    cost->set_step_us(std::llround(seen.us));
  }
}

absl::Status Loading() {
  return NoWorker("the worker's model is loading; try again later");
}

}  // namespace

WorkerService::WorkerService(std::function<void(const StepReport&)> on_step,
                             const ModelBounds& bounds)
    : hub_([this] { return Report(); }),
      models_([this] { hub_.MarkChanged(); }, std::move(on_step), bounds) {}

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
  return stream_gone_.Await(&mutex_, MonotonicNow() + timeout, none_left);
}

void WorkerService::AddTo(grpc::ServerBuilder* builder) {
  builder->RegisterService(this);
  builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
}

grpc::Status WorkerService::Describe(grpc::ServerContext* context,
                                     const v1::DescribeRequest*,
                                     v1::DescribeResponse* response) {
  const absl::Status allowed = callers_.Check(*context);
  if (!allowed.ok()) return ToGrpcStatus(allowed);
  if (!loaded_.load()) {
    return ToGrpcStatus(absl::FailedPreconditionError(
        "the worker's model is loading; try again later"));
  }
  response->set_version(kTandemVersion);
  response->set_role(role_.load());
  for (const ServedModelState& state : models_.States()) {
    if (!state.leaving) FillProto(state.info, response->add_models());
  }
  return grpc::Status::OK;
}

grpc::Status WorkerService::GetTokenizer(
    grpc::ServerContext* context, const v1::GetTokenizerRequest* request,
    grpc::ServerWriter<v1::GetTokenizerResponse>* writer) {
  const absl::Status allowed = callers_.Check(*context);
  if (!allowed.ok()) return ToGrpcStatus(allowed);
  if (!loaded_.load()) return ToGrpcStatus(Loading());
  const absl::Cleanup leave = [this] { --tokenizer_calls_; };
  if (++tokenizer_calls_ > kTokenizerCallsMax) {
    return ToGrpcStatus(
        Exhausted("the worker sends too many vocabularies; try again later"));
  }
  const absl::StatusOr<const ServedModel*> model =
      models_.Use(request->model_id());
  if (!model.ok()) return ToGrpcStatus(model.status());
  AddStream();
  absl::string_view rest = (*model)->tokenizer_image;
  v1::GetTokenizerResponse response;
  while (!rest.empty()) {
    const absl::string_view chunk = rest.substr(0, kTokenizerChunkBytes);
    rest.remove_prefix(chunk.size());
    response.set_chunk(chunk.data(), chunk.size());
    if (!writer->Write(response)) break;  // the peer is gone
  }
  models_.Release(*model);
  OnStreamGone();
  return grpc::Status::OK;
}

grpc::Status WorkerService::Watch(
    grpc::ServerContext* context, const v1::WatchRequest*,
    grpc::ServerWriter<v1::WatchResponse>* writer) {
  const absl::Status allowed = callers_.Check(*context);
  if (!allowed.ok()) return ToGrpcStatus(allowed);
  if (!loaded_.load()) return ToGrpcStatus(Loading());
  return ToGrpcStatus(
      hub_.Serve(writer, [context] { return context->IsCancelled(); }));
}

grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>*
WorkerService::Decode(grpc::CallbackServerContext* context) {
  const absl::Status allowed = callers_.Check(*context);
  if (!allowed.ok()) return new FailedStream(allowed);
  if (!loaded_.load()) return new FailedStream(Loading());
  AddStream();
  return new DecodeStream({.models = &models_,
                           .grammars = &grammars_,
                           .is_draining = [this] { return draining_.load(); },
                           .trace = TraceContextOf(context->client_metadata()),
                           .on_gone = [this] { OnStreamGone(); }});
}

v1::WatchResponse WorkerService::Report() const {
  v1::WatchResponse report;
  report.set_draining(draining_.load());
  report.set_models_generation(models_.generation());
  for (const ServedModelState& state : models_.States()) {
    FillProto(state, report.add_models());
    if (state.info.takes_turns) report.set_takes_turns(true);
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
  // With the lock held: without streams the service may be destroyed.
  stream_gone_.Notify();
}

}  // namespace tandem
