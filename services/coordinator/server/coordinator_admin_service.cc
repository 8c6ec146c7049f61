#include "services/coordinator/server/coordinator_admin_service.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

#include "engine/base/monotonic_clock.h"
#include "services/common/status_conversion.h"
#include "services/common/version.h"

namespace tandem {
namespace {

v1::PoolRole ToProto(WorkerRole role) {
  return role == WorkerRole::kTarget ? v1::POOL_ROLE_TARGET
                                     : v1::POOL_ROLE_DRAFT;
}

v1::WorkerState ToProto(WorkerState state) {
  switch (state) {
    case WorkerState::kConnecting:
      return v1::WORKER_STATE_CONNECTING;
    case WorkerState::kServing:
      return v1::WORKER_STATE_SERVING;
    case WorkerState::kDraining:
      return v1::WORKER_STATE_DRAINING;
    case WorkerState::kUnusable:
      return v1::WORKER_STATE_UNUSABLE;
  }
  return v1::WORKER_STATE_UNSPECIFIED;
}

void SetLoad(const WorkerLink& link, v1::WorkerStatus* status) {
  const WorkerLoad load = link.load();
  status->set_streams_open(load.streams);
  status->set_streams_waiting(load.streams_queued);
  status->set_kv_tokens_free(load.kv_pages_free * load.kv_page_tokens);
  status->set_kv_tokens(load.kv_pages_total * load.kv_page_tokens);
  const std::shared_ptr<const WorkerCosts> costs = link.costs();
  if (costs == nullptr) return;
  status->set_pass_us(std::llround(costs->passes.At(1)));
}

}  // namespace

void AddWorkers(std::vector<WorkerCondition> conditions,
                const WorkerTable& table, v1::GetStatusResponse* response) {
  const auto place = [](const WorkerCondition& condition) {
    const WorkerInfo& worker = condition.worker;
    return std::tuple<int, const std::string&, const std::string&>(
        worker.role == WorkerRole::kTarget ? 0 : 1, worker.address,
        worker.model_id);
  };
  std::sort(conditions.begin(), conditions.end(),
            [&place](const WorkerCondition& one, const WorkerCondition& two) {
              return place(one) < place(two);
            });
  for (const WorkerCondition& condition : conditions) {
    const WorkerInfo& worker = condition.worker;
    v1::WorkerStatus& status = *response->add_workers();
    status.set_address(worker.address);
    status.set_role(ToProto(worker.role));
    status.set_state(ToProto(condition.state));
    status.set_reason(condition.reason);
    status.set_model_id(worker.model_id);
    status.set_fingerprint(worker.fingerprint);
    status.set_numerics(worker.numerics);
    if (worker.link == nullptr) continue;
    SetLoad(*worker.link, &status);
    if (worker.role == WorkerRole::kTarget &&
        !table.DraftersOf(worker.vocabulary_fingerprint).empty()) {
      status.set_draft_length(worker.link->draft_policy()->length());
    }
  }
}

CoordinatorAdminService::CoordinatorAdminService(const Sources& sources)
    : sources_(sources),
      sessions_(sources.sessions),
      started_(MonotonicNow()) {}

grpc::ServerUnaryReactor* CoordinatorAdminService::Answer(
    grpc::CallbackServerContext* context, absl::string_view method,
    absl::FunctionRef<void(SessionAdmin::Done)> start) const {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::Status admitted = sources_.gate->AdmitOperator(*context, method);
  if (!admitted.ok()) {
    reactor->Finish(ToGrpcStatus(admitted));
    return reactor;
  }
  start([reactor](const absl::Status& status) {
    reactor->Finish(ToGrpcStatus(status));
  });
  return reactor;
}

grpc::ServerUnaryReactor* CoordinatorAdminService::GetStatus(
    grpc::CallbackServerContext* context,
    const v1::GetStatusRequest* /*request*/, v1::GetStatusResponse* response) {
  return Answer(context, "/tandem.v1.CoordinatorAdminService/GetStatus",
                [&](const SessionAdmin::Done& done) {
                  SetStatus(response);
                  done(absl::OkStatus());
                });
}

void CoordinatorAdminService::SetStatus(v1::GetStatusResponse* response) const {
  const ClientServices& services = *sources_.services;
  response->set_version(kTandemVersion);
  response->set_uptime_seconds(absl::ToInt64Seconds(MonotonicNow() - started_));
  response->set_draining(services.draining.load());
  response->set_sessions(services.sessions->size());
  response->set_turns(services.quotas->turns());
  AddWorkers(sources_.pool->Conditions(), *sources_.pool->Workers(), response);
  const CoordinatorTotals totals = sources_.metrics->totals();
  response->set_generated_tokens(totals.generated_tokens);
  response->set_drafted_tokens(totals.drafted_tokens);
  response->set_accepted_tokens(totals.accepted_tokens);
}

grpc::ServerUnaryReactor* CoordinatorAdminService::ListSessions(
    grpc::CallbackServerContext* context,
    const v1::ListSessionsRequest* request,
    v1::ListSessionsResponse* response) {
  return Answer(context, "/tandem.v1.CoordinatorAdminService/ListSessions",
                [&](SessionAdmin::Done done) {
                  sessions_.List(*request, response, std::move(done));
                });
}

grpc::ServerUnaryReactor* CoordinatorAdminService::ShowSession(
    grpc::CallbackServerContext* context, const v1::ShowSessionRequest* request,
    v1::ShowSessionResponse* response) {
  return Answer(context, "/tandem.v1.CoordinatorAdminService/ShowSession",
                [&](SessionAdmin::Done done) {
                  sessions_.Show(*request, response, std::move(done));
                });
}

grpc::ServerUnaryReactor* CoordinatorAdminService::DeleteSession(
    grpc::CallbackServerContext* context,
    const v1::DeleteSessionRequest* request,
    v1::DeleteSessionResponse* /*response*/) {
  return Answer(context, "/tandem.v1.CoordinatorAdminService/DeleteSession",
                [&](SessionAdmin::Done done) {
                  sessions_.Delete(*request, std::move(done));
                });
}

}  // namespace tandem
