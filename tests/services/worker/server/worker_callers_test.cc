// Who may call a worker and its admin service: under mutual TLS, by name.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "engine/base/error_reason.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"
#include "services/identity/caller_names.h"
#include "services/identity/certificate_store.h"
#include "services/worker/server/worker_server.h"
#include "tandem/v1/worker_admin.grpc.pb.h"
#include "tests/services/common/test_certificates.h"
#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class WorkerCallersTest : public ::testing::Test {
 protected:
  WorkerCallersTest() {
    files_.MakeCa("ca");
    for (const char* name : {"worker", "coordinator", "operator", "client"}) {
      files_.MakeSigned(name, "ca");
    }
    options_.server.listen = "127.0.0.1:0";
    options_.server.tls = {.cert = files_.CertPath("worker"),
                           .key = files_.KeyPath("worker"),
                           .client_ca = files_.CertPath("ca")};
    options_.admin_listen = "127.0.0.1:0";
    options_.loader.role = v1::WORKER_ROLE_TARGET;
    options_.allow_callers = {"coordinator"};
    options_.admin_allow_callers = {"operator"};
  }

  void Listen() {
    auto server = WorkerServer::Listen(options_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // The status of a call with an empty message.
  absl::Status Call(const std::string& address, absl::string_view identity,
                    const std::string& method) {
    const auto credentials =
        certificates_.ForChannel({.ca = files_.CertPath("ca"),
                                  .cert = files_.CertPath(identity),
                                  .key = files_.KeyPath(identity)});
    EXPECT_TRUE(credentials.ok()) << credentials.status();
    grpc::GenericStub stub(MakeChannel(address, *credentials));
    grpc::ClientContext context;
    SetTestDeadline(&context);
    const grpc::Slice nothing(std::string(""));
    const grpc::ByteBuffer request(&nothing, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    absl::Notification done;
    stub.UnaryCall(&context, method, {}, &request, &response,
                   [&status, &done](grpc::Status result) {
                     status = std::move(result);
                     done.Notify();
                   });
    done.WaitForNotification();
    return FromGrpcStatus(status);
  }

  // No method of the file's service takes another caller than `allowed`.
  void ExpectOnly(const google::protobuf::FileDescriptor* file,
                  const std::string& address, const std::string& allowed) {
    ASSERT_EQ(file->service_count(), 1);
    const google::protobuf::ServiceDescriptor& service = *file->service(0);
    ASSERT_GT(service.method_count(), 0);
    for (int i = 0; i < service.method_count(); ++i) {
      const std::string method = absl::StrCat("/", service.full_name(), "/",
                                              service.method(i)->name());
      for (const char* caller : {"coordinator", "operator", "client"}) {
        SCOPED_TRACE(method + " of " + caller);
        const absl::Status status = Call(address, caller, method);
        if (caller == allowed) {
          EXPECT_FALSE(absl::IsPermissionDenied(status)) << status;
          continue;
        }
        EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
        ASSERT_TRUE(GetErrorDetail(status).has_value());
        EXPECT_EQ(GetErrorDetail(status)->reason, kReasonCallerNotAllowed);
        EXPECT_THAT(std::string(status.message()), HasSubstr(caller));
      }
    }
  }

  std::string StartError() {
    const absl::Status status = WorkerServer::Listen(options_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
    return std::string(status.message());
  }

  TestCertificates files_;
  WorkerOptions options_;
  CertificateStore certificates_;  // of the callers
  std::unique_ptr<WorkerServer> server_;
};

TEST_F(WorkerCallersTest, EveryMethodOfTheWorkerAsksWhoCalls) {
  Listen();
  ExpectOnly(v1::DescribeRequest::descriptor()->file(), server_->address(),
             "coordinator");
}

TEST_F(WorkerCallersTest, EveryMethodOfTheAdminServiceAsksWhoCalls) {
  Listen();
  ExpectOnly(v1::LoadModelRequest::descriptor()->file(),
             server_->admin_address(), "operator");
}

TEST_F(WorkerCallersTest, HealthIsForAllWithACertificate) {
  Listen();
  for (const std::string& address :
       {server_->address(), server_->admin_address()}) {
    EXPECT_TRUE(Call(address, "client", "/grpc.health.v1.Health/Check").ok());
  }
}

TEST_F(WorkerCallersTest, AnyCallerHasToBeWritten) {
  options_.allow_callers = {kAnyCaller};
  Listen();
  EXPECT_FALSE(absl::IsPermissionDenied(
      Call(server_->address(), "client", "/tandem.v1.WorkerService/Describe")));
}

TEST_F(WorkerCallersTest, WithoutNamesItDoesNotStart) {
  options_.allow_callers = {};
  EXPECT_THAT(StartError(),
              HasSubstr("--tls-client-ca needs --allow-caller NAME"));
  options_.allow_callers = {"coordinator"};
  options_.admin_allow_callers = {};
  EXPECT_THAT(StartError(),
              HasSubstr("--tls-client-ca needs --admin-allow-caller NAME"));
  options_.admin_listen = "";
  Listen();
  options_.admin_allow_callers = {"operator"};
  EXPECT_THAT(StartError(),
              HasSubstr("--admin-allow-caller needs --admin-listen"));
}

TEST_F(WorkerCallersTest, NamesNeedMutualTls) {
  options_.server.tls.client_ca = "";
  EXPECT_THAT(StartError(), HasSubstr("--allow-caller needs --tls-client-ca"));
  options_.allow_callers = {};
  EXPECT_THAT(StartError(),
              HasSubstr("--admin-allow-caller needs --tls-client-ca"));
}

}  // namespace
}  // namespace tandem
