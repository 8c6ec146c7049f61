#include "services/worker/schedule/processor_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

class ProcessorLockTest : public ::testing::Test {
 protected:
  ProcessorLockTest()
      : path_(absl::StrCat(::testing::TempDir(), "processor-lock-", getpid())) {
    EXPECT_EQ(pipe(pipe_), 0);
  }
  ~ProcessorLockTest() override {
    close(pipe_[0]);
    close(pipe_[1]);
    std::remove(path_.c_str());
  }

  // Runs `body` in a process of its own, which ends with it.
  template <typename Body>
  pid_t Fork(const Body& body) {
    const pid_t pid = fork();
    if (pid == 0) {
      body();
      _exit(0);
    }
    return pid;
  }

  std::unique_ptr<ProcessorLock> Lock(
      ProcessorLock::Role role = ProcessorLock::Role::kTarget) const {
    auto lock = ProcessorLock::Open(path_, role);
    if (!lock.ok()) _exit(1);
    return std::move(lock).value();
  }

  void Say(char letter) const {
    if (write(pipe_[1], &letter, 1) != 1) _exit(1);
  }
  char Hear() const {
    char letter = 0;
    EXPECT_EQ(read(pipe_[0], &letter, 1), 1);
    return letter;
  }

  const std::string path_;
  int pipe_[2] = {-1, -1};
};

TEST_F(ProcessorLockTest, AloneItNeverWaits) {
  const auto lock = Lock();
  for (int i = 0; i < 1000; ++i) {
    lock->Acquire();
    lock->Release();
  }
}

TEST_F(ProcessorLockTest, TwoBusyProcessesAlternate) {
  constexpr int kTurns = 500;
  const auto busy = [this](char letter) {
    const auto lock = Lock();
    for (int i = 0; i < kTurns; ++i) {
      lock->Acquire();
      Say(letter);
      usleep(100);  // the other one comes to the turnstile meanwhile
      lock->Release();
    }
  };
  const pid_t first = Fork([&] { busy('a'); });
  const pid_t second = Fork([&] { busy('b'); });
  std::string heard;
  for (int i = 0; i < 2 * kTurns; ++i) heard += Hear();
  int status = 0;
  EXPECT_EQ(waitpid(first, &status, 0), first);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(waitpid(second, &status, 0), second);
  EXPECT_EQ(status, 0);
  // Alone at its start and end a process has turns in a row; while both are
  // busy they alternate, but for a process that the scheduler kept from the
  // turnstile for a whole turn of the other.
  const size_t both_from = std::max(heard.find('a'), heard.find('b'));
  const size_t both_to = std::min(heard.rfind('a'), heard.rfind('b'));
  int repeats = 0;
  for (size_t i = both_from + 1; i <= both_to; ++i) {
    if (heard[i] == heard[i - 1]) ++repeats;
  }
  EXPECT_LT(repeats, static_cast<int>(both_to - both_from) / 4) << heard;
}

TEST_F(ProcessorLockTest, WaiterGoesBeforeTheOneWhoLeaves) {
  // Strict, because the waiter is known to wait for the processor: it holds the
  // turnstile, so the leaver's next Acquire can not overtake it.
  const auto lock = Lock();
  lock->Acquire();
  const pid_t waiter = Fork([this] {
    const auto own = Lock();
    Say('w');
    own->Acquire();
    Say('i');
    own->Release();
  });
  EXPECT_EQ(Hear(), 'w');
  // Its Acquire is under way; wait until it sleeps in the kernel.
  for (bool asleep = false; !asleep;) {
    std::string state;
    FILE* file =
        std::fopen(absl::StrCat("/proc/", waiter, "/wchan").c_str(), "r");
    char text[64] = {};
    if (file != nullptr) {
      if (std::fgets(text, sizeof(text), file) != nullptr) state = text;
      std::fclose(file);
    }
    FILE* stat =
        std::fopen(absl::StrCat("/proc/", waiter, "/stat").c_str(), "r");
    ASSERT_NE(stat, nullptr);
    char letter = 0;
    EXPECT_EQ(std::fscanf(stat, "%*d %*s %c", &letter), 1);
    std::fclose(stat);
    asleep = letter == 'S';
    if (!asleep) usleep(1000);
  }
  lock->Release();
  lock->Acquire();
  Say('m');
  lock->Release();
  EXPECT_EQ(Hear(), 'i');
  EXPECT_EQ(Hear(), 'm');
  int status = 0;
  EXPECT_EQ(waitpid(waiter, &status, 0), waiter);
  EXPECT_EQ(status, 0);
}

TEST_F(ProcessorLockTest, DeathOfTheHolderFreesIt) {
  const pid_t holder = Fork([this] {
    const auto lock = Lock();
    lock->Acquire();
    Say('h');
    while (true) pause();
  });
  EXPECT_EQ(Hear(), 'h');
  const pid_t waiter = Fork([this] {
    const auto lock = Lock();
    Say('w');
    lock->Acquire();
    while (true) pause();
  });
  EXPECT_EQ(Hear(), 'w');
  kill(holder, SIGKILL);
  kill(waiter, SIGKILL);  // waiting or holding, as it happens
  int status = 0;
  EXPECT_EQ(waitpid(holder, &status, 0), holder);
  EXPECT_EQ(waitpid(waiter, &status, 0), waiter);
  const auto lock = Lock();
  lock->Acquire();
  lock->Release();
}

// A process that is stopped inside: the waiter goes without after kHolderMax,
// its next passes go at once, and in turn again when the other one goes on.
TEST_F(ProcessorLockTest, AHungHolderIsNotWaitedFor) {
  const pid_t holder = Fork([this] {
    const auto lock = Lock();
    lock->Acquire();
    Say('h');
    raise(SIGSTOP);
    lock->Release();
    Say('r');
    pause();
  });
  EXPECT_EQ(Hear(), 'h');
  int status = 0;
  EXPECT_EQ(waitpid(holder, &status, WUNTRACED), holder);
  EXPECT_TRUE(WIFSTOPPED(status));
  const auto lock = Lock();
  absl::Time began = MonotonicNow();
  lock->Acquire();
  EXPECT_GE(MonotonicNow() - began, kHolderMax);
  EXPECT_LT(MonotonicNow() - began, 3 * kHolderMax);
  lock->Release();
  began = MonotonicNow();
  for (int i = 0; i < 10; ++i) {
    lock->Acquire();
    lock->Release();
  }
  EXPECT_LT(MonotonicNow() - began, kHolderMax);
  kill(holder, SIGCONT);
  EXPECT_EQ(Hear(), 'r');
  lock->Acquire();
  const auto other = Lock();
  std::thread waiter([this, &other] {
    other->Acquire();
    Say('i');
    other->Release();
  });
  usleep(50000);
  Say('m');
  lock->Release();
  EXPECT_EQ(Hear(), 'm');
  EXPECT_EQ(Hear(), 'i');
  waiter.join();
  kill(holder, SIGKILL);
  EXPECT_EQ(waitpid(holder, &status, 0), holder);
}

TEST_F(ProcessorLockTest, TargetsSeeWhetherDraftsAreUnderWay) {
  const auto target = Lock();
  const auto drafter = Lock(ProcessorLock::Role::kDrafter);
  const auto other = Lock(ProcessorLock::Role::kDrafter);
  target->SetDrafting(true);  // says nothing
  EXPECT_FALSE(target->AreDraftsUnderWay());
  drafter->SetDrafting(true);
  other->SetDrafting(true);
  EXPECT_TRUE(target->AreDraftsUnderWay());
  EXPECT_FALSE(drafter->AreDraftsUnderWay()) << "drafters do not wait for it";
  // It keeps nobody from computing.
  target->Acquire();
  target->Release();
  drafter->Acquire();
  drafter->Release();
  drafter->SetDrafting(false);
  EXPECT_TRUE(target->AreDraftsUnderWay());
  other->SetDrafting(false);
  EXPECT_FALSE(target->AreDraftsUnderWay());
}

TEST_F(ProcessorLockTest, DeathOfADrafterEndsItsDrafts) {
  const pid_t drafter = Fork([this] {
    Lock(ProcessorLock::Role::kDrafter).release()->SetDrafting(true);
    Say('d');
    pause();
  });
  EXPECT_EQ(Hear(), 'd');
  const auto target = Lock();
  EXPECT_TRUE(target->AreDraftsUnderWay());
  kill(drafter, SIGKILL);
  waitpid(drafter, nullptr, 0);
  EXPECT_FALSE(target->AreDraftsUnderWay());
}

TEST_F(ProcessorLockTest, BadPathIsNamed) {
  const absl::Status status =
      ProcessorLock::Open("/no/such/dir/file", ProcessorLock::Role::kTarget)
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("/no/such/dir/file"),
            std::string::npos);
}

}  // namespace
}  // namespace tandem
