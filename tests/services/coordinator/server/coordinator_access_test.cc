// Who may call a coordinator that has a key file, over gRPC.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/error_reason.h"
#include "services/common/status_conversion.h"
#include "tests/services/access/generic_call.h"
#include "tests/services/access/key_files.h"
#include "tests/services/coordinator/service_fixture.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kReflection[] =
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

class CoordinatorAccessTest : public ServiceFixture {
 protected:
  void Start(CoordinatorOptions options) {
    file_.Replace(Content());
    options.keys = file_.path();
    StartCoordinator(std::move(options));
    if (target_ != nullptr) WaitFor([this] { return server_->ready(); });
  }

  KeyFile Content() const {
    KeyFile content = OneTenantFile("alice", HashOfApiKey(alice_));
    const auto add = [&content](const std::string& tenant,
                                const std::string& key, std::set<Scope> scopes,
                                absl::Time expires = absl::InfiniteFuture()) {
      KeyFileTenant more =
          OneTenantFile(tenant, HashOfApiKey(key), std::move(scopes))
              .tenants[0];
      more.keys[0].expires = expires;
      content.tenants.push_back(std::move(more));
    };
    add("bob", bob_, {Scope::kGenerate});
    add("revoked", revoked_, {Scope::kGenerate});
    add("late", expired_, {Scope::kGenerate}, absl::Now() - absl::Seconds(1));
    add("others", others_, {Scope::kScore, Scope::kAdmin, Scope::kMetrics});
    return content;
  }

  // Calls with `key` from here on.
  void Use(const std::string& key) {
    stub_ =
        v1::GenerationService::NewStub(ChannelWithKey(server_->address(), key));
  }
  grpc::Status Call(const std::string& key, const std::string& method) const {
    return CallMethod(ChannelWithKey(server_->address(), key), method);
  }
  static std::string ReasonOf(const grpc::Status& status) {
    const std::optional<ErrorDetail> detail =
        GetErrorDetail(FromGrpcStatus(status));
    return detail.has_value() ? detail->reason : "";
  }

  const std::string alice_ = DrawApiKey();
  const std::string bob_ = DrawApiKey();
  const std::string revoked_ = DrawApiKey();
  const std::string expired_ = DrawApiKey();
  const std::string others_ = DrawApiKey();
  const TemporaryKeyFile file_;
};

TEST_F(CoordinatorAccessTest, EveryMethodWantsAKeyWithItsScope) {
  Start(Options());
  KeyFile content = Content();
  content.tenants.erase(content.tenants.begin() + 2);
  file_.Replace(content);
  server_->Reload();
  int methods = 0;
  for (const std::string& method : LinkedMethods(TANDEM_SOURCE_DIR "/proto")) {
    const bool is_admin =
        absl::StartsWith(method, "/tandem.v1.CoordinatorAdminService/");
    const bool is_public =
        absl::StartsWith(method, "/tandem.v1.GenerationService/");
    if (!is_admin && !is_public) continue;
    const bool is_score = absl::EndsWith(method, "/Score");
    SCOPED_TRACE(method);
    ++methods;
    const grpc::Status missing = Call("", method);
    EXPECT_EQ(missing.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(ReasonOf(missing), kReasonInvalidKey);
    // One answer for keys that are not there.
    for (const std::string& key : {DrawApiKey(), revoked_, std::string("x")}) {
      const grpc::Status status = Call(key, method);
      EXPECT_EQ(status.error_code(), missing.error_code());
      EXPECT_EQ(status.error_message(), missing.error_message());
      EXPECT_EQ(status.error_details(), missing.error_details());
    }
    const grpc::Status expired = Call(expired_, method);
    EXPECT_EQ(expired.error_code(), grpc::StatusCode::UNAUTHENTICATED);
    EXPECT_EQ(ReasonOf(expired), kReasonInvalidKey);
    EXPECT_THAT(expired.error_message(),
                StartsWith("the API key has expired at "));
    const bool is_for_others = is_admin || is_score;
    const grpc::Status scope = Call(is_for_others ? alice_ : others_, method);
    EXPECT_EQ(scope.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(ReasonOf(scope), kReasonMissingScope);
    EXPECT_THAT(scope.error_message(), HasSubstr(is_admin   ? "\"admin\""
                                                 : is_score ? "\"score\""
                                                            : "\"generate\""));
    // What is left is the method's own answer to an empty request.
    const std::string reason =
        ReasonOf(Call(is_for_others ? others_ : alice_, method));
    EXPECT_NE(reason, kReasonInvalidKey);
    EXPECT_NE(reason, kReasonMissingScope);
  }
  EXPECT_GE(methods, 7);
}

TEST_F(CoordinatorAccessTest, OthersThanItsServiceAreGuardedToo) {
  CoordinatorOptions options = Options();
  options.reflection = true;
  Start(std::move(options));
  EXPECT_EQ(Call(alice_, kReflection).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(Call("", "/grpc.health.v1.Health/Check").error_code(),
            grpc::StatusCode::OK);
}

TEST_F(CoordinatorAccessTest, ATurnBelongsToTheKeysTenant) {
  target_ = std::make_unique<FakeWorker>();
  Start(Options());
  Use(alice_);
  const Outcome outcome = Generate(Request("w1 w2 w3 w4 w5 w6 w7 w8 w9", 5));
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  // The fake worker reports the bytes of the tenant's name.
  EXPECT_EQ(outcome.ended.usage().cached_prompt_tokens(),
            static_cast<int64_t>(std::string("key:alice").size()));
}

TEST_F(CoordinatorAccessTest, AnotherTenantsSessionLooksLikeNone) {
  target_ = std::make_unique<FakeWorker>();
  Start(Options());
  Use(alice_);
  const Outcome first = Generate(Request("w1", 5));
  ASSERT_TRUE(first.status.ok()) << first.status.error_message();
  const auto go_on = [this](const std::string& session_id) {
    v1::GenerateRequest request = Request("w2", 5);
    request.mutable_turn()->set_session_id(session_id);
    return Generate(request).status;
  };
  EXPECT_TRUE(go_on(first.started.session_id()).ok());
  Use(bob_);
  const grpc::Status theirs = go_on(first.started.session_id());
  const grpc::Status none = go_on(std::string(32, '0'));
  EXPECT_EQ(ReasonOf(none), kReasonUnknownSession);
  EXPECT_EQ(theirs.error_code(), none.error_code());
  EXPECT_EQ(theirs.error_message(), none.error_message());
  EXPECT_EQ(theirs.error_details(), none.error_details());
  // Nor can its turn be resumed.
  for (const std::string& id :
       {first.started.session_id(), std::string(32, '0')}) {
    const std::unique_ptr<Client> client = Connect();
    v1::ConverseRequest request;
    request.mutable_resume()->set_session_id(id);
    request.mutable_resume()->set_turn(1);
    ASSERT_TRUE(client->stream->Write(request));
    const grpc::Status status = client->Finish();
    EXPECT_EQ(status.error_message(), none.error_message());
    EXPECT_EQ(status.error_details(), none.error_details());
  }
  // Another key of the same tenant goes on with it.
  KeyFile content = Content();
  content.tenants[0].keys.push_back({.id = "alice-2",
                                     .sha256 = HashOfApiKey(revoked_),
                                     .scopes = {Scope::kGenerate}});
  content.tenants.erase(content.tenants.begin() + 2);
  file_.Replace(content);
  server_->Reload();
  Use(revoked_);
  EXPECT_TRUE(go_on(first.started.session_id()).ok());
}

TEST_F(CoordinatorAccessTest, AnOpenStreamBeginsNoTurnWithARevokedKey) {
  target_ = std::make_unique<FakeWorker>();
  Start(Options());
  Use(alice_);
  const std::unique_ptr<Client> client = Connect();
  Outcome first;
  client->Start("", "w1", 5);
  client->Read(&first);
  ASSERT_TRUE(first.has_ended);
  // A turn that runs goes on to its end.
  target_->service().hold = true;
  Outcome second;
  client->Start(first.started.session_id(), "w2", 5);
  WaitFor([this] { return server_->turns() == 1; });
  KeyFile content = Content();
  content.tenants.erase(content.tenants.begin());
  file_.Replace(content);
  server_->Reload();
  target_->service().Release();
  client->Read(&second);
  EXPECT_TRUE(second.has_ended);
  client->Start(first.started.session_id(), "w3", 5);
  const grpc::Status status = client->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ReasonOf(status), kReasonInvalidKey);
}

TEST_F(CoordinatorAccessTest, KeysInPlainTextAreRefusedAtStart) {
  CoordinatorOptions options = Options();
  options.listen = "0.0.0.0:0";
  options.keys = file_.path();
  const absl::Status status = CoordinatorServer::Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("--listen 0.0.0.0:0: with --keys, keys would cross"));
  options.listen =
      absl::StrCat("unix:", ::testing::TempDir(), "access-", getpid());
  EXPECT_TRUE(CoordinatorServer::Start(options).ok());
}

TEST_F(CoordinatorAccessTest, ABadKeyFileIsRefusedAtStart) {
  file_.Replace("{");
  CoordinatorOptions options = Options();
  options.keys = file_.path();
  const absl::Status status = CoordinatorServer::Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("keys.json:1: is not"));
}

}  // namespace
}  // namespace tandem
