#include "services/coordinator/turn/load_tracker.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

WorkerLoad Told() {
  return {.streams = 5,
          .requests_pending = 2,
          .streams_queued = 0,
          .kv_pages_free = 10,
          .kv_pages_cached = 3,
          .kv_pages_total = 20,
          .kv_page_tokens = 16};
}

TEST(LoadTrackerTest, CountsOwnStreamsBeforeAnyReport) {
  LoadTracker tracker;
  EXPECT_EQ(tracker.load(), WorkerLoad());
  tracker.OnOpened(100);
  tracker.OnOpened(100);
  EXPECT_EQ(tracker.load().streams, 2);
  tracker.OnClosed();
  EXPECT_EQ(tracker.load().streams, 1);
  EXPECT_EQ(tracker.own_streams(), 1);
}

TEST(LoadTrackerTest, AddsWhatHappenedSinceTheReport) {
  LoadTracker tracker;
  tracker.OnOpened(100);  // among the five that it tells
  tracker.OnReport(Told());
  EXPECT_EQ(tracker.load(), Told());
  tracker.OnOpened(17);
  EXPECT_EQ(tracker.load().streams, 6);
  EXPECT_EQ(tracker.load().kv_pages_free, 8);  // two pages
  tracker.OnOpened(1000);
  EXPECT_EQ(tracker.load().kv_pages_free, 0);
  tracker.OnClosed();
  tracker.OnClosed();
  tracker.OnClosed();
  EXPECT_EQ(tracker.load().streams, 4);
  tracker.OnReport(Told());
  EXPECT_EQ(tracker.load(), Told());
  tracker.Forget();
  EXPECT_EQ(tracker.load(), WorkerLoad());
}

TEST(HasRoomTest, LooksAtFreePagesAndAtThoseThatWait) {
  WorkerLoad load = Told();
  EXPECT_TRUE(HasRoom(load, 160));
  EXPECT_FALSE(HasRoom(load, 161));
  load.streams_queued = 1;
  EXPECT_FALSE(HasRoom(load, 1));
  EXPECT_TRUE(HasRoom(WorkerLoad(), 1 << 30));  // says nothing of KV
}

}  // namespace
}  // namespace tandem
