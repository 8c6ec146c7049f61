#include "tools/tandem/base/output.h"

#include <sstream>

#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

TEST(OutputTest, JsonIsOneLineOfUtf8) {
  std::ostringstream out;
  PrintJson({{"b", 1}, {"a", "\xff"}}, &out);
  EXPECT_EQ(out.str(), "{\"b\":1,\"a\":\"\xef\xbf\xbd\"}\n");
}

TEST(OutputTest, ColumnsAreAsWideAsTheirCells) {
  std::ostringstream out;
  PrintTable({{"NAME", "N", "LAST"}, {"a", "1000", "x"}}, &out);
  EXPECT_EQ(out.str(), "NAME  N     LAST\na     1000  x\n");
}

TEST(OutputTest, ValuesOnOneLine) {
  EXPECT_EQ(OneLine({{"a", 7}, {"b", "x"}, {"c", nullptr}, {"d", 0.25}}),
            "a 7, b x, c -, d 0.25");
  EXPECT_EQ(Shown(402.26123), "402.261");
}

TEST(OutputTest, AReportIsLinesAndTables) {
  std::ostringstream out;
  PrintReport({{"seconds", 2.5},
               {"turns", {{"ended", 3}, {"cut", 0}}},
               {"errors", Json::object()},
               {"times", {{"first", {{"p50", 1}, {"max", 20}}}}},
               {"rows", {{{"m", 1}}, {{"m", 2}}}}},
              &out);
  EXPECT_EQ(out.str(),
            "seconds: 2.5\nturns: ended 3, cut 0\n"
            "\ntimes\n       p50  max\nfirst  1    20\n"
            "\nrows\nm\n1\n2\n");
}

TEST(OutputTest, NamesOfReasons) {
  EXPECT_EQ(FinishReasonName(v1::FINISH_REASON_STOP_TOKEN), "stop_token");
  EXPECT_EQ(FinishReasonName(static_cast<v1::FinishReason>(77)), "reason_77");
}

TEST(OutputTest, RatesOfNothingAreZero) {
  v1::SpeculationStats stats;
  EXPECT_EQ(AcceptanceRate(stats), 0);
  stats.set_drafted_tokens(4);
  stats.set_accepted_tokens(3);
  stats.add_accepted_by_position(3);
  EXPECT_EQ(AcceptanceRate(stats), 0.75);
  const Json json = SpeculationJson(stats);
  EXPECT_EQ(json["acceptance_rate"], 0.75);
  EXPECT_EQ(json["accepted_by_position"][0], 3);
}

}  // namespace
}  // namespace tandem::cli
