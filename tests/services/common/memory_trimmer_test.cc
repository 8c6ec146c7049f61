#include "services/common/memory_trimmer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace tandem {
namespace {

TEST(MemoryTrimmerTest, LooksThatTakeLongAreRare) {
  EXPECT_LT(PauseAfterLook(absl::Milliseconds(1)), absl::Seconds(6));
  EXPECT_GE(PauseAfterLook(absl::Seconds(1)), absl::Seconds(50));
}

TEST(MemoryTrimmerTest, FreedMemoryGoesBack) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer has an allocator of its own";
#endif
  constexpr int64_t kBurstBytes = int64_t{128} << 20;
  constexpr int64_t kPieceBytes = 4096;
  std::vector<std::unique_ptr<char[]>> burst(kBurstBytes / kPieceBytes);
  for (auto& piece : burst) {
    piece = std::make_unique<char[]>(kPieceBytes);  // zeros: touched
  }
  // One piece in each 256 stays, so that what is free lies between.
  for (size_t i = 0; i < burst.size(); ++i) {
    if (i % 256 != 255) burst[i].reset();
  }
  EXPECT_GT(UnusedHeapBytes(), kBurstBytes / 2);
  std::atomic<int> looks{0};
  const MemoryTrimmer trimmer([&looks] { ++looks; });
  while (UnusedHeapBytes() > kBurstBytes / 4) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GT(looks, 0);
}

}  // namespace
}  // namespace tandem
