#include "services/coordinator/workers/worker_pulse.h"

#include <gtest/gtest.h>

#include <functional>

namespace tandem {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Counts what it asks; the test answers.
class CountingPulse : public WorkerPulse {
 public:
  class Question : public Probe {
   public:
    explicit Question(bool* is_over) : is_over_(is_over) {}
    bool is_over() const override { return *is_over_; }

   private:
    bool* const is_over_;
  };

  // Looks every kPulseTick, after `event` each time: how long it takes until
  // the worker hangs, `limit` where it does not.
  MonotonicDuration TimeUntilHung(
      MonotonicDuration limit, const std::function<void()>& event = [] {}) {
    MonotonicDuration passed{};
    while (passed < limit) {
      event();
      passed += kPulseTick;
      if (Look(kPulseTick)) break;
    }
    return passed;
  }
  void Answer() {
    OnHeard();
    is_over = true;
  }

  int asked = 0;
  bool is_over = false;

 protected:
  std::unique_ptr<Probe> Ask() override {
    ++asked;
    is_over = false;
    return std::make_unique<Question>(&is_over);
  }
};

TEST(SilenceBoundTest, GoesByTheSlowestPass) {
  EXPECT_EQ(SilenceBound(0), seconds(2));
  EXPECT_EQ(SilenceBound(5e3), seconds(2));
  EXPECT_EQ(SilenceBound(1e6), seconds(5));
  EXPECT_EQ(SilenceBound(1e30), kSilenceMax);
}

TEST(WorkerPulseTest, AWorkerThatOwesNothingMayBeSilent) {
  CountingPulse pulse;
  EXPECT_EQ(pulse.TimeUntilHung(seconds(60)), seconds(60));
  pulse.OnAsked();
  pulse.OnAsked();
  pulse.OnSettled(2);
  EXPECT_EQ(pulse.TimeUntilHung(seconds(60)), seconds(60));
  EXPECT_EQ(pulse.asked, 0);
}

TEST(WorkerPulseTest, ASilentWorkerIsAskedAndThenHangs) {
  CountingPulse pulse;
  pulse.OnAsked();
  EXPECT_LE(pulse.TimeUntilHung(seconds(1)), seconds(1));
  EXPECT_EQ(pulse.asked, 1);
  EXPECT_FALSE(pulse.TakeHung());
  const MonotonicDuration rest = pulse.TimeUntilHung(seconds(60));
  EXPECT_GE(rest, milliseconds(700));
  EXPECT_LE(rest, seconds(1));
  EXPECT_EQ(pulse.asked, 1);
  EXPECT_TRUE(pulse.TakeHung());
  EXPECT_FALSE(pulse.TakeHung());
  // It gets as long again.
  EXPECT_GE(pulse.TimeUntilHung(seconds(60)), milliseconds(1700));
}

TEST(WorkerPulseTest, SlowPassesGiveMoreTime) {
  CountingPulse pulse;
  pulse.SetSlowestPass(1e6);
  pulse.OnAsked();
  const MonotonicDuration found = pulse.TimeUntilHung(seconds(60));
  EXPECT_GE(found, milliseconds(4500));
  EXPECT_LE(found, seconds(5));
}

// A long prompt, or a turn that waits for KV.
TEST(WorkerPulseTest, AWorkerThatAnswersTheQuestionDoesNotHang) {
  CountingPulse pulse;
  pulse.OnAsked();
  EXPECT_EQ(pulse.TimeUntilHung(seconds(60),
                                [&pulse] {
                                  if (!pulse.is_over && pulse.asked > 0) {
                                    pulse.Answer();
                                  }
                                }),
            seconds(60));
  EXPECT_GT(pulse.asked, 30);
}

TEST(WorkerPulseTest, AWorkerThatIsHeardIsNotAsked) {
  CountingPulse pulse;
  pulse.OnAsked();
  int ticks = 0;
  EXPECT_EQ(pulse.TimeUntilHung(seconds(60),
                                [&] {
                                  if (++ticks % 7 == 0) pulse.OnHeard();
                                }),
            seconds(60));
  EXPECT_EQ(pulse.asked, 0);
}

// The question failed, for want of a connection: it is asked again.
TEST(WorkerPulseTest, AQuestionThatFailsIsNoSign) {
  CountingPulse pulse;
  pulse.OnAsked();
  EXPECT_LE(
      pulse.TimeUntilHung(seconds(60), [&pulse] { pulse.is_over = true; }),
      seconds(2));
  EXPECT_GT(pulse.asked, 3);
}

// This process was stopped, not the worker.
TEST(WorkerPulseTest, OwnSleepIsNoSilence) {
  CountingPulse pulse;
  pulse.OnAsked();
  EXPECT_FALSE(pulse.Look(seconds(3600)));
  EXPECT_FALSE(pulse.Look(seconds(3600)));
  EXPECT_EQ(pulse.asked, 0);
}

}  // namespace
}  // namespace tandem
