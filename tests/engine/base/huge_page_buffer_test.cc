#include "engine/base/huge_page_buffer.h"

#include <gtest/gtest.h>

#include <new>
#include <utility>

#include "engine/base/memory_reservation.h"

namespace tandem {
namespace {

TEST(HugePageBufferTest, IsZeroAndWritable) {
  for (size_t size :
       {size_t{1}, size_t{4096}, size_t{4097}, (size_t{2} << 20) - 1,
        size_t{2} << 20, (size_t{5} << 20) + 123}) {
    HugePageBuffer buffer(size);
    EXPECT_EQ(buffer.size(), size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 4096, 0u);
    for (size_t i = 0; i < size; ++i) ASSERT_EQ(buffer.data()[i], 0);
    buffer.data()[0] = 1;
    buffer.data()[size - 1] = 2;
  }
}

TEST(HugePageBufferTest, LargeOnesAreAlignedToHugePages) {
  const HugePageBuffer buffer(size_t{3} << 20);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % (2 << 20), 0u);
}

TEST(HugePageBufferTest, AnArrayTakesMemoryWhereItIsWritten) {
  constexpr size_t kCount = size_t{1} << 28;
  HugePageArray<double> array(kCount);  // 2 GiB
  EXPECT_EQ(array.size(), kCount);
  const int64_t before = ResidentBytes(0);
  EXPECT_EQ(array[kCount - 1], 0.0);
  array[kCount / 2] = 1.5;
  EXPECT_EQ(array.data()[kCount / 2], 1.5);
  EXPECT_LE(ResidentBytes(0) - before, int64_t{8} << 20);
  EXPECT_EQ(HugePageArray<int>().size(), 0u);
}

TEST(HugePageBufferTest, Moves) {
  HugePageBuffer a(100);
  a.data()[7] = 9;
  HugePageBuffer b(std::move(a));
  EXPECT_EQ(b.data()[7], 9);
  HugePageBuffer c(50);
  c = std::move(b);
  EXPECT_EQ(c.data()[7], 9);
  EXPECT_EQ(c.size(), 100u);
  const HugePageBuffer empty;
  EXPECT_EQ(empty.size(), 0u);
  EXPECT_EQ(HugePageBuffer(0).data(), nullptr);
}

TEST(HugePageBufferTest, RefusesWhatNoAddressSpaceHolds) {
  EXPECT_THROW(HugePageBuffer(size_t{1} << 60), std::bad_alloc);
}

}  // namespace
}  // namespace tandem
