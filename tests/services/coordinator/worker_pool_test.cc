#include "services/coordinator/worker_pool.h"

#include <gmock/gmock.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <functional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tests/services/coordinator/fake_worker_service.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

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
    pool_->Start();
  }
  WorkerInfo Worker(size_t index) { return pool_->Workers().at(index); }
  static void WaitFor(const std::function<bool()>& done) {
    while (!done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  TokenizerCache tokenizers_;
  std::atomic<int> changes_{0};
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

TEST_F(WorkerPoolTest, SeesThatAWorkerDrains) {
  FakeWorker target;
  target.service().draining = true;
  Start({target.address()});
  WaitFor([this] { return Worker(0).draining; });
  EXPECT_TRUE(Worker(0).usable);
}

TEST_F(WorkerPoolTest, RefusesAWorkerOfTheOtherRole) {
  LogCapture log;
  FakeWorker draft({.role = v1::WORKER_ROLE_DRAFT});
  FakeWorker target;
  Start({draft.address(), target.address()});
  WaitFor([this] { return Worker(1).usable; });
  EXPECT_FALSE(Worker(0).usable);
  pool_->Stop();
}

TEST_F(WorkerPoolTest, NamesTheTokenThatMakesADrafterUnfit) {
  LogCapture log;
  FakeWorker target;
  FakeWorker draft(
      {.role = v1::WORKER_ROLE_DRAFT, .vocabulary_variant = "-other"});
  Start({target.address()}, {draft.address()});
  WaitFor([this] { return Worker(0).usable && Worker(1).usable; });
  // The report is made by the thread that came last, before its watch.
  WaitFor([this, &draft] {
    return tokenizers_.Find(
               {.address = {},
                .model_id = {},
                .fingerprint = draft.service().options().fingerprint,
                .vocabulary_fingerprint =
                    draft.service().vocabulary_fingerprint()}) != nullptr;
  });
  pool_->Stop();
  EXPECT_THAT(log.text(),
              HasSubstr("draft worker " + draft.address() + " is not used"));
  EXPECT_THAT(log.text(), HasSubstr("last-other"));
}

TEST_F(WorkerPoolTest, StopsWhileNothingAnswers) {
  Start({"unix:/nonexistent/a"}, {"unix:/nonexistent/b"});
  pool_->Stop();
  EXPECT_FALSE(Worker(0).usable);
}

}  // namespace
}  // namespace tandem
