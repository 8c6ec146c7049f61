#include "engine/model/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "tests/engine/base/fake_system.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// 1 KiB a token; 64 pages a context of 2048 tokens: 2 MiB.
ModelNeeds Needs() {
  return {.model = "m",
          .weight_bytes = kGiB,
          .page_bytes = 32 << 10,
          .positions_per_page = 32,
          .context = 65536};
}
constexpr int64_t kContextBytes = 64 * kMiB;  // of Needs()

// A machine that nobody else has limited.
MachineMemory Free(int64_t bytes) {
  MachineMemory machine;
  machine.available_bytes = bytes;
  return machine;
}

// A group of its own that leaves `bytes` after the reserve.
MachineMemory Own(int64_t bytes) {
  // room - room / kPlanReserveShare - kPlanReserveBytes = bytes, or a little
  // more.
  const int64_t room = (bytes + kPlanReserveBytes) * kPlanReserveShare /
                           (kPlanReserveShare - 1) +
                       1;
  MachineMemory machine = Free(100 * kGiB);
  machine.groups = {{.limit_bytes = room + 5,
                     .held_bytes = 5,
                     .group = "/g",
                     .is_own = true}};
  return machine;
}

int64_t TokensOf(const MachineMemory& machine, const ModelNeeds& needs) {
  const absl::StatusOr<MemoryPlan> plan =
      PlanMemory(machine, absl::MakeConstSpan(&needs, 1));
  return plan.ok() ? plan->models[0].kv_tokens : 0;
}

TEST(MemoryPlanTest, AsManyWholeContextsAsFitUpToFour) {
  struct Case {
    int64_t kv_bytes;
    int64_t tokens;
  };
  for (const Case& a :
       {Case{100 * kContextBytes, 4 * 65536},
        Case{4 * kContextBytes, 4 * 65536},
        Case{4 * kContextBytes - 4096, 3 * 65536}, Case{kContextBytes, 65536},
        Case{kContextBytes - 4096, 65536 - 32}, Case{kContextBytes / 2, 32768},
        Case{2 * kMiB, 2048}, Case{2 * kMiB - 4096, 0}}) {
    EXPECT_EQ(TokensOf(Own(kGiB + a.kv_bytes), Needs()), a.tokens)
        << a.kv_bytes;
  }
}

TEST(MemoryPlanTest, AShortContextIsEnough) {
  ModelNeeds needs = Needs();
  needs.context = 100;
  EXPECT_EQ(TokensOf(Own(kGiB + 4 * 128 * 1024), needs), 4 * 128);
  EXPECT_EQ(TokensOf(Own(kGiB + 128 * 1024), needs), 128);
  EXPECT_EQ(TokensOf(Own(kGiB + 127 * 1024 - 4096), needs), 0);
}

TEST(MemoryPlanTest, WhatIsAskedForIsWhatThereIs) {
  ModelNeeds needs = Needs();
  needs.kv_tokens = 100;
  EXPECT_EQ(TokensOf(Own(2 * kGiB), needs), 128) << "whole pages";
  needs.kv_tokens = 1 << 20;
  EXPECT_EQ(TokensOf(Own(2 * kGiB - kMiB), needs), 0);
  EXPECT_EQ(TokensOf(Own(3 * kGiB), needs), 1 << 20);
  needs.kv_tokens = int64_t{1} << 40;
  needs.page_bytes = int64_t{1} << 40;
  EXPECT_EQ(TokensOf(Own(3 * kGiB), needs), 0) << "no overflow";
}

// RoPE and the like grow with the longest sequence, up to the context.
TEST(MemoryPlanTest, PositionsTakeMemoryToo) {
  ModelNeeds needs = Needs();
  needs.position_bytes = 1024;  // as much as KV
  EXPECT_EQ(TokensOf(Own(kGiB + kContextBytes), needs), 32768);
  EXPECT_EQ(TokensOf(Own(kGiB + 3 * kContextBytes), needs), 2 * 65536);
  needs.positions_per_page = 320;
  EXPECT_EQ(TokensOf(Own(kGiB + 11 * 4096 * 1024), needs), 4096);
}

TEST(MemoryPlanTest, TheLeastLimitCountsAndIsNamed) {
  struct Case {
    MachineMemory machine;
    int64_t room;  // before the reserve
    const char* limit;
    bool shared;
  };
  const GroupMemory own = {.limit_bytes = 8 * kGiB,
                           .held_bytes = kGiB,
                           .group = "/g",
                           .is_own = true};
  std::vector<Case> cases;
  cases.reserve(10);  // cases are held by reference while they are made
  const auto add = [&](int64_t available, int64_t room, const char* limit,
                       bool shared) -> MachineMemory& {
    cases.push_back({Free(available), room, limit, shared});
    return cases.back().machine;
  };
  add(6 * kGiB, 6 * kGiB, "free memory", true);
  add(6 * kGiB, 6 * kGiB, "free memory", true).groups = {own};
  add(20 * kGiB, 7 * kGiB, "8.00 GiB of the control group /g", false).groups = {
      own};
  MachineMemory& shared = add(20 * kGiB, 7 * kGiB, "control group /g", true);
  shared.groups = {own};
  shared.groups[0].is_own = false;
  MachineMemory& flag =
      add(20 * kGiB, 5 * kGiB - kMiB, "--memory-max-bytes 5368709120", false);
  flag.groups = {own};
  flag.process_bytes_max = 5 * kGiB;
  flag.resident_bytes = kMiB;
  MachineMemory& planned =
      add(20 * kGiB, 4 * kGiB, "--memory-max-bytes", false);
  planned.process_bytes_max = 5 * kGiB;
  planned.resident_bytes = kMiB;
  planned.planned_bytes = kGiB;
  MachineMemory& later = add(20 * kGiB, 7 * kGiB, "control group", true);
  later.groups = {own};
  later.more_to_come = true;
  // What is reserved and not used yet is not there.
  MachineMemory& beside =
      add(20 * kGiB, 13 * kGiB, "reserved by 2 other processes", true);
  beside.resident_bytes = kGiB;
  beside.planned_bytes = 3 * kGiB;
  beside.others = {.unused_bytes = 5 * kGiB, .processes = 2};
  MachineMemory& inside = add(90 * kGiB, 6 * kGiB, "control group", false);
  inside.groups = {own};
  inside.groups[0].reserved_bytes = kGiB;
  inside.others = {.unused_bytes = 5 * kGiB, .processes = 2};
  // The group around has more left, but for what others reserved in it.
  MachineMemory& around =
      add(90 * kGiB, 2 * kGiB, "9.00 GiB of the control group /", true);
  around.groups = {own, {.limit_bytes = 9 * kGiB, .group = "/"}};
  around.groups[1].reserved_bytes = 7 * kGiB;
  for (const Case& a : cases) {
    const ModelNeeds needs = Needs();
    const absl::StatusOr<MemoryPlan> plan =
        PlanMemory(a.machine, absl::MakeConstSpan(&needs, 1));
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->room_bytes,
              a.room - kPlanReserveBytes - a.room / kPlanReserveShare);
    EXPECT_THAT(plan->limit, HasSubstr(a.limit));
    EXPECT_EQ(plan->is_shared, a.shared) << a.limit;
  }
}

// The machine is shared: half of what is left is for others, but not so much
// that this one could not start.
TEST(MemoryPlanTest, HalfStaysForOthersWhereTheMachineIsShared) {
  MachineMemory machine = Own(kGiB + 4 * kContextBytes);
  machine.groups[0].is_own = false;
  EXPECT_EQ(TokensOf(machine, Needs()), 2 * 65536);
  machine = Own(kGiB + 2 * kMiB);
  machine.groups[0].is_own = false;
  EXPECT_EQ(TokensOf(machine, Needs()), 2048);
}

TEST(MemoryPlanTest, ModelsShareWhatThereIs) {
  std::vector<ModelNeeds> needs(3, Needs());
  needs[1].kv_tokens = 2048;  // 2 MiB
  needs[2].context = 2048;    // wants 8 MiB
  const absl::StatusOr<MemoryPlan> plan =
      PlanMemory(Own(3 * kGiB + 10 * kMiB + 2 * kContextBytes), needs);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->models[0].kv_tokens, 2 * 65536) << "what the others leave";
  EXPECT_EQ(plan->models[1].kv_tokens, 2048);
  EXPECT_EQ(plan->models[2].kv_tokens, 4 * 2048);
  EXPECT_EQ(plan->models[0].total_bytes, kGiB + 2 * kContextBytes);
  // Two that want the same get the same; the least of each is kept for it.
  needs = {Needs(), Needs()};
  const absl::StatusOr<MemoryPlan> half =
      PlanMemory(Own(2 * kGiB + kContextBytes), needs);
  ASSERT_TRUE(half.ok());
  EXPECT_EQ(half->models[0].kv_tokens, 32768);
  EXPECT_EQ(half->models[1].kv_tokens, 32768);
  const absl::StatusOr<MemoryPlan> least =
      PlanMemory(Own(2 * kGiB + 4 * kMiB), needs);
  ASSERT_TRUE(least.ok());
  EXPECT_EQ(least->models[0].kv_tokens, 2048);
  EXPECT_EQ(least->models[1].kv_tokens, 2048);
  EXPECT_FALSE(PlanMemory(Own(2 * kGiB + 3 * kMiB), needs).ok());
}

TEST(MemoryPlanTest, ARefusalSaysWhatIsNeededAndWhatHelps) {
  const ModelNeeds needs = Needs();
  const absl::Status full =
      PlanMemory(Own(kGiB), absl::MakeConstSpan(&needs, 1)).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(full)->reason, kReasonExhausted);
  EXPECT_THAT(std::string(full.message()),
              AllOf(HasSubstr("bytes of memory are needed (m: 1.00 GiB of "
                              "weights"),
                    HasSubstr("2.0 MiB of KV for 2048 tokens"),
                    HasSubstr("are there (limit"), HasSubstr("--kv-tokens"),
                    HasSubstr("--context-max"), HasSubstr("quantisation"),
                    HasSubstr("--memory-max-bytes")));
  const absl::Status told =
      PlanMemory(Own(kGiB), absl::MakeConstSpan(&needs, 1), "a smaller one")
          .status();
  EXPECT_THAT(std::string(told.message()),
              AllOf(HasSubstr("; what helps: a smaller one"),
                    Not(HasSubstr("--kv-tokens"))));
  // More is held than may be.
  MachineMemory none = Own(0);
  none.groups[0].held_bytes = int64_t{1} << 59;
  EXPECT_THAT(
      std::string(
          PlanMemory(none, absl::MakeConstSpan(&needs, 1)).status().message()),
      HasSubstr(", 0 are there"));
  // A machine that tells nothing has what is needed.
  EXPECT_EQ(TokensOf(MachineMemory(), Needs()), 4 * 65536);
}

TEST(MemoryPlanTest, SaysWhatWasChosenAndWhy) {
  ModelNeeds needs = Needs();
  const auto describe = [&needs](const MachineMemory& machine) {
    return DescribePlan(*PlanMemory(machine, absl::MakeConstSpan(&needs, 1)),
                        needs, 0);
  };
  EXPECT_THAT(describe(Own(2 * kGiB)),
              AllOf(HasSubstr("context 65536, KV 262144 tokens (4 whole "
                              "contexts), weights 1.00 GiB, KV 256.0 MiB"),
                    HasSubstr("of 2.00 GiB (limit")));
  EXPECT_THAT(describe(Own(kGiB + kContextBytes)),
              HasSubstr("65536 tokens (1 whole context)"));
  EXPECT_THAT(describe(Own(kGiB + 4 * kMiB)),
              HasSubstr("4096 tokens (what fits)"));
  EXPECT_THAT(describe(Free(4 * kGiB)),
              HasSubstr("half of what is left stays for others"));
  needs.kv_tokens = 32;
  EXPECT_THAT(describe(Own(2 * kGiB)), HasSubstr("32 tokens (asked for)"));
}

}  // namespace
}  // namespace tandem
