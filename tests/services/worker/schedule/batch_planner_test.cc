#include "services/worker/schedule/batch_planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct WorkingStream {
  uint64_t id = 0;
  absl::string_view tenant;
  bool is_decode = false;
  int rows = 0;
};

// Rows of each stream, in the order of `streams`.
std::vector<int> Plan(BatchPlanner* planner,
                      const std::vector<WorkingStream>& streams,
                      const StepLimits& limits) {
  std::vector<RowClaim> decodes;
  std::vector<RowClaim> prompts;
  for (const WorkingStream& stream : streams) {
    (stream.is_decode ? decodes : prompts)
        .push_back(
            {.id = stream.id, .tenant = stream.tenant, .rows = stream.rows});
  }
  planner->Plan(absl::MakeSpan(decodes), absl::MakeSpan(prompts), limits);
  std::vector<int> rows;
  size_t decode = 0;
  size_t prompt = 0;
  for (const WorkingStream& stream : streams) {
    rows.push_back(stream.is_decode ? decodes[decode++].granted
                                    : prompts[prompt++].granted);
  }
  return rows;
}

// A pass costs 10 ms and 1 ms for each row.
CostCurve Line() {
  std::vector<StepCost> costs;
  for (int rows = 1; rows <= 4096; ++rows) {
    costs.push_back({.rows = rows, .us = 10000 + rows * 1000.0});
  }
  return CostCurve(costs);
}

TEST(BatchPlannerTest, DecodeFirstThenPromptsShareTheRest) {
  BatchPlanner planner;
  EXPECT_THAT(Plan(&planner,
                   {{.id = 1, .tenant = "a", .is_decode = false, .rows = 400},
                    {.id = 2, .tenant = "a", .is_decode = true, .rows = 5},
                    {.id = 3, .tenant = "a", .is_decode = false, .rows = 20},
                    {.id = 4, .tenant = "a", .is_decode = true, .rows = 1}},
                   {.rows_max = 256}),
              ElementsAre(kPromptRowsUnmeasured - 20, 5, 20, 1));
  EXPECT_THAT(Plan(&planner, {}, {.rows_max = 256}), IsEmpty());
}

TEST(BatchPlannerTest, AKindAloneGetsAll) {
  BatchPlanner planner;
  EXPECT_THAT(
      Plan(&planner, {{.id = 1, .tenant = "", .is_decode = false, .rows = 999}},
           {.rows_max = 256}),
      ElementsAre(256));
  std::vector<WorkingStream> decodes;
  for (uint64_t id = 0; id < 64; ++id) {
    decodes.push_back({.id = id, .tenant = "", .is_decode = true, .rows = 1});
  }
  EXPECT_EQ(Plan(&planner, decodes, {.rows_max = 64}), std::vector<int>(64, 1));
}

TEST(BatchPlannerTest, ManyDecodesLeaveRoomForAPrompt) {
  BatchPlanner planner;
  std::vector<WorkingStream> streams;
  for (uint64_t id = 0; id < 1000; ++id) {
    streams.push_back({.id = id, .tenant = "", .is_decode = true, .rows = 1});
  }
  streams.push_back(
      {.id = 1000, .tenant = "", .is_decode = false, .rows = 400});
  const CostCurve costs = Line();
  const std::vector<int> rows =
      Plan(&planner, streams, {.rows_max = 256, .costs = &costs});
  EXPECT_EQ(rows.back(), kPromptRowsMin);
  int decode_rows = 0;
  for (size_t i = 0; i < 1000; ++i) decode_rows += rows[i];
  EXPECT_EQ(decode_rows, 256 - kPromptRowsMin);
}

TEST(BatchPlannerTest, NarrowPassesServeBothKinds) {
  for (int rows_max = 4; rows_max <= 64; ++rows_max) {
    BatchPlanner planner;
    const std::vector<int> rows =
        Plan(&planner,
             {{.id = 1, .tenant = "", .is_decode = true, .rows = rows_max},
              {.id = 2, .tenant = "", .is_decode = false, .rows = rows_max}},
             {.rows_max = rows_max});
    EXPECT_GE(rows[0], 1);
    EXPECT_GE(rows[1], 1);
    EXPECT_EQ(rows[0] + rows[1], rows_max);
  }
}

TEST(BatchPlannerTest, PromptRowsKeepTheStepBelowItsTime) {
  const CostCurve costs = Line();
  const StepLimits limits = {.rows_max = 4096, .costs = &costs};
  // 10 ms + 240 rows of 1 ms = 250 ms.
  EXPECT_EQ(PromptRowsBeside(1, limits), 239);
  EXPECT_EQ(PromptRowsBeside(200, limits), 40);
  // Where even few are too slow prompts get on all the same.
  EXPECT_EQ(PromptRowsBeside(230, limits), kPromptRowsMin);
  EXPECT_EQ(PromptRowsBeside(1000, limits), kPromptRowsMin);
  // Never more than there is room for.
  EXPECT_EQ(PromptRowsBeside(250, {.rows_max = 256, .costs = &costs}), 6);
  const CostCurve fast({{.rows = 1, .us = 100}, {.rows = 4096, .us = 90000}});
  EXPECT_EQ(PromptRowsBeside(1, {.rows_max = 256, .costs = &fast}), 255);
  const CostCurve none;
  EXPECT_EQ(PromptRowsBeside(1, {.rows_max = 256, .costs = &none}),
            kPromptRowsUnmeasured);
}

TEST(BatchPlannerTest, ALongPromptOfOneTenantDoesNotHoldUpAnothers) {
  BatchPlanner planner;
  std::vector<WorkingStream> streams;
  for (uint64_t id = 0; id < 20; ++id) {
    streams.push_back(
        {.id = id, .tenant = "greedy", .is_decode = false, .rows = 256});
  }
  streams.push_back(
      {.id = 20, .tenant = "modest", .is_decode = false, .rows = 120});
  EXPECT_EQ(Plan(&planner, streams, {.rows_max = 256}).back(), 120);
  streams.back().rows = 256;
  EXPECT_EQ(Plan(&planner, streams, {.rows_max = 256}).back(), 128);
}

// No client waits for ever: with more decodes than rows each is served again
// and again, evenly between tenants.
TEST(BatchPlannerTest, DecodesThatDoNotFitTakeTurnsByTenant) {
  BatchPlanner planner;
  std::vector<WorkingStream> streams;
  for (uint64_t id = 0; id < 30; ++id) {
    streams.push_back({.id = id,
                       .tenant = id < 24 ? "a" : "b",
                       .is_decode = true,
                       .rows = 1});
  }
  std::map<uint64_t, int> served;
  for (int pass = 0; pass < 24; ++pass) {
    const std::vector<int> rows = Plan(&planner, streams, {.rows_max = 8});
    for (size_t i = 0; i < streams.size(); ++i) {
      served[streams[i].id] += rows[i];
    }
  }
  // 192 rows: 96 for each tenant.
  for (uint64_t id = 0; id < 24; ++id) EXPECT_EQ(served[id], 4);
  for (uint64_t id = 24; id < 30; ++id) EXPECT_EQ(served[id], 16);
}

}  // namespace
}  // namespace tandem
