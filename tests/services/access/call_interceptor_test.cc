#include "services/access/call_interceptor.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/support/client_callback.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "services/common/channel.h"
#include "services/common/worker_protocol.h"
#include "tandem/v1/coordinator_admin.grpc.pb.h"
#include "tandem/v1/generation.grpc.pb.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tandem/v1/worker_admin.grpc.pb.h"
#include "tests/services/access/generic_call.h"
#include "tests/services/access/key_files.h"

namespace tandem {
namespace {

using grpc::StatusCode;
using grpc::health::v1::HealthCheckResponse;

constexpr char kReflection[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
constexpr char kModel[] = "tales";

// Has methods that stand in no table.
class ForgottenService final : public v1::WorkerService::Service {
  grpc::Status Describe(grpc::ServerContext*, const v1::DescribeRequest*,
                        v1::DescribeResponse* response) override {
    response->set_version("1");
    return grpc::Status::OK;
  }
};

// A call of health's Watch, by hand: proto/ declares what tandem calls.
class WatchCall final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  WatchCall(const std::shared_ptr<grpc::Channel>& channel,
            const std::string& request)
      : stub_(channel), slice_(request), request_(&slice_, 1) {
    stub_.PrepareBidiStreamingCall(&context_, "/grpc.health.v1.Health/Watch",
                                   {}, this);
    StartWriteLast(&request_, {});
    StartRead(&response_);
    StartCall();
  }

  // OK with the first answer, else how the call ended.
  grpc::Status Wait(HealthCheckResponse::ServingStatus* serving) {
    done_.WaitForNotification();
    if (!answered_) return status_;
    HealthCheckResponse parsed;
    grpc::Status status =
        grpc::SerializationTraits<HealthCheckResponse>::Deserialize(&response_,
                                                                    &parsed);
    *serving = parsed.status();
    return status;
  }

  void OnReadDone(bool ok) override {
    answered_ = ok;
    context_.TryCancel();
  }
  void OnDone(const grpc::Status& status) override {
    status_ = status;
    done_.Notify();
  }

 private:
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  const grpc::Slice slice_;
  const grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  grpc::Status status_;
  bool answered_ = false;
  absl::Notification done_;
};

// A guarded server with all services of proto/, whose own methods ask nobody.
class CallInterceptorTest : public ::testing::Test {
 protected:
  CallInterceptorTest() {
    KeyFile content = OneTenantFile(
        "admin", HashOfApiKey(all_),
        {Scope::kGenerate, Scope::kScore, Scope::kAdmin, Scope::kMetrics});
    content.tenants.push_back(
        OneTenantFile("alice", HashOfApiKey(generate_)).tenants[0]);
    file_.Replace(content);
    EXPECT_TRUE(gate_.UseKeyFile({.path = file_.path()}).ok());
    grpc::ServerBuilder builder;
    ConfigureServer(&builder, Reflection::kOn);
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&forgotten_);
    builder.RegisterService(&generation_);
    builder.RegisterService(&coordinator_admin_);
    builder.RegisterService(&admin_);
    GuardCalls(&gate_, &builder);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
    server_->GetHealthCheckService()->SetServingStatus(kHealthReady, true);
    server_->GetHealthCheckService()->SetServingStatus(kModel, true);
  }
  ~CallInterceptorTest() override { server_->Shutdown(); }

  grpc::Status Call(const std::string& key, const std::string& method,
                    const std::string& request = "") const {
    return CallMethod(ChannelWithKey(address_, key), method, request);
  }
  static std::string HealthRequest(const std::string& service) {
    grpc::health::v1::HealthCheckRequest request;
    request.set_service(service);
    return request.SerializeAsString();
  }
  // The first answer of Watch.
  grpc::Status Watch(const std::string& key, const std::string& service,
                     HealthCheckResponse::ServingStatus* serving) const {
    WatchCall call(ChannelWithKey(address_, key), HealthRequest(service));
    return call.Wait(serving);
  }

  const std::string all_ = DrawApiKey();
  const std::string generate_ = DrawApiKey();
  const std::string wrong_ = DrawApiKey();
  const TemporaryKeyFile file_;
  prometheus::Registry registry_;
  CallerGate gate_{registry_};
  ForgottenService forgotten_;
  v1::GenerationService::Service generation_;
  v1::CoordinatorAdminService::Service coordinator_admin_;
  v1::WorkerAdminService::Service admin_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

TEST_F(CallInterceptorTest, AMethodThatIsInNoTableIsDeniedWhateverTheKey) {
  int denied = 0;
  for (const std::string& method : LinkedMethods(TANDEM_SOURCE_DIR "/proto")) {
    if (RuleOf(method) != nullptr) continue;
    if (absl::StartsWith(method, "/grpc.health.")) continue;
    SCOPED_TRACE(method);
    ++denied;
    EXPECT_EQ(Call("", method).error_code(), StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(Call(wrong_, method).error_code(), StatusCode::UNAUTHENTICATED);
    const grpc::Status status = Call(all_, method);
    EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(status.error_message(), method + ": no key allows this method");
  }
  EXPECT_GE(denied, 4);  // those of WorkerService
}

// The rest is up to the services (coordinator_access_test.cc,
// admin_service_test.cc); those here ask nobody.
TEST_F(CallInterceptorTest, LeavesTheServicesOwnMethodsAlone) {
  for (const MethodRule& rule : MethodRules()) {
    if (rule.asked_by != AskedBy::kService) continue;
    EXPECT_EQ(Call("", std::string(rule.method)).error_code(),
              StatusCode::UNIMPLEMENTED)
        << rule.method;
  }
}

TEST_F(CallInterceptorTest, ReflectionNeedsTheScopeAdmin) {
  // Field 7, list_services.
  const std::string request = "\x3a\x01*";
  EXPECT_EQ(Call("", kReflection, request).error_code(),
            StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(Call(wrong_, kReflection, request).error_code(),
            StatusCode::UNAUTHENTICATED);
  const grpc::Status status = Call(generate_, kReflection, request);
  EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(status.error_message(),
            "the API key lacks the scope \"admin\", which this call needs");
  EXPECT_TRUE(Call(all_, kReflection, request).ok());
}

TEST_F(CallInterceptorTest, HealthOfProbesIsOpenToAll) {
  for (const std::string& key : {std::string(), wrong_, generate_}) {
    for (const char* name : {"", kHealthReady}) {
      EXPECT_TRUE(Call(key, kHealthCheck, HealthRequest(name)).ok()) << name;
      HealthCheckResponse::ServingStatus serving = HealthCheckResponse::UNKNOWN;
      EXPECT_TRUE(Watch(key, name, &serving).ok()) << name;
      EXPECT_EQ(serving, HealthCheckResponse::SERVING);
    }
    // Not set: gRPC's own answer.
    EXPECT_EQ(
        Call(key, kHealthCheck, HealthRequest(kHealthStarted)).error_code(),
        StatusCode::NOT_FOUND);
  }
}

TEST_F(CallInterceptorTest, HealthOfModelsNeedsAKey) {
  HealthCheckResponse::ServingStatus serving = HealthCheckResponse::UNKNOWN;
  for (const std::string& key : {std::string(), wrong_}) {
    // A model that is there looks like one that is not.
    for (const char* name : {kModel, "none"}) {
      const grpc::Status status = Call(key, kHealthCheck, HealthRequest(name));
      EXPECT_EQ(status.error_code(), StatusCode::UNAUTHENTICATED);
      EXPECT_THAT(status.error_message(),
                  ::testing::StartsWith("the API key is missing, unknown"));
      // gRPC's service, which finds the call cancelled, may say so first.
      EXPECT_THAT(
          Watch(key, name, &serving).error_code(),
          ::testing::AnyOf(StatusCode::UNAUTHENTICATED, StatusCode::CANCELLED));
    }
    EXPECT_EQ(Call(key, kHealthCheck, "\xff").error_code(),
              StatusCode::UNAUTHENTICATED);
  }
  EXPECT_EQ(serving, HealthCheckResponse::UNKNOWN);
  EXPECT_TRUE(Call(generate_, kHealthCheck, HealthRequest(kModel)).ok());
  EXPECT_TRUE(Watch(generate_, kModel, &serving).ok());
  EXPECT_EQ(serving, HealthCheckResponse::SERVING);
}

TEST_F(CallInterceptorTest, SeveralKeysAreNone) {
  const auto stub =
      grpc::health::v1::Health::NewStub(ChannelWithKey(address_, generate_));
  grpc::ClientContext context;
  context.AddMetadata(kAuthorizationKey, kBearerPrefix + all_);
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(kModel);
  HealthCheckResponse response;
  EXPECT_EQ(stub->Check(&context, request, &response).error_code(),
            StatusCode::UNAUTHENTICATED);
}

TEST(GuardCallsTest, DoesNothingWithoutAKeyFile) {
  prometheus::Registry registry;
  const CallerGate gate(registry);
  ForgottenService service;
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&service);
  GuardCalls(&gate, &builder);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const std::string address = absl::StrCat("127.0.0.1:", port);
  EXPECT_TRUE(CallMethod(ChannelWithKey(address, ""),
                         "/tandem.v1.WorkerService/Describe")
                  .ok());
  server->Shutdown();
}

}  // namespace
}  // namespace tandem
