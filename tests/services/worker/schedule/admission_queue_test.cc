#include "services/worker/schedule/admission_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <string>

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

absl::Time At(int64_t seconds) { return absl::FromUnixSeconds(seconds); }

std::vector<uint64_t> Drain(AdmissionQueue* queue) {
  std::vector<uint64_t> order;
  while (const std::optional<uint64_t> head = queue->Head()) {
    order.push_back(*head);
    queue->PopHead();
  }
  return order;
}

TEST(AdmissionQueueTest, TenantsTakeTurns) {
  AdmissionQueue queue;
  EXPECT_EQ(queue.Head(), std::nullopt);
  EXPECT_EQ(queue.NextExpiry(), absl::InfiniteFuture());
  for (uint64_t id = 1; id <= 4; ++id) {
    queue.Push({.id = id, .tenant = "a", .until = At(9)});
  }
  queue.Push({.id = 10, .tenant = "b", .until = At(9)});
  queue.Push({.id = 20, .tenant = "c", .until = At(9)});
  queue.Push({.id = 11, .tenant = "b", .until = At(9)});
  EXPECT_EQ(queue.size(), 7u);
  EXPECT_THAT(Drain(&queue), ElementsAre(1, 10, 20, 2, 11, 3, 4));
  EXPECT_TRUE(queue.empty());
}

TEST(AdmissionQueueTest, AHeadThatGoesLeavesTheTurnToItsTenant) {
  AdmissionQueue queue;
  queue.Push({.id = 1, .tenant = "a", .until = At(9)});
  queue.Push({.id = 2, .tenant = "b", .until = At(9)});
  queue.Push({.id = 3, .tenant = "a", .until = At(9)});
  queue.Remove(1);
  queue.Remove(1);
  queue.Remove(99);
  EXPECT_EQ(queue.Head(), 3u);
  queue.Remove(3);
  EXPECT_THAT(Drain(&queue), ElementsAre(2));
}

TEST(AdmissionQueueTest, ATenantMayPassItsTurn) {
  AdmissionQueue queue;
  queue.Push({.id = 1, .tenant = "a", .until = At(9)});
  queue.Push({.id = 2, .tenant = "b", .until = At(9)});
  queue.Push({.id = 3, .tenant = "a", .until = At(9)});
  EXPECT_EQ(queue.tenants(), 2u);
  queue.PassTurn();
  EXPECT_THAT(Drain(&queue), ElementsAre(2, 1, 3));
  EXPECT_EQ(queue.tenants(), 0u);
}

TEST(AdmissionQueueTest, TimeIsOverInOrder) {
  AdmissionQueue queue;
  queue.Push({.id = 1, .tenant = "a", .until = At(30)});
  queue.Push({.id = 2, .tenant = "a", .until = At(10)});
  queue.Push({.id = 3, .tenant = "b", .until = At(20)});
  EXPECT_EQ(queue.NextExpiry(), At(10));
  EXPECT_THAT(queue.TakeExpired(At(9)), IsEmpty());
  EXPECT_THAT(queue.TakeExpired(At(20)), ElementsAre(2, 3));
  EXPECT_EQ(queue.NextExpiry(), At(30));
  EXPECT_THAT(Drain(&queue), ElementsAre(1));
}

// The same order, by searching a list: the head is the oldest open of the
// tenant that had its last turn longest ago, where a tenant that comes new, or
// back, counts as just served.
class PlainQueue {
 public:
  void Push(const WaitingOpen& open) {
    if (std::find(turns_.begin(), turns_.end(), open.tenant) == turns_.end()) {
      turns_.push_back(open.tenant);
    }
    opens_.push_back(open);
  }
  std::optional<uint64_t> Head() const {
    for (const WaitingOpen& open : opens_) {
      if (open.tenant == turns_.front()) return open.id;
    }
    return std::nullopt;
  }
  void PopHead() {
    const std::string tenant = turns_.front();
    Remove(*Head());
    if (turns_.empty() || turns_.front() != tenant) return;
    turns_.splice(turns_.end(), turns_, turns_.begin());
  }
  void Remove(uint64_t id) {
    const auto found =
        std::find_if(opens_.begin(), opens_.end(),
                     [id](const WaitingOpen& open) { return open.id == id; });
    if (found == opens_.end()) return;
    const std::string tenant = found->tenant;
    opens_.erase(found);
    if (std::none_of(opens_.begin(), opens_.end(),
                     [&tenant](const WaitingOpen& open) {
                       return open.tenant == tenant;
                     })) {
      turns_.remove(tenant);
    }
  }
  const std::list<WaitingOpen>& opens() const { return opens_; }

 private:
  std::list<WaitingOpen> opens_;
  std::list<std::string> turns_;
};

TEST(AdmissionQueueTest, RandomTrafficKeepsTheOrder) {
  uint64_t state = 7;
  const auto random = [&state](uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  AdmissionQueue queue;
  PlainQueue plain;
  uint64_t next = 1;
  for (int step = 0; step < 20000; ++step) {
    const uint64_t action = random(5);
    if (action <= 1) {
      const WaitingOpen open = {
          .id = next++,
          .tenant = std::string(1, static_cast<char>('a' + random(4))),
          .until = At(step + static_cast<int64_t>(random(200)))};
      plain.Push(open);
      queue.Push(open);
    } else if (action == 2) {
      const uint64_t id = 1 + random(next);
      plain.Remove(id);
      queue.Remove(id);
    } else if (action == 3 && !queue.empty()) {
      plain.PopHead();
      queue.PopHead();
    } else if (action == 4) {
      for (const uint64_t id : queue.TakeExpired(At(step))) plain.Remove(id);
      for (const WaitingOpen& open : plain.opens()) {
        ASSERT_GT(open.until, At(step));
      }
    }
    ASSERT_EQ(queue.size(), plain.opens().size());
    ASSERT_EQ(queue.Head(), plain.Head());
  }
}

// Places enough, so that the pages alone count.
constexpr int64_t kPlaces = 1000;

TEST(RetryAfterTest, IsUnknownUntilSomethingWasFreed) {
  AdmissionQueue queue;
  EXPECT_EQ(queue.RetryAfter(5, {.pages = 0, .sequences = kPlaces}, At(100)),
            kRetryAfterUnknown);
  queue.BeginRates(At(100));
  EXPECT_EQ(queue.RetryAfter(5, {.pages = 0, .sequences = kPlaces}, At(100)),
            kRetryAfterUnknown);
  EXPECT_EQ(queue.RetryAfter(5, {.pages = 5, .sequences = kPlaces}, At(100)),
            kRetryAfterMin);
  EXPECT_EQ(queue.RetryAfter(5, {.pages = 5, .sequences = 0}, At(100)),
            kRetryAfterUnknown)
      << "a place is missing";
}

// A steady 10 pages a second, in pieces of one each tenth of a second: 20 pages
// take 2 s. The window of 10 s holds 100 pieces, each known to one piece, so
// the rate is right to about a hundredth, young or old.
TEST(RetryAfterTest, FollowsTheRate) {
  for (const int seconds : {1, 5, 100}) {
    AdmissionQueue queue;
    absl::Time now = At(100);
    queue.BeginRates(now);
    for (int i = 0; i < seconds * 10; ++i) {
      now += absl::Milliseconds(100);
      queue.OnFreed({.pages = 1, .sequences = 1}, now);
    }
    const Vacancy none = {.pages = 0, .sequences = kPlaces};
    EXPECT_NEAR(absl::ToDoubleSeconds(queue.RetryAfter(20, none, now)), 2, 0.11)
        << seconds;
    EXPECT_EQ(queue.RetryAfter(1000000, none, now), kRetryAfterMax);
    EXPECT_EQ(queue.RetryAfter(1, none, now), kRetryAfterMin);
    // What waits already comes first.
    queue.Push({.id = 1, .tenant = "a", .until = At(900), .pages = 15});
    EXPECT_NEAR(absl::ToDoubleSeconds(queue.RetryAfter(5, none, now)), 2, 0.11);
    // Ten places a second too.
    EXPECT_NEAR(absl::ToDoubleSeconds(
                    queue.RetryAfter(0, {.pages = 99, .sequences = -18}, now)),
                2, 0.11);
  }
}

TEST(RetryAfterTest, NewerEventsWeighMore) {
  AdmissionQueue queue;
  absl::Time now = At(100);
  queue.BeginRates(now);
  for (int i = 0; i < 1000; ++i) {
    now += absl::Milliseconds(100);
    queue.OnFreed({.pages = 10, .sequences = 1}, now);
  }
  const Vacancy none = {.pages = 0, .sequences = kPlaces};
  const absl::Duration busy = queue.RetryAfter(100, none, now);
  now += kRateWindow;
  EXPECT_GT(queue.RetryAfter(100, none, now), 2 * busy);
}

}  // namespace
}  // namespace tandem
