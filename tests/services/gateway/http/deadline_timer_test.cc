#include "services/gateway/http/deadline_timer.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

namespace tandem::gateway {
namespace {

// An owner whose deadline counts.
struct Owner {
  explicit Owner(boost::asio::io_context* context)
      : timer(context->get_executor()) {}

  int reached = 0;
  DeadlineTimer timer;
};

class DeadlineTimerTest : public ::testing::Test {
 protected:
  DeadlineTimerTest() {
    owner_->timer.SetOwner(owner_, [this] { ++owner_->reached; });
  }

  void RunFor(absl::Duration time) {
    context_.restart();
    context_.run_for(absl::ToChronoNanoseconds(time));
  }

  boost::asio::io_context context_;
  std::shared_ptr<Owner> owner_ = std::make_shared<Owner>(&context_);
};

TEST_F(DeadlineTimerTest, IsReachedOnce) {
  owner_->timer.Set(absl::Milliseconds(5));
  RunFor(absl::Seconds(5));  // returns when nothing is left to wait for
  EXPECT_EQ(owner_->reached, 1);
}

TEST_F(DeadlineTimerTest, MovesBothWays) {
  owner_->timer.Set(absl::Milliseconds(1));
  owner_->timer.Set(absl::Hours(1));
  RunFor(absl::Milliseconds(50));
  EXPECT_EQ(owner_->reached, 0);
  owner_->timer.Set(absl::Milliseconds(1));
  RunFor(absl::Seconds(5));
  EXPECT_EQ(owner_->reached, 1);
}

TEST_F(DeadlineTimerTest, MayBeClearedAndStopped) {
  owner_->timer.Set(absl::Milliseconds(1));
  owner_->timer.Clear();
  RunFor(absl::Seconds(5));
  owner_->timer.Set(absl::Milliseconds(1));
  owner_->timer.Stop();
  owner_->timer.Set(absl::Milliseconds(1));
  RunFor(absl::Milliseconds(50));
  EXPECT_EQ(owner_->reached, 0);
}

TEST_F(DeadlineTimerTest, IsNothingWithoutItsOwner) {
  owner_->timer.Set(absl::Milliseconds(1));
  owner_.reset();
  RunFor(absl::Seconds(5));
}

}  // namespace
}  // namespace tandem::gateway
