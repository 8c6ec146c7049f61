#include "services/coordinator/store/commit_thread.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"

namespace tandem {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr SqlStatement kFine = {"fine", "", "i"};
constexpr SqlStatement kWrong = {"wrong", "", "i"};
constexpr SqlDialect kNoDialect = {
    .lock_schema = "", .unlock_schema = "", .select_epochs = kFine};

// What the thread did with its connection; any thread reads it.
class Journal {
 public:
  void Add(std::vector<int64_t> group) {
    absl::MutexLock lock(&mutex_);
    groups_.push_back(std::move(group));
  }
  std::vector<std::vector<int64_t>> groups() const {
    absl::MutexLock lock(&mutex_);
    return groups_;
  }

  std::atomic<bool> is_away{false};
  std::atomic<int> opens{0};
  std::atomic<int> aborts{0};        // that are still to come
  absl::Notification* go = nullptr;  // the first transaction waits for it
  absl::Notification* is_running = nullptr;

 private:
  mutable absl::Mutex mutex_;
  // The numbers of each transaction's calls.
  std::vector<std::vector<int64_t>> groups_ ABSL_GUARDED_BY(mutex_);
};

class FakeConnection final : public SqlConnection {
 public:
  explicit FakeConnection(Journal* journal) : journal_(journal) {}

  const SqlDialect& dialect() const override { return kNoDialect; }
  absl::Status Open() override {
    ++journal_->opens;
    return journal_->is_away ? absl::InternalError("the server is away")
                             : absl::OkStatus();
  }
  absl::Status RunScript(const std::string& /*script*/) override {
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<SqlResult>> Run(
      absl::Span<const SqlCall> calls) override {
    if (journal_->is_running != nullptr &&
        !journal_->is_running->HasBeenNotified()) {
      journal_->is_running->Notify();
      journal_->go->WaitForNotification();
    }
    if (journal_->is_away) return absl::UnavailableError("lost");
    if (journal_->aborts > 0) {
      --journal_->aborts;
      return absl::AbortedError("deadlock");
    }
    std::vector<int64_t> group;
    for (const SqlCall& call : calls) {
      if (call.statement == &kWrong) return absl::InternalError("wrong");
      group.push_back(std::get<int64_t>(call.values[0]));
    }
    journal_->Add(group);
    return std::vector<SqlResult>(calls.size());
  }

 private:
  Journal* const journal_;
};

// Commits `calls` times one call with its number, then has its status.
class NumberOperation final : public SqlOperation {
 public:
  struct Setup {
    int64_t number = 0;
    std::string session_id = "a";
    int calls = 1;
    const SqlStatement* statement = &kFine;
  };
  NumberOperation(Setup setup, StateStore::Committed done)
      : SqlOperation(setup.session_id),
        setup_(std::move(setup)),
        done_(std::move(done)) {}

  std::vector<SqlCall> Calls() const override {
    return {{.statement = setup_.statement, .values = {setup_.number}}};
  }
  bool OnCommitted(absl::Span<const SqlResult> results) override {
    EXPECT_EQ(results.size(), 1u);
    if (--setup_.calls > 0) return false;
    done_(absl::OkStatus());
    return true;
  }
  void OnFailed(const absl::Status& status) override { done_(status); }

 private:
  Setup setup_;
  StateStore::Committed done_;
};

class CommitThreadTest : public ::testing::Test {
 protected:
  void Start(const StoreLimits& limits = {}) {
    thread_ = std::make_unique<CommitThread>(
        std::make_unique<FakeConnection>(&journal_), limits);
  }
  // Holds the first transaction until `go_`.
  void HoldFirst() {
    journal_.go = &go_;
    journal_.is_running = &is_running_;
  }
  void Post(NumberOperation::Setup setup, CommitTime time = CommitTime::kNow,
            size_t bytes = 0) {
    const size_t index = answers_++;
    thread_->Post(std::make_unique<NumberOperation>(
                      std::move(setup),
                      [this, index](absl::Status status) {
                        absl::MutexLock lock(&mutex_);
                        statuses_.emplace_back(index, std::move(status));
                      }),
                  time, bytes);
  }
  // Ends the thread; the code that each operation got, in the order of Post.
  std::vector<absl::StatusCode> Codes() {
    thread_.reset();
    std::vector<absl::StatusCode> codes(answers_, absl::StatusCode::kUnknown);
    absl::MutexLock lock(&mutex_);
    EXPECT_EQ(statuses_.size(), answers_);
    for (const auto& [index, status] : statuses_) {
      codes[index] = status.code();
    }
    return codes;
  }
  size_t Answered() {
    absl::MutexLock lock(&mutex_);
    return statuses_.size();
  }
  void AwaitAnswers(size_t count) {
    while (Answered() < count) absl::SleepFor(absl::Milliseconds(1));
  }

  Journal journal_;
  absl::Notification go_;
  absl::Notification is_running_;
  std::unique_ptr<CommitThread> thread_;
  size_t answers_ = 0;
  absl::Mutex mutex_;
  std::vector<std::pair<size_t, absl::Status>> statuses_
      ABSL_GUARDED_BY(mutex_);
};

TEST_F(CommitThreadTest, WhatComesDuringACommitIsCommittedTogether) {
  HoldFirst();
  Start();
  Post({.number = 0});
  is_running_.WaitForNotification();
  for (int64_t number = 1; number <= 300; ++number) Post({.number = number});
  go_.Notify();
  EXPECT_THAT(Codes(), Each(absl::StatusCode::kOk));
  const std::vector<std::vector<int64_t>> groups = journal_.groups();
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[1].size(), kGroupOperationsMax);
  EXPECT_EQ(groups[2].size(), 300 - kGroupOperationsMax);
}

TEST_F(CommitThreadTest, AGroupHasABoundInBytes) {
  HoldFirst();
  Start();
  Post({.number = 0});
  is_running_.WaitForNotification();
  for (int64_t number = 1; number <= 3; ++number) {
    Post({.number = number}, CommitTime::kNow, kGroupBytesMax / 2);
  }
  Post({.number = 4}, CommitTime::kNow, 2 * kGroupBytesMax);
  go_.Notify();
  EXPECT_THAT(Codes(), Each(absl::StatusCode::kOk));
  EXPECT_THAT(journal_.groups(), ElementsAre(ElementsAre(0), ElementsAre(1, 2),
                                             ElementsAre(3), ElementsAre(4)));
}

TEST_F(CommitThreadTest, SessionsAreLockedInOneOrder) {
  HoldFirst();
  Start();
  Post({.number = 0});
  is_running_.WaitForNotification();
  Post({.number = 1, .session_id = "c"});
  Post({.number = 2, .session_id = "b"});
  Post({.number = 3, .session_id = "c"});
  Post({.number = 4, .session_id = ""});  // about many: alone
  Post({.number = 5, .session_id = "b"});
  go_.Notify();
  EXPECT_THAT(Codes(), Each(absl::StatusCode::kOk));
  EXPECT_THAT(journal_.groups(),
              ElementsAre(ElementsAre(0), ElementsAre(2, 1, 3), ElementsAre(4),
                          ElementsAre(5)));
}

TEST_F(CommitThreadTest, WhatHasTimeWaitsForOthers) {
  Start({.write_behind = absl::Seconds(60)});
  Post({.number = 1}, CommitTime::kSoon);
  Post({.number = 2}, CommitTime::kSoon);
  absl::SleepFor(absl::Milliseconds(50));
  EXPECT_EQ(Answered(), 0u);
  Post({.number = 3});
  AwaitAnswers(3);
  EXPECT_THAT(journal_.groups(), ElementsAre(ElementsAre(1, 2, 3)));
  // The end waits for none.
  Post({.number = 4}, CommitTime::kSoon);
  EXPECT_THAT(Codes(), Each(absl::StatusCode::kOk));
}

TEST_F(CommitThreadTest, WhatHasTimeIsCommittedSoon) {
  Start({.write_behind = absl::Milliseconds(20)});
  Post({.number = 1}, CommitTime::kSoon);
  AwaitAnswers(1);
  EXPECT_THAT(journal_.groups(), ElementsAre(ElementsAre(1)));
}

TEST_F(CommitThreadTest, StepsOfAnOperationFollowEachOther) {
  Start();
  Post({.number = 1, .calls = 3});
  EXPECT_THAT(Codes(), Each(absl::StatusCode::kOk));
  EXPECT_THAT(journal_.groups(),
              ElementsAre(ElementsAre(1), ElementsAre(1), ElementsAre(1)));
}

TEST_F(CommitThreadTest, TheOthersOfAGroupGoOn) {
  HoldFirst();
  Start();
  Post({.number = 0});
  is_running_.WaitForNotification();
  Post({.number = 1});
  Post({.number = 2, .statement = &kWrong});
  Post({.number = 3});
  go_.Notify();
  EXPECT_THAT(Codes(),
              ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kOk,
                          absl::StatusCode::kInternal, absl::StatusCode::kOk));
}

TEST_F(CommitThreadTest, AnAbortedTransactionRunsAgain) {
  journal_.aborts = 3;
  Start();
  Post({.number = 1});
  EXPECT_THAT(Codes(), ElementsAre(absl::StatusCode::kOk));
  journal_.aborts = 1000;
  Start();
  Post({.number = 2});
  EXPECT_EQ(Codes().back(), absl::StatusCode::kUnavailable);
}

TEST_F(CommitThreadTest, OperationsWaitForADatabaseThatIsAway) {
  journal_.is_away = true;
  Start({.patience = absl::Seconds(60)});
  Post({.number = 1});
  Post({.number = 2}, CommitTime::kSoon);
  while (journal_.opens < 3) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(Answered(), 0u);
  journal_.is_away = false;
  AwaitAnswers(2);
  EXPECT_THAT(Codes(), Each(absl::StatusCode::kOk));
}

TEST_F(CommitThreadTest, OperationsDoNotWaitForEver) {
  journal_.is_away = true;
  Start({.patience = absl::Milliseconds(100)});
  for (int64_t number = 1; number <= 3; ++number) Post({.number = number});
  AwaitAnswers(3);
  journal_.is_away = false;
  Post({.number = 4});
  EXPECT_THAT(Codes(), ElementsAre(absl::StatusCode::kUnavailable,
                                   absl::StatusCode::kUnavailable,
                                   absl::StatusCode::kUnavailable,
                                   absl::StatusCode::kOk));
}

TEST_F(CommitThreadTest, TheEndDoesNotWaitForADatabaseThatIsAway) {
  journal_.is_away = true;
  Start({.patience = absl::Hours(1)});
  Post({.number = 1});
  EXPECT_THAT(Codes(), ElementsAre(absl::StatusCode::kUnavailable));
}

TEST_F(CommitThreadTest, TooMuchDoesNotWait) {
  HoldFirst();
  Start();
  Post({.number = 0});
  is_running_.WaitForNotification();
  Post({.number = 1}, CommitTime::kNow, kWaitingBytesMax);
  Post({.number = 2}, CommitTime::kNow, 1);
  EXPECT_EQ(Answered(), 1u);
  go_.Notify();
  AwaitAnswers(3);
  Post({.number = 3}, CommitTime::kNow, 1);
  EXPECT_THAT(Codes(), ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kOk,
                                   absl::StatusCode::kResourceExhausted,
                                   absl::StatusCode::kOk));
}

}  // namespace
}  // namespace tandem
