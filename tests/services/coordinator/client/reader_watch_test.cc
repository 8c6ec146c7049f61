#include "services/coordinator/client/reader_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ReaderWatchTest : public ::testing::Test {
 protected:
  ReaderWatchTest()
      : loop_(&clock_),
        watch_(&loop_, seconds(2),
               [this](MonotonicDuration since) { stalls_.push_back(since); }) {}
  ~ReaderWatchTest() override { watch_.Stop(); }

  void RunSeconds(int count) {
    for (int i = 0; i < count; ++i) {
      clock_.AdvanceTo(clock_.Now() + seconds(1));
      loop_.RunReady();
    }
  }

  FakeClock clock_;
  EventLoop loop_;
  std::vector<MonotonicDuration> stalls_;
  ReaderWatch watch_;
};

TEST_F(ReaderWatchTest, ReportsAWriteThatIsNotDone) {
  EXPECT_FALSE(watch_.is_writing());
  watch_.OnWrite();
  EXPECT_TRUE(watch_.is_writing());
  RunSeconds(1);
  EXPECT_THAT(stalls_, IsEmpty());
  RunSeconds(5);
  EXPECT_THAT(stalls_, ElementsAre(seconds(2), seconds(4), seconds(6)));
  watch_.OnWriteDone();
  EXPECT_FALSE(watch_.is_writing());
  RunSeconds(5);
  EXPECT_EQ(stalls_.size(), 3u);
  EXPECT_EQ(loop_.NextTimer(), std::nullopt);
}

TEST_F(ReaderWatchTest, AReaderThatMovesIsNotReported) {
  for (int i = 0; i < 20; ++i) {
    watch_.OnWrite();
    RunSeconds(1);
    watch_.OnWriteDone();
  }
  EXPECT_THAT(stalls_, IsEmpty());
  watch_.OnWrite();
  RunSeconds(2);
  EXPECT_THAT(stalls_, ElementsAre(seconds(2)));
}

TEST_F(ReaderWatchTest, StopEndsIt) {
  watch_.OnWrite();
  watch_.Stop();
  RunSeconds(10);
  EXPECT_THAT(stalls_, IsEmpty());
}

}  // namespace
}  // namespace tandem
