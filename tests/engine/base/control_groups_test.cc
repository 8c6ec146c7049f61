#include "engine/base/control_groups.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/engine/base/fake_system.h"

namespace tandem {
namespace {

constexpr char kStat2[] =
    "anon 1000\nfile 5000\ninactive_file 3000\nactive_file 1000\n"
    "slab_reclaimable 500\n";

TEST(ControlGroupsTest, AMachineWithoutGroupsHasNoLimits) {
  const FakeSystem system;
  EXPECT_TRUE(ReadGroupMemory(system.root()).empty());
  EXPECT_FALSE(ReadProcessorQuota(system.root()).has_value());
  system.SetGroup2("/", 0);
  system.Write("/sys/fs/cgroup/memory.max", "max\n");
  system.Write("/sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_TRUE(ReadGroupMemory(system.root()).empty());
  EXPECT_FALSE(ReadProcessorQuota(system.root()).has_value());
}

// What the kernel can take back does not count as held.
TEST(ControlGroupsTest, Version2) {
  const FakeSystem system;
  system.SetGroup2("/pod/worker", 2 * kGiB);
  system.Write("/sys/fs/cgroup/pod/worker/memory.current", "10000\n");
  system.Write("/sys/fs/cgroup/pod/worker/memory.stat", kStat2);
  system.Write("/sys/fs/cgroup/pod/worker/cpu.max", "50000 100000\n");
  const std::vector<GroupMemory> memory = ReadGroupMemory(system.root());
  ASSERT_EQ(memory.size(), 1u);
  EXPECT_EQ(memory[0].limit_bytes, 2 * kGiB);
  EXPECT_EQ(memory[0].held_bytes, 10000 - 4500);
  EXPECT_EQ(memory[0].group, system.root() + "/sys/fs/cgroup/pod/worker");
  EXPECT_TRUE(memory[0].is_own);
  EXPECT_EQ(ReadProcessorQuota(system.root()), 0.5);
}

// The group around may have less left, though its limit is higher.
TEST(ControlGroupsTest, AllGroupsAroundFromTheInside) {
  const FakeSystem system;
  system.SetGroup2("/a/b/c", 4 * kGiB);
  system.Write("/sys/fs/cgroup/a/b/memory.max", "max\n");
  system.Write("/sys/fs/cgroup/a/memory.max", "5368709120\n");
  system.Write("/sys/fs/cgroup/a/memory.current", "4294967296\n");
  system.Write("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  system.Write("/sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n");
  const std::vector<GroupMemory> memory = ReadGroupMemory(system.root());
  ASSERT_EQ(memory.size(), 2u);
  EXPECT_EQ(memory[0].limit_bytes, 4 * kGiB);
  EXPECT_TRUE(memory[0].is_own);
  EXPECT_EQ(memory[1].limit_bytes, 5 * kGiB);
  EXPECT_EQ(memory[1].held_bytes, 4 * kGiB);
  EXPECT_FALSE(memory[1].is_own) << "others are in it";
  EXPECT_NE(memory[0].id, "");
  EXPECT_NE(memory[1].id, memory[0].id);
  EXPECT_EQ(memory[1].id, ReadGroupMemory(system.root()).at(1).id);
  EXPECT_EQ(ReadProcessorQuota(system.root()), 1.5);
}

TEST(ControlGroupsTest, TheHighMarkIsALimitToo) {
  const FakeSystem system;
  system.SetGroup2("/a", 4 * kGiB);
  system.Write("/sys/fs/cgroup/a/memory.high", "1073741824\n");
  EXPECT_EQ(ReadGroupMemory(system.root()).at(0).limit_bytes, kGiB);
}

void WriteVersion1(const FakeSystem& system, const std::string& mount_root) {
  system.Write(
      "/proc/self/mountinfo",
      "35 31 0:32 " + mount_root +
          " /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup "
          "rw,memory\n"
          "36 31 0:33 " +
          mount_root +
          " /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup "
          "rw,cpu,cpuacct\n"
          "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n");
  system.Write("/proc/self/cgroup",
               "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n");
  system.Write("/proc/self/stat", "1 (worker) S 0\n");
}

TEST(ControlGroupsTest, Version1) {
  const FakeSystem system;
  WriteVersion1(system, "/");
  const std::string group = "/sys/fs/cgroup/memory/docker/abc";
  system.Write(group + "/memory.limit_in_bytes", "3221225472\n");
  system.Write(group + "/memory.usage_in_bytes", "1000000\n");
  system.Write(group + "/memory.stat",
               "inactive_file 1\ntotal_inactive_file 300000\n"
               "total_active_file 100000\n"
               "hierarchical_memory_limit 9223372036854771712\n");
  system.Write("/sys/fs/cgroup/memory/memory.limit_in_bytes",
               "9223372036854771712\n");
  const std::string processors = "/sys/fs/cgroup/cpu,cpuacct/docker/abc";
  system.Write(processors + "/cpu.cfs_quota_us", "250000\n");
  system.Write(processors + "/cpu.cfs_period_us", "100000\n");
  const std::vector<GroupMemory> memory = ReadGroupMemory(system.root());
  ASSERT_EQ(memory.size(), 1u);
  EXPECT_EQ(memory[0].limit_bytes, 3 * kGiB);
  EXPECT_EQ(memory[0].held_bytes, 600000);
  EXPECT_TRUE(memory[0].is_own) << "process number 1";
  EXPECT_EQ(ReadProcessorQuota(system.root()), 2.5);
}

// A container sees its own group as the mount's root; groups around it, which
// it can not see, tell their limit in memory.stat.
TEST(ControlGroupsTest, Version1InAContainer) {
  const FakeSystem system;
  WriteVersion1(system, "/docker/abc");
  const std::string group = "/sys/fs/cgroup/memory";
  system.Write(group + "/memory.limit_in_bytes", "3221225472\n");
  system.Write(group + "/memory.stat",
               "hierarchical_memory_limit 2147483648\n");
  EXPECT_EQ(ReadGroupMemory(system.root()).at(0).limit_bytes, 2 * kGiB);
  // A group outside of what is mounted.
  WriteVersion1(system, "/docker/abcdef");
  EXPECT_EQ(ReadGroupMemory(system.root()).at(0).limit_bytes, 2 * kGiB);
  WriteVersion1(system, "/");
  system.Write("/proc/self/cgroup", "4:memory:/../../other\n");
  EXPECT_EQ(ReadGroupMemory(system.root()).at(0).limit_bytes, 2 * kGiB);
}

TEST(ControlGroupsTest, OddFilesSetNoLimit) {
  const FakeSystem system;
  system.SetGroup2("/a", 0);
  for (const char* text : {"", "-1\n", "-1000", "x", "1e9", "12 13\n",
                           "99999999999999999999999\n", "max"}) {
    system.Write("/sys/fs/cgroup/a/memory.max", text);
    EXPECT_TRUE(ReadGroupMemory(system.root()).empty()) << text;
  }
  for (const char* text :
       {"", "1", "0 100000", "5 0", "-5 100", "nan 1", "a b c", "max max"}) {
    system.Write("/sys/fs/cgroup/a/cpu.max", text);
    EXPECT_FALSE(ReadProcessorQuota(system.root()).has_value()) << text;
  }
  for (const char* text : {"", "\n\n", "1 2 3", " - ", "a b c d e - cgroup2",
                           "1 2 3 / /x\\04 rw - cgroup2 x rw"}) {
    system.Write("/proc/self/mountinfo", text);
    EXPECT_TRUE(ReadGroupMemory(system.root()).empty()) << text;
  }
}

// A pipe that nobody writes to is not waited for.
TEST(ControlGroupsTest, FoldersWithSpacesAndPipes) {
  const FakeSystem system;
  system.SetGroup2("/a", kGiB);
  system.Write("/proc/self/mountinfo",
               "30 25 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n");
  system.Write("/my groups/a/memory.max", "4096\n");
  ASSERT_EQ(
      mkfifo((system.root() + "/my groups/a/memory.current").c_str(), 0600), 0);
  const std::vector<GroupMemory> memory = ReadGroupMemory(system.root());
  ASSERT_EQ(memory.size(), 1u);
  EXPECT_EQ(memory[0].limit_bytes, 4096);
  EXPECT_EQ(memory[0].held_bytes, 0);
}

TEST(ControlGroupsTest, ThisMachine) {
  const std::vector<GroupMemory> memory = ReadGroupMemory();
  for (const GroupMemory& group : memory) {
    EXPECT_GE(group.limit_bytes, 0);
    EXPECT_NE(group.id, "") << group.group;
  }
  EXPECT_GT(ReadProcessorQuota().value_or(1), 0);
}

}  // namespace
}  // namespace tandem
