#include "tools/load/sweep.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::load {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

LoadFigures WithRate(double rate) {
  LoadFigures figures;
  figures.seconds = 10;
  figures.generated_tokens = static_cast<int64_t>(10 * rate);
  return figures;
}

TEST(SweepTest, LengthsTakeTurnsAndRatiosAreMediansOverRounds) {
  const SweepOptions options = {.lengths = {0, 4, DraftLength()}, .rounds = 3};
  std::vector<int> order;
  std::vector<int64_t> salts;
  int runs = 0;
  const std::vector<SweepRow> rows =
      RunSweep({}, options, [&](const LoadOptions& load) {
        const int round = runs++ / 3;
        order.push_back(load.draft_length.value_or(-1));
        salts.push_back(load.salt);
        // The machine is half as fast in the second round; 4 was lucky in it.
        const double machine = round == 1 ? 50 : 100;
        const double lucky = round == 1 ? 2 : 1;
        double rate = machine;
        if (load.draft_length == 4) rate = 1.5 * machine * lucky;
        if (!load.draft_length.has_value()) rate = 1.2 * machine;
        return std::optional<LoadFigures>(WithRate(rate));
      });
  EXPECT_THAT(order, ElementsAre(0, 4, -1, -1, 4, 0, 0, 4, -1));
  EXPECT_THAT(salts, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_DOUBLE_EQ(*rows[0].ratio_to_plain, 1);
  EXPECT_DOUBLE_EQ(*rows[1].ratio_to_plain, 1.5);
  EXPECT_DOUBLE_EQ(*rows[2].ratio_to_plain, 1.2);
  EXPECT_DOUBLE_EQ(*rows[1].ratio_to_best_fixed, 1);
  EXPECT_DOUBLE_EQ(*rows[2].ratio_to_best_fixed, 0.8);
  EXPECT_EQ(rows[0].figures.seconds, 30);
}

TEST(SweepTest, EachLengthRunsWithTheFormatAndWithoutIt) {
  const SweepOptions options = {
      .lengths = {0, DraftLength()}, .rounds = 2, .has_format = true};
  std::vector<std::pair<int, bool>> order;
  const std::vector<SweepRow> rows =
      RunSweep({}, options, [&](const LoadOptions& load) {
        order.push_back({load.draft_length.value_or(-1), load.with_format});
        double rate = load.draft_length.has_value() ? 100 : 150;
        if (load.with_format) rate = load.draft_length.has_value() ? 80 : 240;
        return std::optional<LoadFigures>(WithRate(rate));
      });
  EXPECT_THAT(order,
              ElementsAre(Pair(0, false), Pair(0, true), Pair(-1, false),
                          Pair(-1, true), Pair(-1, true), Pair(-1, false),
                          Pair(0, true), Pair(0, false)));
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_TRUE(rows[3].with_format);
  EXPECT_FALSE(rows[0].ratio_to_free.has_value());
  EXPECT_DOUBLE_EQ(*rows[1].ratio_to_free, 0.8);
  EXPECT_DOUBLE_EQ(*rows[3].ratio_to_free, 1.6);
  EXPECT_DOUBLE_EQ(*rows[1].ratio_to_plain, 1);
  EXPECT_DOUBLE_EQ(*rows[2].ratio_to_plain, 1.5);
  EXPECT_DOUBLE_EQ(*rows[3].ratio_to_plain, 3);
  EXPECT_DOUBLE_EQ(*rows[3].ratio_to_best_fixed, 3);
}

TEST(SweepTest, WithoutAFixedLengthThereAreNoRatios) {
  const std::vector<SweepRow> rows = RunSweep(
      {}, {.lengths = {DraftLength()}, .rounds = 2}, [](const LoadOptions&) {
        return std::optional<LoadFigures>(WithRate(5));
      });
  EXPECT_FALSE(rows[0].ratio_to_plain.has_value());
  EXPECT_FALSE(rows[0].ratio_to_best_fixed.has_value());
}

TEST(SweepTest, AnInterruptKeepsTheWholeRounds) {
  int runs = 0;
  const std::vector<SweepRow> rows =
      RunSweep({}, {.lengths = {0, 2}, .rounds = 9},
               [&](const LoadOptions&) -> std::optional<LoadFigures> {
                 if (++runs == 4) return std::nullopt;
                 return WithRate(7);
               });
  EXPECT_EQ(runs, 4);
  EXPECT_EQ(rows[0].figures.seconds, 10);
  EXPECT_EQ(rows[1].figures.seconds, 10);
  EXPECT_DOUBLE_EQ(*rows[1].ratio_to_plain, 1);
}

}  // namespace
}  // namespace tandem::load
