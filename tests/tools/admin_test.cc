#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"
#include "tandem/v1/worker_admin.grpc.pb.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

// One model, "tales"; others are loaded and forgotten at once.
class FakeAdmin final : public v1::WorkerAdminService::Service {
 public:
  FakeAdmin() {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder);
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  ~FakeAdmin() override { server_->Shutdown(); }

  const std::string& address() const { return address_; }

  // Of the last call.
  v1::LoadModelRequest load;
  v1::UnloadModelRequest unload;

 private:
  static v1::LoadedModel Model(const std::string& id) {
    v1::LoadedModel loaded;
    loaded.mutable_model()->set_model_id(id);
    loaded.mutable_model()->set_fingerprint("0123456789abcdef0123");
    loaded.mutable_model()->set_context_max(1024);
    loaded.set_weight_bytes(123456);
    loaded.set_streams_open(2);
    return loaded;
  }

  grpc::Status ListWorkerModels(
      grpc::ServerContext*, const v1::ListWorkerModelsRequest*,
      v1::ListWorkerModelsResponse* response) override {
    *response->add_models() = Model("tales");
    response->set_weight_bytes(123456);
    return grpc::Status::OK;
  }
  grpc::Status LoadModel(
      grpc::ServerContext*, const v1::LoadModelRequest* request,
      grpc::ServerWriter<v1::LoadModelResponse>* writer) override {
    load = *request;
    if (request->path() == "../x") {
      return ToGrpcStatus(absl::InvalidArgumentError("path is outside"));
    }
    v1::LoadModelResponse response;
    response.set_progress(0.55);
    writer->Write(response);
    *response.mutable_loaded() = Model("new");
    writer->Write(response);
    return grpc::Status::OK;
  }
  grpc::Status UnloadModel(grpc::ServerContext*,
                           const v1::UnloadModelRequest* request,
                           v1::UnloadModelResponse*) override {
    unload = *request;
    if (request->model_id() == "tales") return grpc::Status::OK;
    return ToGrpcStatus(MakeError(
        absl::StatusCode::kNotFound,
        {.reason = kReasonUnknownModel, .violations = {}}, "no such model"));
  }

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

TEST(AdminTest, ListsModels) {
  FakeAdmin admin;
  RunResult result = RunTandem({"admin", "models", "--admin", admin.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("tales"));
  EXPECT_THAT(result.out, HasSubstr("123456"));
  result = RunTandem({"admin", "--admin", admin.address(), "models", "--json"});
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["models"][0]["model_id"], "tales");
  EXPECT_EQ(json["models"][0]["streams_open"], 2);
  EXPECT_EQ(json["weight_bytes"], 123456);
}

TEST(AdminTest, LoadsAModel) {
  FakeAdmin admin;
  const RunResult result =
      RunTandem({"admin", "load", "a.gguf", "--model-id", "new",
                 "--model-sha256", "12,34", "--admin", admin.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("new is loaded"));
  EXPECT_THAT(result.err, HasSubstr("50%"));
  EXPECT_EQ(admin.load.path(), "a.gguf");
  EXPECT_EQ(admin.load.model_id(), "new");
  ASSERT_EQ(admin.load.sha256_size(), 2);
  EXPECT_EQ(admin.load.sha256(1), "34");
  const RunResult wrong =
      RunTandem({"admin", "load", "../x", "--admin", admin.address()});
  EXPECT_EQ(wrong.code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("path is outside"));
}

TEST(AdminTest, UnloadsAModel) {
  FakeAdmin admin;
  const RunResult result =
      RunTandem({"admin", "unload", "tales", "--drain-timeout-ms", "50",
                 "--admin", admin.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(admin.unload.drain_timeout_ms(), 50);
  const RunResult unknown =
      RunTandem({"admin", "unload", "x", "--admin", admin.address()});
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("no such model"));
}

TEST(AdminTest, WrongUseAndNoServer) {
  EXPECT_EQ(RunTandem({"admin"}).code, 2);
  EXPECT_EQ(RunTandem({"admin", "models"}).code, 2);
  EXPECT_EQ(RunTandem({"admin", "load", "--admin", "x"}).code, 2);
  EXPECT_EQ(RunTandem({"admin", "unload", "m", "--drain-timeout-ms", "-1",
                       "--admin", "x"})
                .code,
            2);
  const RunResult result =
      RunTandem({"admin", "models", "--admin", "unix:/nonexistent"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot reach the admin service"));
}

}  // namespace
}  // namespace tandem::cli
