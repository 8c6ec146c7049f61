#include "services/worker/server/admin_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"
#include "tests/services/access/generic_call.h"
#include "tests/services/access/key_files.h"
#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

class AdminServiceTest : public ::testing::Test {
 protected:
  AdminServiceTest() {
    ModelLoaderOptions options;
    options.engine.threads = 1;
    loader_ = std::make_unique<ModelLoader>(options, &set_);
    service_ = std::make_unique<AdminService>(
        &set_, loader_.get(), &gate_, TANDEM_SOURCE_DIR "/deploy/models");
    service_->TakeRequests();
    grpc::ServerBuilder builder;
    ConfigureServer(&builder);
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
    stub_ = v1::WorkerAdminService::NewStub(
        MakeChannel(address_, grpc::InsecureChannelCredentials()));
  }
  ~AdminServiceTest() override { server_->Shutdown(); }

  v1::ListWorkerModelsResponse List() {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    v1::ListWorkerModelsResponse response;
    EXPECT_TRUE(stub_->ListWorkerModels(&context, {}, &response).ok());
    return response;
  }
  absl::Status Load(const v1::LoadModelRequest& request) {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    const auto reader = stub_->LoadModel(&context, request);
    v1::LoadModelResponse response;
    double last = 0;
    bool is_loaded = false;
    while (reader->Read(&response)) {
      EXPECT_FALSE(is_loaded) << "comes last";
      is_loaded = response.has_loaded();
      if (is_loaded) {
        loaded_ = response.loaded();
      } else {
        EXPECT_GT(response.progress(), last);
        last = response.progress();
      }
    }
    const grpc::Status status = reader->Finish();
    EXPECT_EQ(status.ok(), is_loaded);
    return FromGrpcStatus(status);
  }
  absl::Status Unload(const std::string& id, int drain_ms = 0) {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    v1::UnloadModelRequest request;
    request.set_model_id(id);
    request.set_drain_timeout_ms(drain_ms);
    v1::UnloadModelResponse response;
    return FromGrpcStatus(stub_->UnloadModel(&context, request, &response));
  }

  ModelSet set_{[] {}, {}, {.weight_bytes_max = int64_t{1} << 40}};
  prometheus::Registry registry_;
  CallerGate gate_{registry_};
  std::unique_ptr<ModelLoader> loader_;
  std::unique_ptr<AdminService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::unique_ptr<v1::WorkerAdminService::Stub> stub_;
  v1::LoadedModel loaded_;
};

TEST_F(AdminServiceTest, LoadsListsAndUnloads) {
  EXPECT_EQ(List().models_size(), 0);
  v1::LoadModelRequest request;
  request.set_path("tales-draft-q8_0.gguf");
  ASSERT_TRUE(Load(request).ok());
  EXPECT_EQ(loaded_.model().model_id(), "tales-draft-q8_0");
  request.set_model_id("other");
  ASSERT_TRUE(Load(request).ok());
  const v1::ListWorkerModelsResponse listed = List();
  ASSERT_EQ(listed.models_size(), 2);
  EXPECT_EQ(listed.models(1).model().model_id(), "other");
  EXPECT_EQ(listed.models(1).model().fingerprint(),
            listed.models(0).model().fingerprint());
  EXPECT_EQ(listed.weight_bytes(),
            listed.models(0).weight_bytes() + listed.models(1).weight_bytes());
  EXPECT_EQ(listed.weight_bytes_max(), int64_t{1} << 40);
  EXPECT_GT(listed.models_generation(), 0u);
  EXPECT_EQ(Load(request).code(), absl::StatusCode::kAlreadyExists);
  const ServedModel* used = *set_.Use("other");
  EXPECT_EQ(Unload("other").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Unload("other", 10).code(), absl::StatusCode::kFailedPrecondition);
  set_.Release(used);
  EXPECT_TRUE(Unload("other").ok());
  EXPECT_EQ(Unload("other").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(List().models_size(), 1);
}

TEST_F(AdminServiceTest, NothingComesOrGoesBeforeTheStartIsOver) {
  AdminService starting(&set_, loader_.get(), &gate_, "");
  grpc::ServerContext context;
  v1::UnloadModelRequest unload;
  v1::UnloadModelResponse unloaded;
  for (const grpc::Status& status :
       {starting.UnloadModel(&context, &unload, &unloaded),
        starting.LoadModel(&context, nullptr, nullptr)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status))->reason,
              kReasonWrongState);
  }
}

TEST_F(AdminServiceTest, WhatIsWrongIsRefused) {
  v1::LoadModelRequest request;
  for (const char* path :
       {"", "/etc/passwd", "../../CMakeLists.txt", "../models/README.md"}) {
    request.set_path(path);
    EXPECT_EQ(Load(request).code(), absl::StatusCode::kInvalidArgument) << path;
  }
  request.set_path("no-such.gguf");
  EXPECT_EQ(Load(request).code(), absl::StatusCode::kNotFound);
  request.set_path("README.md");
  const absl::Status malformed = Load(request);
  EXPECT_EQ(GetErrorDetail(malformed)->reason, kReasonMalformedFile);
  EXPECT_THAT(std::string(malformed.message()),
              ::testing::AllOf(::testing::StartsWith("README.md"),
                               ::testing::Not(::testing::HasSubstr("/"))));
  request.set_path("tales-draft-q8_0.gguf");
  request.set_model_id("a\nb");
  EXPECT_EQ(Load(request).code(), absl::StatusCode::kInvalidArgument);
  request.clear_model_id();
  request.add_sha256(std::string(64, '0'));
  EXPECT_EQ(GetErrorDetail(Load(request))->reason, kReasonDigestMismatch);
  for (const int drain_ms : {-1, kUnloadDrainMsMax + 1}) {
    const absl::Status status = Unload("a", drain_ms);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(GetErrorDetail(status)->violations[0].field, "drain_timeout_ms");
  }
  EXPECT_EQ(List().models_size(), 0);
}

TEST_F(AdminServiceTest, EveryMethodWantsAKeyWithItsScope) {
  const std::string admin = DrawApiKey();
  const std::string others = DrawApiKey();
  KeyFile content =
      OneTenantFile("operator", HashOfApiKey(admin), {Scope::kAdmin});
  content.tenants.push_back(
      OneTenantFile("client", HashOfApiKey(others),
                    {Scope::kGenerate, Scope::kScore, Scope::kMetrics})
          .tenants[0]);
  const TemporaryKeyFile file(content);
  ASSERT_TRUE(gate_.UseKeyFile({.path = file.path()}).ok());
  int methods = 0;
  for (const std::string& method : LinkedMethods(TANDEM_SOURCE_DIR "/proto")) {
    if (!absl::StartsWith(method, "/tandem.v1.WorkerAdminService/")) continue;
    SCOPED_TRACE(method);
    ++methods;
    const auto call = [&](const std::string& key) {
      return FromGrpcStatus(CallMethod(ChannelWithKey(address_, key), method));
    };
    for (const std::string& key : {std::string(), DrawApiKey()}) {
      EXPECT_TRUE(absl::IsUnauthenticated(call(key)));
      EXPECT_EQ(GetErrorDetail(call(key))->reason, kReasonInvalidKey);
    }
    EXPECT_TRUE(absl::IsPermissionDenied(call(others)));
    EXPECT_EQ(GetErrorDetail(call(others))->reason, kReasonMissingScope);
    // What is left is the method's own answer to an empty request.
    EXPECT_FALSE(absl::IsUnauthenticated(call(admin)));
    EXPECT_FALSE(absl::IsPermissionDenied(call(admin)));
  }
  EXPECT_GE(methods, 3);
}

}  // namespace
}  // namespace tandem
