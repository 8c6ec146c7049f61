#include "services/worker/schedule/room_forecast.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(RoomForecastTest, UnknownUntilSomethingWasFreed) {
  const absl::Time now = absl::FromUnixSeconds(100);
  RoomForecast forecast(now);
  EXPECT_EQ(forecast.DelayFor(now, 5), kForecastUnknown);
  EXPECT_EQ(forecast.DelayFor(now, 0), kForecastMin);
  EXPECT_EQ(forecast.DelayFor(now, -3), kForecastMin);
  EXPECT_EQ(RoomForecast(absl::InfinitePast()).DelayFor(now, 5),
            kForecastUnknown);
}

// A steady 10 pages a second, in pieces of one each tenth of a second: 20 pages
// take 2 s. The window of 10 s holds 100 pieces, each known to one piece, so
// the rate is right to about a hundredth, young or old.
TEST(RoomForecastTest, FollowsTheRate) {
  for (const int seconds : {1, 5, 100}) {
    const absl::Time began = absl::FromUnixSeconds(100);
    RoomForecast forecast(began);
    absl::Time now = began;
    for (int i = 0; i < seconds * 10; ++i) {
      now += absl::Milliseconds(100);
      forecast.OnFreed(now, 1);
    }
    EXPECT_NEAR(absl::ToDoubleSeconds(forecast.DelayFor(now, 20)), 2, 0.11)
        << seconds;
    EXPECT_EQ(forecast.DelayFor(now, 1000000), kForecastMax);
    EXPECT_EQ(forecast.DelayFor(now, 1), kForecastMin);
  }
}

TEST(RoomForecastTest, NewerRoomWeighsMore) {
  const absl::Time began = absl::FromUnixSeconds(100);
  RoomForecast forecast(began);
  absl::Time now = began;
  for (int i = 0; i < 1000; ++i) {
    now += absl::Milliseconds(100);
    forecast.OnFreed(now, 10);
  }
  const absl::Duration busy = forecast.DelayFor(now, 100);
  now += kForecastWindow;
  EXPECT_GT(forecast.DelayFor(now, 100), 2 * busy);
}

}  // namespace
}  // namespace tandem
