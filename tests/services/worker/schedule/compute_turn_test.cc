#include "services/worker/schedule/compute_turn.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace tandem {
namespace {

bool Never() { return false; }
bool Always() { return true; }

class ComputeTurnTest : public ::testing::Test {
 protected:
  ComputeTurnTest()
      : path_(absl::StrCat(::testing::TempDir(), "turn-", getpid())) {
    EXPECT_EQ(pipe(pipe_), 0);
  }
  ~ComputeTurnTest() override {
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

  std::unique_ptr<ComputeTurn> Turn(
      ComputeTurn::Role role = ComputeTurn::Role::kTarget) const {
    auto turn = ComputeTurn::Open(path_, role);
    if (!turn.ok()) _exit(1);
    return std::move(turn).value();
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

TEST_F(ComputeTurnTest, AloneItNeverWaits) {
  const auto turn = Turn();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(turn->Acquire(absl::ZeroDuration(), Never).ok());
    turn->Release();
  }
}

TEST_F(ComputeTurnTest, TwoBusyProcessesAlternate) {
  constexpr int kTurns = 500;
  const auto busy = [this](char letter) {
    const auto turn = Turn();
    for (int i = 0; i < kTurns; ++i) {
      if (!turn->Acquire(absl::ZeroDuration(), Never).ok()) _exit(1);
      Say(letter);
      usleep(100);  // the other one comes to the gate meanwhile
      turn->Release();
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
  // gate for a whole turn of the other.
  const size_t both_from = std::max(heard.find('a'), heard.find('b'));
  const size_t both_to = std::min(heard.rfind('a'), heard.rfind('b'));
  int repeats = 0;
  for (size_t i = both_from + 1; i <= both_to; ++i) {
    if (heard[i] == heard[i - 1]) ++repeats;
  }
  EXPECT_LT(repeats, static_cast<int>(both_to - both_from) / 4) << heard;
}

TEST_F(ComputeTurnTest, WaiterGoesBeforeTheOneWhoLeaves) {
  // Strict, because the waiter is known to stand at the room: it holds the
  // gate, so the leaver's next Acquire can not overtake it.
  const auto turn = Turn();
  ASSERT_TRUE(turn->Acquire(absl::ZeroDuration(), Never).ok());
  const pid_t waiter = Fork([this] {
    const auto own = Turn();
    Say('w');
    if (!own->Acquire(absl::ZeroDuration(), Never).ok()) _exit(1);
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
  turn->Release();
  ASSERT_TRUE(turn->Acquire(absl::ZeroDuration(), Never).ok());
  Say('m');
  turn->Release();
  EXPECT_EQ(Hear(), 'i');
  EXPECT_EQ(Hear(), 'm');
  int status = 0;
  EXPECT_EQ(waitpid(waiter, &status, 0), waiter);
  EXPECT_EQ(status, 0);
}

TEST_F(ComputeTurnTest, DeathOfTheHolderFreesIt) {
  const pid_t holder = Fork([this] {
    const auto turn = Turn();
    if (!turn->Acquire(absl::ZeroDuration(), Never).ok()) _exit(1);
    Say('h');
    while (true) pause();
  });
  EXPECT_EQ(Hear(), 'h');
  const pid_t waiter = Fork([this] {
    const auto turn = Turn();
    Say('w');
    if (!turn->Acquire(absl::ZeroDuration(), Never).ok()) _exit(1);
    while (true) pause();
  });
  EXPECT_EQ(Hear(), 'w');
  kill(holder, SIGKILL);
  kill(waiter, SIGKILL);  // waiting or holding, as it happens
  int status = 0;
  EXPECT_EQ(waitpid(holder, &status, 0), holder);
  EXPECT_EQ(waitpid(waiter, &status, 0), waiter);
  const auto turn = Turn();
  ASSERT_TRUE(turn->Acquire(absl::ZeroDuration(), Never).ok());
  turn->Release();
}

TEST_F(ComputeTurnTest, DraftsUnderWayGoFirst) {
  const auto target = Turn();
  const auto drafter = Turn(ComputeTurn::Role::kDrafter);
  const auto other = Turn(ComputeTurn::Role::kDrafter);
  drafter->SetDrafting(true);
  other->SetDrafting(true);
  EXPECT_TRUE(drafter->drafting());
  // Not longer than it has patience, nor than it wants to.
  const absl::Time began = absl::Now();
  ASSERT_TRUE(target->Acquire(absl::Milliseconds(20), Always).ok());
  EXPECT_GE(absl::Now() - began, absl::Milliseconds(20));
  target->Release();
  ASSERT_TRUE(target->Acquire(absl::InfiniteDuration(), Never).ok());
  target->Release();
  // Drafters do not wait for each other's drafts.
  ASSERT_TRUE(drafter->Acquire(absl::InfiniteDuration(), Always).ok());
  drafter->Release();
  int looks = 0;
  const auto end_after_some = [&] {
    if (++looks == 3) drafter->SetDrafting(false);
    if (looks == 6) other->SetDrafting(false);
    return true;
  };
  ASSERT_TRUE(target->Acquire(absl::InfiniteDuration(), end_after_some).ok());
  EXPECT_EQ(looks, 6);
  target->Release();
}

TEST_F(ComputeTurnTest, DeathOfADrafterEndsItsDrafts) {
  const pid_t drafter = Fork([this] {
    Turn(ComputeTurn::Role::kDrafter).release()->SetDrafting(true);
    Say('d');
    pause();
  });
  EXPECT_EQ(Hear(), 'd');
  const auto target = Turn();
  const auto kill_it = [drafter] {
    kill(drafter, SIGKILL);
    return true;
  };
  ASSERT_TRUE(target->Acquire(absl::InfiniteDuration(), kill_it).ok());
  waitpid(drafter, nullptr, 0);
}

TEST_F(ComputeTurnTest, BadPathIsNamed) {
  const absl::Status status =
      ComputeTurn::Open("/no/such/dir/file", ComputeTurn::Role::kTarget)
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(status.message()).find("/no/such/dir/file"),
            std::string::npos);
}

}  // namespace
}  // namespace tandem
