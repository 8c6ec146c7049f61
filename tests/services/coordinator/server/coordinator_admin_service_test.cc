#include "services/coordinator/server/coordinator_admin_service.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/monotonic_clock.h"
#include "services/common/channel.h"
#include "services/common/version.h"
#include "tests/services/coordinator/fake_workers.h"
#include "tests/services/coordinator/service_fixture.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AddWorkersTest : public ::testing::Test {
 protected:
  void Add(const WorkerInfo& worker, WorkerProblem problem = {}) {
    workers_.push_back(worker);
    conditions_.push_back(ConditionOf(worker, problem));
  }
  v1::GetStatusResponse Response() {
    v1::GetStatusResponse response;
    AddWorkers(conditions_, WorkerTable(workers_), &response);
    return response;
  }

  std::vector<WorkerInfo> workers_;
  std::vector<WorkerCondition> conditions_;
};

TEST_F(AddWorkersTest, TargetsComeFirstAndAllInOrder) {
  Add(FakeDrafter("b"));
  Add(FakeTarget("b"));
  WorkerInfo other = FakeTarget("a");
  other.model_id = "other";
  Add(other);
  Add(FakeDrafter("a"));
  Add(FakeTarget("a"));
  std::vector<std::string> places;
  const v1::GetStatusResponse response = Response();
  for (const v1::WorkerStatus& worker : response.workers()) {
    places.push_back(absl::StrCat(v1::PoolRole_Name(worker.role()), " ",
                                  worker.address(), " ", worker.model_id()));
  }
  EXPECT_THAT(
      places,
      ElementsAre("POOL_ROLE_TARGET a model", "POOL_ROLE_TARGET a other",
                  "POOL_ROLE_TARGET b model", "POOL_ROLE_DRAFT a small",
                  "POOL_ROLE_DRAFT b small"));
}

TEST_F(AddWorkersTest, HasTheLoadInTokens) {
  const WorkerInfo target = FakeTarget("t", 3);
  WorkerLoad& load = LinkOf(target).now;
  load.streams_queued = 2;
  load.kv_pages_free = 5;
  load.kv_pages_total = 20;
  load.kv_page_tokens = 16;
  WorkerCosts costs;
  costs.passes.Add(1, 1234.4);
  LinkOf(target).told = std::make_shared<const WorkerCosts>(costs);
  Add(target);
  const v1::WorkerStatus status = Response().workers(0);
  EXPECT_EQ(status.state(), v1::WORKER_STATE_SERVING);
  EXPECT_THAT(status.reason(), IsEmpty());
  EXPECT_EQ(status.fingerprint(), "fp");
  EXPECT_EQ(status.streams_open(), 3);
  EXPECT_EQ(status.streams_waiting(), 2);
  EXPECT_EQ(status.kv_tokens_free(), 80);
  EXPECT_EQ(status.kv_tokens(), 320);
  EXPECT_EQ(status.pass_us(), 1234);
  EXPECT_EQ(status.draft_length(), 0) << "there is no drafter";
}

TEST_F(AddWorkersTest, ATargetWithADrafterHasALength) {
  const WorkerInfo target = FakeTarget("t");
  Add(target);
  Add(FakeDrafter("d"));
  EXPECT_EQ(Response().workers(0).draft_length(),
            target.link->draft_policy()->length());
  EXPECT_GT(Response().workers(0).draft_length(), 0);
  EXPECT_EQ(Response().workers(1).draft_length(), 0);
}

TEST_F(AddWorkersTest, AWorkerThatWasNeverDescribedIsThereToo) {
  WorkerInfo unknown;
  unknown.address = "t";
  Add(unknown, {.reason = "nobody listens there"});
  const v1::WorkerStatus status = Response().workers(0);
  EXPECT_EQ(status.address(), "t");
  EXPECT_EQ(status.state(), v1::WORKER_STATE_CONNECTING);
  EXPECT_EQ(status.reason(), "nobody listens there");
  EXPECT_THAT(status.model_id(), IsEmpty());
}

// The copies are made while the event loop may wait for the pool's lock: some
// 0.5 us each. The bound leaves room for sanitizers and busy machines.
TEST_F(AddWorkersTest, AThousandWorkersTakeNoTime) {
  for (int i = 0; i < 500; ++i) {
    for (WorkerInfo worker : {FakeTarget(absl::StrCat("10.0.0.1:", i)),
                              FakeDrafter(absl::StrCat("10.0.0.2:", i))}) {
      worker.fingerprint = std::string(64, 'f');
      worker.vocabulary_fingerprint = std::string(64, 'v');
      workers_.push_back(worker);
    }
  }
  const WorkerProblem problem;
  const absl::Time began = MonotonicNow();
  for (const WorkerInfo& worker : workers_) {
    conditions_.push_back(ConditionOf(worker, problem));
  }
  const absl::Duration copied = MonotonicNow() - began;
  MarkUnfitDrafters(
      [](const WorkerInfo&, const WorkerInfo&) { return absl::OkStatus(); },
      &conditions_);
  EXPECT_EQ(Response().workers_size(), 1000);
  const absl::Duration all = MonotonicNow() - began;
  RecordProperty("copied_us", static_cast<int>(copied / absl::Microseconds(1)));
  RecordProperty("all_us", static_cast<int>(all / absl::Microseconds(1)));
  EXPECT_LT(copied, absl::Milliseconds(100));
  EXPECT_LT(all, absl::Seconds(1));
}

class CoordinatorAdminServiceTest : public ServiceFixture {
 protected:
  static std::unique_ptr<v1::CoordinatorAdminService::Stub> Admin(
      const std::string& address) {
    return v1::CoordinatorAdminService::NewStub(
        MakeChannel(address, grpc::InsecureChannelCredentials()));
  }
  grpc::Status Ask(const std::string& address,
                   v1::GetStatusResponse* response) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    return Admin(address)->GetStatus(&context, v1::GetStatusRequest(),
                                     response);
  }
  v1::GetStatusResponse Status() const {
    v1::GetStatusResponse response;
    const grpc::Status status = Ask(server_->address(), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  // An address of this machine that others could reach; "": none.
  static std::string OwnAddress() {
    ifaddrs* list = nullptr;
    if (getifaddrs(&list) != 0) return "";
    std::string found;
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
      if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET) {
        continue;
      }
      char text[INET_ADDRSTRLEN] = "";
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(at->ifa_addr);
      inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
      if ((ntohl(v4->sin_addr.s_addr) >> 24) != 127) found = text;
    }
    freeifaddrs(list);
    return found;
  }
};

TEST_F(CoordinatorAdminServiceTest, ReportsWorkersTurnsAndTokens) {
  StartAll();
  v1::GetStatusResponse status = Status();
  EXPECT_EQ(status.version(), kTandemVersion);
  EXPECT_GE(status.uptime_seconds(), 0);
  EXPECT_FALSE(status.draining());
  EXPECT_EQ(status.sessions(), 0);
  EXPECT_EQ(status.turns(), 0);
  EXPECT_EQ(status.generated_tokens(), 0);
  ASSERT_EQ(status.workers_size(), 2);
  EXPECT_EQ(status.workers(0).address(), target_->address());
  EXPECT_EQ(status.workers(0).role(), v1::POOL_ROLE_TARGET);
  EXPECT_EQ(status.workers(0).state(), v1::WORKER_STATE_SERVING);
  EXPECT_EQ(status.workers(0).model_id(), "fake");
  EXPECT_EQ(status.workers(1).address(), draft_->address());
  EXPECT_EQ(status.workers(1).role(), v1::POOL_ROLE_DRAFT);

  // While a turn waits for its target.
  target_->service().hold = true;
  const std::unique_ptr<Client> client = Connect();
  Outcome outcome;
  client->Start("", "w1", 50);
  WaitFor([this] { return Status().workers(0).streams_open() == 1; });
  status = Status();
  EXPECT_EQ(status.turns(), 1);
  EXPECT_EQ(status.sessions(), 1);
  target_->service().hold = false;
  target_->service().Release();
  client->Read(&outcome);
  EXPECT_TRUE(client->Finish().ok());
  status = Status();
  EXPECT_EQ(status.turns(), 0);
  const v1::SpeculationStats& stats = outcome.ended.speculation();
  EXPECT_EQ(status.generated_tokens(),
            static_cast<int64_t>(outcome.tokens.size()));
  EXPECT_EQ(status.drafted_tokens(), stats.drafted_tokens());
  EXPECT_EQ(status.accepted_tokens(), stats.accepted_tokens());
}

TEST_F(CoordinatorAdminServiceTest, NamesWhatKeepsWorkersFromServing) {
  target_ = std::make_unique<FakeWorker>();
  CoordinatorOptions options = Options();
  options.workers.targets.push_back("unix:/nonexistent/worker");
  options.workers.drafts = {target_->address()};
  StartCoordinator(options);
  WaitFor([this] {
    const v1::GetStatusResponse status = Status();
    return status.workers_size() == 3 &&
           status.workers(0).state() == v1::WORKER_STATE_SERVING &&
           status.workers(1).reason() != "not connected yet" &&
           status.workers(2).state() == v1::WORKER_STATE_UNUSABLE;
  });
  const v1::GetStatusResponse status = Status();
  EXPECT_EQ(status.workers(1).state(), v1::WORKER_STATE_CONNECTING);
  EXPECT_EQ(status.workers(1).reason(), "there is no such socket");
  EXPECT_EQ(status.workers(2).reason(),
            "it is listed as draft but does not have that role");
}

// A turn that waits for its target, in a session of the store.
TEST_F(CoordinatorAdminServiceTest, ASessionThatIsDeletedIsGoneAtOnce) {
  const std::string state =
      absl::StrCat(::testing::TempDir(), "admin_test_state_", getpid());
  target_ = std::make_unique<FakeWorker>();
  CoordinatorOptions options = Options();
  options.store.state_dir = state;
  StartCoordinator(options);
  WaitFor([this] { return server_->ready(); });
  const auto admin = Admin(server_->address());
  const std::unique_ptr<Client> client = Connect();
  Outcome outcome;
  client->Start("", "w1", 50);
  client->Read(&outcome, 1);
  const std::string id = outcome.started.session_id();

  v1::ListSessionsResponse list;
  grpc::ClientContext listing;
  ASSERT_TRUE(admin->ListSessions(&listing, {}, &list).ok());
  ASSERT_EQ(list.sessions_size(), 1);
  EXPECT_EQ(list.sessions(0).session_id(), id);
  EXPECT_EQ(list.sessions(0).model_id(), "fake");
  v1::ShowSessionRequest show;
  show.set_session_id(id);
  v1::ShowSessionResponse shown;
  grpc::ClientContext showing;
  ASSERT_TRUE(admin->ShowSession(&showing, show, &shown).ok());
  ASSERT_EQ(shown.turns_size(), 1);
  EXPECT_EQ(shown.turns(0).prompt_tokens(),
            static_cast<int64_t>(PromptOf("w1").size()));

  v1::DeleteSessionRequest remove;
  remove.set_session_id(id);
  v1::DeleteSessionResponse removed;
  grpc::ClientContext removing;
  ASSERT_TRUE(admin->DeleteSession(&removing, remove, &removed).ok());
  EXPECT_EQ(server_->sessions(), 0);
  // A stream whose turn was over goes on, and finds the session no more.
  client->Read(&outcome);
  if (outcome.has_ended) client->Start(id, "w2", 5);
  const grpc::Status status = client->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  grpc::ClientContext again;
  EXPECT_EQ(admin->DeleteSession(&again, remove, &removed).error_code(),
            grpc::StatusCode::NOT_FOUND);
  server_.reset();
  std::filesystem::remove_all(state);
}

TEST_F(CoordinatorAdminServiceTest, WithoutAStoreThereIsNothingToList) {
  StartCoordinator(Options());
  v1::ListSessionsResponse list;
  grpc::ClientContext context;
  const grpc::Status status =
      Admin(server_->address())->ListSessions(&context, {}, &list);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("--state-dir"));
}

TEST_F(CoordinatorAdminServiceTest, OtherMachinesAreRefusedWithoutAKeyFile) {
  const std::string own = OwnAddress();
  if (own.empty()) GTEST_SKIP() << "this machine has no address but loopback";
  CoordinatorOptions options = Options();
  options.listen = absl::StrCat(own, ":0");
  StartCoordinator(options);
  v1::GetStatusResponse response;
  const grpc::Status status = Ask(server_->address(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("--keys"));
  EXPECT_EQ(response.version(), "");
}

}  // namespace
}  // namespace tandem
