#include "services/worker/schedule/open_queue.h"

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

std::vector<uint64_t> Drain(OpenQueue* queue) {
  std::vector<uint64_t> order;
  while (const std::optional<uint64_t> head = queue->Head()) {
    order.push_back(*head);
    queue->PopHead();
  }
  return order;
}

TEST(OpenQueueTest, TenantsTakeTurns) {
  OpenQueue queue;
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

TEST(OpenQueueTest, AHeadThatGoesLeavesTheTurnToItsTenant) {
  OpenQueue queue;
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

TEST(OpenQueueTest, TimeIsOverInOrder) {
  OpenQueue queue;
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
  void Push(const QueuedOpen& open) {
    if (std::find(turns_.begin(), turns_.end(), open.tenant) == turns_.end()) {
      turns_.push_back(open.tenant);
    }
    opens_.push_back(open);
  }
  std::optional<uint64_t> Head() const {
    for (const QueuedOpen& open : opens_) {
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
                     [id](const QueuedOpen& open) { return open.id == id; });
    if (found == opens_.end()) return;
    const std::string tenant = found->tenant;
    opens_.erase(found);
    if (std::none_of(opens_.begin(), opens_.end(),
                     [&tenant](const QueuedOpen& open) {
                       return open.tenant == tenant;
                     })) {
      turns_.remove(tenant);
    }
  }
  const std::list<QueuedOpen>& opens() const { return opens_; }

 private:
  std::list<QueuedOpen> opens_;
  std::list<std::string> turns_;
};

TEST(OpenQueueTest, RandomTrafficKeepsTheOrder) {
  uint64_t state = 7;
  const auto random = [&state](uint64_t below) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % below;
  };
  OpenQueue queue;
  PlainQueue plain;
  uint64_t next = 1;
  for (int step = 0; step < 20000; ++step) {
    const uint64_t action = random(5);
    if (action <= 1) {
      const QueuedOpen open = {
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
      for (const QueuedOpen& open : plain.opens()) {
        ASSERT_GT(open.until, At(step));
      }
    }
    ASSERT_EQ(queue.size(), plain.opens().size());
    ASSERT_EQ(queue.Head(), plain.Head());
  }
}

}  // namespace
}  // namespace tandem
