#include "services/access/call_interceptor.h"

#include <grpc/grpc.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "services/common/worker_protocol.h"

namespace tandem {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerInterceptorFactoryInterface;
using grpc::experimental::ServerRpcInfo;

constexpr absl::string_view kHealthMethods[] = {"/grpc.health.v1.Health/Check",
                                                "/grpc.health.v1.Health/Watch"};

bool IsHealth(absl::string_view method) {
  for (const absl::string_view health : kHealthMethods) {
    if (method == health) return true;
  }
  return false;
}

// Ends a call that has just come in. The client gets code and message.
void EndCall(ServerRpcInfo* call, const absl::Status& status) {
  (void)grpc_call_cancel_with_status(
      call->server_context()->c_call(),
      static_cast<grpc_status_code>(status.code()),
      std::string(status.message()).c_str(), nullptr);
}

// A request that can not be read is none of a probe.
bool IsOfProbe(grpc::ByteBuffer* request) {
  if (request == nullptr) return false;
  grpc::ByteBuffer copy(*request);  // shares the slices
  grpc::health::v1::HealthCheckRequest parsed;
  using Traits =
      grpc::SerializationTraits<grpc::health::v1::HealthCheckRequest>;
  if (!Traits::Deserialize(&copy, &parsed).ok()) return false;
  return IsProbeName(parsed.service());
}

// Asks for a key as a health request of another name comes. gRPC's service
// takes requests as bytes.
class HealthInterceptor final : public Interceptor {
 public:
  HealthInterceptor(const CallerGate* gate, ServerRpcInfo* call)
      : gate_(gate), call_(call) {}

  void Intercept(InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::POST_RECV_MESSAGE) &&
        !IsOfProbe(static_cast<grpc::ByteBuffer*>(batch->GetRecvMessage()))) {
      const absl::Status status = gate_->AdmitAnyKey(*call_->server_context());
      if (!status.ok()) EndCall(call_, status);
    }
    batch->Proceed();
  }

 private:
  const CallerGate* const gate_;
  ServerRpcInfo* const call_;
};

// Admits or ends a call as its headers come.
class HeaderInterceptor final : public Interceptor {
 public:
  HeaderInterceptor(const CallerGate* gate, ServerRpcInfo* call)
      : gate_(gate), call_(call) {}

  void Intercept(InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(
            InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      const absl::Status status = Check();
      if (!status.ok()) EndCall(call_, status);
    }
    batch->Proceed();
  }

 private:
  absl::Status Check() const {
    const grpc::ServerContextBase& context = *call_->server_context();
    if (RuleOf(call_->method()) != nullptr) {
      return gate_->Admit(context, call_->method()).status();
    }
    // A stranger learns nothing about methods.
    const absl::Status status = gate_->AdmitAnyKey(context);
    if (!status.ok()) return status;
    return absl::PermissionDeniedError(
        absl::StrCat(call_->method(), ": no key allows this method"));
  }

  const CallerGate* const gate_;
  ServerRpcInfo* const call_;
};

class InterceptorFactory final : public ServerInterceptorFactoryInterface {
 public:
  explicit InterceptorFactory(const CallerGate* gate) : gate_(gate) {}

  // gRPC takes the interceptor; null: the call has none.
  Interceptor* CreateServerInterceptor(ServerRpcInfo* call) override {
    if (IsHealth(call->method())) return new HealthInterceptor(gate_, call);
    const MethodRule* const rule = RuleOf(call->method());
    if (rule != nullptr && rule->asked_by == AskedBy::kService) return nullptr;
    return new HeaderInterceptor(gate_, call);
  }

 private:
  const CallerGate* const gate_;
};

}  // namespace

void GuardCalls(const CallerGate* gate, grpc::ServerBuilder* builder) {
  if (gate->keys() == nullptr) return;
  std::vector<std::unique_ptr<ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<InterceptorFactory>(gate));
  builder->experimental().SetInterceptorCreators(std::move(factories));
}

}  // namespace tandem
