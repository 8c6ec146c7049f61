#include "engine/base/machine_memory.h"

#include <gtest/gtest.h>

#include "tests/engine/base/fake_system.h"

namespace tandem {
namespace {

TEST(MachineMemoryTest, ReadsWhatThereIs) {
  const FakeSystem system;
  system.SetAvailable(5 * kGiB);
  system.SetGroup2("/a", 2 * kGiB);
  system.Write("/proc/self/status", "Name:\tx\nRssAnon:\t    2048 kB\n");
  const MachineMemory memory = ReadMachineMemory({.process_bytes_max = 7,
                                                  .planned_bytes = 8,
                                                  .more_to_come = true,
                                                  .root = system.root()});
  EXPECT_EQ(memory.available_bytes, 5 * kGiB);
  ASSERT_EQ(memory.groups.size(), 1u);
  EXPECT_EQ(memory.groups[0].limit_bytes, 2 * kGiB);
  EXPECT_EQ(memory.resident_bytes, 2 * kMiB);
  EXPECT_EQ(memory.process_bytes_max, 7);
  EXPECT_EQ(memory.planned_bytes, 8);
  EXPECT_TRUE(memory.more_to_come);
}

TEST(MachineMemoryTest, OldKernelsAndOddFiles) {
  const FakeSystem system;
  EXPECT_FALSE(
      ReadMachineMemory({.root = system.root()}).available_bytes.has_value());
  system.Write("/proc/meminfo", "MemTotal: 9 kB\nMemFree:   1024 kB\n");
  EXPECT_EQ(ReadMachineMemory({.root = system.root()}).available_bytes, kMiB);
  for (const char* text : {"MemAvailable: x kB\n", "MemAvailable: -5 kB\n",
                           "MemAvailable: 99999999999999999999 kB\n",
                           "MemAvailable", "MemAvailable:\n"}) {
    system.Write("/proc/meminfo", text);
    EXPECT_FALSE(
        ReadMachineMemory({.root = system.root()}).available_bytes.has_value())
        << text;
  }
}

TEST(MachineMemoryTest, ThisMachine) {
  const MachineMemory memory = ReadMachineMemory();
  ASSERT_TRUE(memory.available_bytes.has_value());
  EXPECT_GT(*memory.available_bytes, 0);
  EXPECT_GT(memory.resident_bytes, 0);
}

}  // namespace
}  // namespace tandem
