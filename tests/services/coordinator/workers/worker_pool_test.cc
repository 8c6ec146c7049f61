#include "services/coordinator/workers/worker_pool.h"

#include <gmock/gmock.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <mutex>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/coordinator/routing/router.h"
#include "tests/services/coordinator/fake_worker_service.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Takes what is logged; put back at the end.
class LogCapture {
 public:
  LogCapture() : before_(spdlog::default_logger()) {
    auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(stream_, true);
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::move(sink)));
  }
  ~LogCapture() { spdlog::set_default_logger(before_); }
  // After what logs has ended.
  std::string text() const { return stream_.str(); }

 private:
  std::shared_ptr<spdlog::logger> before_;
  std::ostringstream stream_;
};

// Says what the test says.
class FakeResolver : public Resolver {
 public:
  absl::StatusOr<std::vector<std::string>> Resolve(
      const HostPort& name) override {
    EXPECT_EQ(name, (HostPort{.host = "pool", .port = 7}));
    const std::lock_guard<std::mutex> lock(mutex_);
    ++lookups_;
    return answer_;
  }
  void Set(absl::StatusOr<std::vector<std::string>> answer) {
    const std::lock_guard<std::mutex> lock(mutex_);
    answer_ = std::move(answer);
  }
  int lookups() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return lookups_;
  }

 private:
  std::mutex mutex_;
  absl::StatusOr<std::vector<std::string>> answer_ = std::vector<std::string>();
  int lookups_ = 0;
};

class RecordedEvents : public WorkerStreamEvents {
 public:
  void OnOpened(const OpenedSequence& /*opened*/) override { opened = true; }
  void OnAnswer(WorkerAnswer /*answer*/) override {}
  void OnClosed(const absl::Status& /*status*/) override { closed = true; }

  bool opened = false;
  bool closed = false;
};

class WorkerPoolTest : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> targets,
             std::vector<std::string> drafts = {}) {
    pool_ = std::make_unique<WorkerPool>(
        WorkerPoolOptions{.targets = std::move(targets),
                          .drafts = std::move(drafts),
                          .backoff_min = std::chrono::milliseconds(5),
                          .backoff_max = std::chrono::milliseconds(50)},
        grpc::InsecureChannelCredentials(), &tokenizers_);
    pool_->SetChangeListener([this] { ++changes_; });
    pool_->SetAliveListener(
        [this](const std::string& /*worker*/) { ++alive_; });
    pool_->Start();
  }
  WorkerInfo Worker(size_t index) {
    return pool_->Workers()->workers().at(index);
  }
  WorkerCondition Condition(size_t index) {
    return pool_->Conditions().at(index);
  }
  // Targets of a name whose addresses `resolver_` tells.
  void StartByName() {
    pool_ = std::make_unique<WorkerPool>(
        WorkerPoolOptions{.targets = {"dns:///pool:7"},
                          .drafts = {},
                          .backoff_min = std::chrono::milliseconds(5),
                          .backoff_max = std::chrono::milliseconds(50),
                          .resolve_interval = std::chrono::milliseconds(5),
                          .resolver = &resolver_},
        grpc::InsecureChannelCredentials(), &tokenizers_);
    pool_->Start();
  }
  std::vector<std::string> UsableAddresses() {
    std::vector<std::string> usable;
    for (const WorkerInfo& worker : pool_->Workers()->workers()) {
      if (worker.usable) usable.push_back(worker.address);
    }
    return usable;
  }
  static void WaitFor(const std::function<bool()>& done) {
    while (!done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  TokenizerCache tokenizers_;
  FakeResolver resolver_;
  std::atomic<int> changes_{0};
  std::atomic<int> alive_{0};
  std::unique_ptr<WorkerPool> pool_;
};

TEST_F(WorkerPoolTest, LearnsWhatItsWorkersAre) {
  FakeWorker target;
  FakeWorker draft({.role = v1::WORKER_ROLE_DRAFT});
  Start({target.address()}, {draft.address()});
  WaitFor([this] { return Worker(0).usable && Worker(1).usable; });
  const WorkerInfo info = Worker(0);
  EXPECT_EQ(info.address, target.address());
  EXPECT_EQ(info.role, WorkerRole::kTarget);
  EXPECT_EQ(info.model_id, "fake");
  EXPECT_EQ(info.fingerprint, "fingerprint-1");
  EXPECT_EQ(info.vocabulary_fingerprint,
            target.service().vocabulary_fingerprint());
  ASSERT_NE(info.tokenizer, nullptr);
  EXPECT_EQ(info.tokenizer->vocab_size(), info.vocab_size);
  ASSERT_NE(info.link, nullptr);
  WaitFor([&info] { return info.link->costs() != nullptr; });
  const std::shared_ptr<const WorkerCosts> costs = info.link->costs();
  ASSERT_EQ(costs->passes.costs().size(), 3u);
  EXPECT_EQ(costs->passes.costs()[2].rows, 8);
  EXPECT_EQ(costs->passes.costs()[2].us, 108);
  EXPECT_EQ(costs->sequences, 2.5);
  EXPECT_EQ(Worker(1).role, WorkerRole::kDraft);
  // Told after the worker is there to be seen.
  WaitFor([this] { return changes_ > 0; });
}

TEST_F(WorkerPoolTest, UsesAWorkerThatComesLateAndThatComesBackAsAnother) {
  const std::string address = absl::StrCat("unix:", ::testing::TempDir(),
                                           "worker-pool-", getpid(), ".sock");
  Start({address});
  EXPECT_FALSE(Worker(0).usable);
  auto worker = std::make_unique<FakeWorker>(
      FakeWorkerOptions{.address = address, .fingerprint = "one"});
  WaitFor([this] { return Worker(0).usable; });
  EXPECT_EQ(Worker(0).fingerprint, "one");
  worker.reset();
  WaitFor([this] { return !Worker(0).usable; });
  worker = std::make_unique<FakeWorker>(
      FakeWorkerOptions{.address = address, .fingerprint = "two"});
  WaitFor([this] { return Worker(0).usable; });
  EXPECT_EQ(Worker(0).fingerprint, "two");
}

// By the number that its reports began with.
TEST_F(WorkerPoolTest, KnowsAProcessThatIsBackFromAnotherOne) {
  const std::string address = absl::StrCat("unix:", ::testing::TempDir(),
                                           "worker-pool-", getpid(), ".sock");
  Start({address});
  // Usable, usable once more after its first report, and gone.
  int changes = 0;
  for (const int64_t generation : {5, 5, 6, 7, 7}) {
    auto worker = std::make_unique<FakeWorker>(
        FakeWorkerOptions{.address = address, .models_generation = generation});
    changes += 2;
    WaitFor([&] { return changes_ >= changes; });
    worker.reset();
    ++changes;
    WaitFor([&] { return changes_ >= changes; });
  }
  WaitFor([this] { return alive_ == 2; });
  pool_->Stop();
  EXPECT_EQ(alive_, 2);
}

TEST_F(WorkerPoolTest, SeesThatAWorkerDrains) {
  FakeWorker target;
  target.service().draining = true;
  Start({target.address()});
  WaitFor([this] { return Worker(0).draining; });
  EXPECT_TRUE(Worker(0).usable);
  EXPECT_EQ(Condition(0).state, WorkerState::kDraining);
}

TEST_F(WorkerPoolTest, RefusesAWorkerOfTheOtherRole) {
  LogCapture log;
  FakeWorker draft({.role = v1::WORKER_ROLE_DRAFT});
  FakeWorker target;
  Start({draft.address(), target.address()});
  WaitFor([this] { return Worker(1).usable; });
  EXPECT_FALSE(Worker(0).usable);
  WaitFor([this] { return Condition(0).state == WorkerState::kUnusable; });
  EXPECT_EQ(Condition(0).reason,
            "it is listed as target but does not have that role");
  EXPECT_EQ(Condition(1).state, WorkerState::kServing);
  pool_->Stop();
}

// Whoever comes first.
TEST_F(WorkerPoolTest, PairsVocabulariesThatDifferByFillers) {
  LogCapture log;
  for (const bool draft_is_larger : {false, true}) {
    FakeWorkerOptions options;
    FakeWorkerOptions draft_options{.role = v1::WORKER_ROLE_DRAFT};
    (draft_is_larger ? draft_options : options).fillers = 28;
    FakeWorker target(options);
    FakeWorker draft(draft_options);
    ASSERT_NE(target.service().vocabulary_fingerprint(),
              draft.service().vocabulary_fingerprint());
    Start({target.address()}, {draft.address()});
    WaitFor([this] { return Worker(0).usable && Worker(1).usable; });
    const std::shared_ptr<const WorkerTable> table = pool_->Workers();
    ASSERT_EQ(table->models().size(), 1u);
    EXPECT_EQ(table->models()[0].draft_workers, 1);
    EXPECT_EQ(
        table->DraftersOf(target.service().vocabulary_fingerprint()).size(),
        1u);
    EXPECT_EQ(std::abs(Worker(0).vocab_size - Worker(1).vocab_size), 28);
    pool_->Stop();
  }
  EXPECT_THAT(log.text(), Not(HasSubstr("is not used")));
}

TEST_F(WorkerPoolTest, NamesTheTokenThatMakesADrafterUnfit) {
  LogCapture log;
  FakeWorker target;
  FakeWorker draft(
      {.role = v1::WORKER_ROLE_DRAFT, .vocabulary_variant = "-other"});
  Start({target.address()}, {draft.address()});
  WaitFor([this] { return Worker(0).usable && Worker(1).usable; });
  EXPECT_EQ(pool_->Workers()->models()[0].draft_workers, 0);
  EXPECT_EQ(Condition(0).state, WorkerState::kServing);
  EXPECT_EQ(Condition(1).state, WorkerState::kUnusable);
  EXPECT_THAT(Condition(1).reason, HasSubstr("last-other"));
  // The report is made by the thread that came last, before its watch.
  pool_->Stop();
  EXPECT_THAT(log.text(),
              HasSubstr("draft worker " + draft.address() + " is not used"));
  EXPECT_THAT(log.text(), HasSubstr("last-other"));
}

TEST_F(WorkerPoolTest, KnowsAllModelsOfAWorkerAndTheirChanges) {
  FakeWorker target;
  target.service().models = 2;
  Start({target.address()});
  WaitFor([this] { return pool_->Workers()->models().size() == 2; });
  const std::shared_ptr<const WorkerTable> table = pool_->Workers();
  ASSERT_EQ(table->workers().size(), 2u);
  EXPECT_EQ(table->workers()[0].model_id, "fake");
  EXPECT_EQ(table->workers()[1].model_id, "fake-2");
  EXPECT_EQ(table->workers()[1].fingerprint, "fingerprint-1-2");
  EXPECT_NE(table->workers()[0].link, table->workers()[1].link);
  EXPECT_NE(table->workers()[1].tokenizer, nullptr);

  target.service().models = 3;
  target.service().models_generation = 7;
  target.service().Report();
  WaitFor([this] { return pool_->Workers()->models().size() == 3; });
  target.service().models = 1;
  target.service().models_generation = 8;
  target.service().draining = true;
  target.service().Report();
  WaitFor([this] {
    return pool_->Workers()->workers().size() == 1 && Worker(0).draining;
  });
  // Its workers had it: not a model that nobody knows.
  EXPECT_EQ(pool_->Workers()->FindModel("fake-3").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(WorkerPoolTest, TakesLoadsFromReports) {
  FakeWorker target;
  Start({target.address()});
  WaitFor([this] { return Worker(0).usable; });
  const WorkerInfo worker = Worker(0);
  WaitFor([&worker] { return worker.link->load().kv_pages_total == 100000; });
  target.service().streams = 3;
  target.service().Report();
  WaitFor([&worker] { return worker.link->load().streams == 3; });
  target.service().streams = 0;
}

TEST_F(WorkerPoolTest, KnowsLoadAndCostsOfEachModel) {
  FakeWorker target;
  target.service().models = 2;
  target.service().other_pages_free = 7;
  target.service().streams = 3;
  Start({target.address()});
  WaitFor([this] { return pool_->Workers()->workers().size() == 2; });
  const WorkerInfo first = Worker(0);
  const WorkerInfo second = Worker(1);
  ASSERT_NE(first.link, second.link);
  WaitFor([&second] { return second.link->costs() != nullptr; });
  EXPECT_EQ(first.link->load().streams, 3);
  EXPECT_EQ(first.link->load().kv_pages_free, 100000);
  EXPECT_EQ(first.link->load().kv_page_tokens, 16);
  EXPECT_EQ(first.link->costs()->passes.At(1), 101);
  EXPECT_EQ(second.link->load().streams, 0);
  EXPECT_EQ(second.link->load().other_streams, 3);
  EXPECT_EQ(second.link->load().kv_pages_free, 7);
  EXPECT_EQ(second.link->load().kv_page_tokens, 32);
  EXPECT_EQ(second.link->costs()->passes.At(1), 202);
}

// A worker whose other model has room is no place for a model that has none.
TEST_F(WorkerPoolTest, RoutesEachModelByItsOwnRoom) {
  FakeWorker both;
  FakeWorker second({.model_id = "fake-2", .fingerprint = "fingerprint-1-2"});
  both.service().models = 2;
  both.service().other_pages_free = 0;
  second.service().streams = 9;  // busy, and yet the only one with room
  Start({both.address(), second.address()});
  WaitFor([this] {
    const auto workers = pool_->Workers()->TargetsOf("fake-2");
    return workers.size() == 2 && workers[0]->link->costs() != nullptr &&
           workers[1]->link->costs() != nullptr;
  });
  Router router([this] { return pool_->Workers(); }, /*seed=*/1);
  const TargetQuery query{.model_id = "fake-2",
                          .need = {.tokens_max = 100, .generated_max = 50}};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(router.PickTarget(query)->name, second.address());
  }
}

TEST_F(WorkerPoolTest, WorkersComeAndGoWithTheAddressesOfAName) {
  FakeWorker one;
  FakeWorker two;
  resolver_.Set(std::vector<std::string>{one.address()});
  StartByName();
  WaitFor([this] { return UsableAddresses().size() == 1; });
  resolver_.Set(std::vector<std::string>{two.address(), one.address()});
  WaitFor([this] { return UsableAddresses().size() == 2; });
  resolver_.Set(std::vector<std::string>{two.address()});
  WaitFor([this] {
    return UsableAddresses().size() == 1 && pool_->leaving() == 0;
  });
  EXPECT_EQ(UsableAddresses()[0], two.address());
  // It comes back.
  resolver_.Set(std::vector<std::string>{two.address(), one.address()});
  WaitFor([this] { return UsableAddresses().size() == 2; });
}

TEST_F(WorkerPoolTest, KeepsItsWorkersWhileTheNameDoesNotResolve) {
  LogCapture log;
  FakeWorker one;
  resolver_.Set(std::vector<std::string>{one.address()});
  StartByName();
  WaitFor([this] { return UsableAddresses().size() == 1; });
  const auto look_up = [this] {
    const int before = resolver_.lookups();
    // The second one from here has seen what was set, and been dealt with.
    WaitFor([this, before] { return resolver_.lookups() > before + 2; });
  };
  resolver_.Set(absl::UnavailableError("no name server"));
  look_up();
  EXPECT_EQ(UsableAddresses().size(), 1u);
  resolver_.Set(std::vector<std::string>());
  look_up();
  EXPECT_EQ(UsableAddresses().size(), 1u);
  pool_->Stop();
  const std::string text = log.text();
  const size_t told = text.find("no name server");
  ASSERT_NE(told, std::string::npos);
  EXPECT_EQ(text.find("addresses are kept", told + 60), std::string::npos);
}

TEST_F(WorkerPoolTest, AWorkerThatLeftIsDroppedWhenItsStreamsHaveEnded) {
  FakeWorker one;
  FakeWorker two;
  resolver_.Set(std::vector<std::string>{one.address()});
  StartByName();
  WaitFor([this] { return UsableAddresses().size() == 1; });
  EventLoop loop;
  RecordedEvents events;
  OpenRequest open;
  open.session_id = "s";
  open.model_id = "fake";
  open.tokens = {1};
  open.generated_from = 1;
  open.tokens_max = 10;
  std::unique_ptr<WorkerStream> stream =
      Worker(0).link->Open(std::move(open), &loop, &events, std::nullopt);
  WaitFor([&one] { return one.service().streams == 1; });
  resolver_.Set(std::vector<std::string>{two.address()});
  WaitFor([this, &two] {
    return UsableAddresses() == std::vector<std::string>{two.address()};
  });
  const int before = resolver_.lookups();
  WaitFor([this, before] { return resolver_.lookups() > before + 5; });
  EXPECT_EQ(pool_->leaving(), 1);
  EXPECT_EQ(pool_->own_streams(), 1);
  EXPECT_EQ(one.service().streams, 1);
  const auto left = [this, &one] {
    for (const WorkerCondition& condition : pool_->Conditions()) {
      if (condition.worker.address == one.address()) return condition.reason;
    }
    return std::string("is gone");
  };
  EXPECT_THAT(left(), HasSubstr("in no list any more"));
  stream.reset();
  WaitFor([this, &loop] {
    loop.RunReady();
    return pool_->own_streams() == 0 && pool_->leaving() == 0;
  });
  pool_->Stop();
  loop.RunReady();
}

TEST_F(WorkerPoolTest, SaysWhyNobodyAnswersAndThatAWorkerWasLost) {
  LogCapture log;
  auto worker = std::make_unique<FakeWorker>();
  Start({worker->address()}, {"unix:/nonexistent/b"});
  WaitFor([this] { return Worker(0).usable; });
  WaitFor([this] { return Condition(1).reason == "there is no such socket"; });
  EXPECT_EQ(Condition(1).state, WorkerState::kConnecting);
  worker.reset();
  WaitFor([this] { return Condition(0).reason == "nobody listens there"; });
  EXPECT_EQ(Condition(0).state, WorkerState::kConnecting);
  EXPECT_EQ(Condition(0).worker.model_id, "fake");
  pool_->Stop();
}

TEST_F(WorkerPoolTest, AWorkerThatLoadsIsOfUseLater) {
  LogCapture log;
  FakeWorker worker;
  worker.service().loading = true;
  Start({worker.address()});
  WaitFor([this] {
    return absl::StrContains(Condition(0).reason, "model is loading");
  });
  EXPECT_EQ(Condition(0).state, WorkerState::kConnecting);
  worker.service().loading = false;
  WaitFor([this] { return Condition(0).state == WorkerState::kServing; });
  pool_->Stop();
}

// Real time: 2 s until the hung worker is found.
TEST_F(WorkerPoolTest, AHungWorkerGetsNothingUntilItAnswers) {
  LogCapture log;
  FakeWorker hung;
  FakeWorker idle;
  Start({hung.address(), idle.address()});
  WaitFor([this] { return Worker(0).usable && Worker(1).usable; });
  EventLoop loop;
  RecordedEvents events;
  OpenRequest open;
  open.tokens = {1, 260};
  open.generated_from = 2;
  const std::unique_ptr<WorkerStream> stream =
      Worker(0).link->Open(std::move(open), &loop, &events, std::nullopt);
  const auto run_until = [&loop](const std::function<bool()>& done) {
    WaitFor([&] {
      loop.RunReady();
      return done();
    });
  };
  run_until([&] { return events.opened; });
  // Long passes are no silence: the worker answers what it is.
  hung.service().hold = true;
  stream->Verify({.position = 1, .tokens = {260}, .draft = {}});
  const MonotonicTime asked = std::chrono::steady_clock::now();
  run_until([&] {
    return std::chrono::steady_clock::now() - asked > kSilenceMin * 1.5;
  });
  EXPECT_FALSE(events.closed);
  EXPECT_TRUE(Worker(0).usable);
  const MonotonicTime began = std::chrono::steady_clock::now();
  hung.service().SetSilent(true);
  idle.service().SetSilent(true);
  run_until([&] { return events.closed; });
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2 * kSilenceMin);
  EXPECT_FALSE(Worker(0).usable);
  EXPECT_TRUE(Worker(1).usable);  // nobody waits for it
  WaitFor(
      [this] { return absl::StrContains(Condition(0).reason, "it hangs"); });
  WaitFor([&hung] { return hung.service().streams == 0; });
  hung.service().SetSilent(false);
  idle.service().SetSilent(false);
  WaitFor([this] { return Worker(0).usable; });
  pool_->Stop();
  run_until([this] { return pool_->own_streams() == 0; });
}

TEST_F(WorkerPoolTest, StopsWhileNothingAnswers) {
  Start({"unix:/nonexistent/a"}, {"unix:/nonexistent/b"});
  pool_->Stop();
  EXPECT_FALSE(Worker(0).usable);
}

}  // namespace
}  // namespace tandem
