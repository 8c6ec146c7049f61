#include "tools/tandem/score/perplexity.h"

#include <string>

#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(PlanWindowsTest, ScoresEachTokenButTheFirstOnce) {
  EXPECT_THAT(PlanWindows(10, {.context = 6, .stride = 2}),
              ElementsAre(ScoreWindow{0, 1, 6}, ScoreWindow{2, 6, 8},
                          ScoreWindow{4, 8, 10}));
  EXPECT_THAT(PlanWindows(5, {.context = 6, .stride = 2}),
              ElementsAre(ScoreWindow{0, 1, 5}));
  EXPECT_THAT(PlanWindows(1, {.context = 6, .stride = 2}), IsEmpty());
  for (int64_t tokens = 2; tokens < 40; ++tokens) {
    for (int64_t context = 2; context < 12; ++context) {
      for (int64_t stride = 1; stride < context; ++stride) {
        int64_t next = 1;
        for (const ScoreWindow& window :
             PlanWindows(tokens, {.context = context, .stride = stride})) {
          EXPECT_EQ(window.score_from, next);
          EXPECT_LT(window.begin, window.score_from);
          EXPECT_LE(window.end - window.begin, context);
          EXPECT_LT(window.score_from, window.end);
          next = window.end;
        }
        EXPECT_EQ(next, tokens);
      }
    }
  }
}

TEST(PerplexityTest, SumsTheWindows) {
  FakeService service;
  // With BOS 9 tokens, of which 8 are scored, with 2 bits each.
  const RunResult result =
      RunTandem({"perplexity", "-", "--context", "6", "--stride", "2", "--json",
                 "--coordinator", service.address()},
                "abcdefgh");
  EXPECT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["model_id"], "model");
  EXPECT_EQ(json["tokens"], 8);
  EXPECT_EQ(json["bytes"], 8);
  EXPECT_EQ(json["windows"], 3);
  EXPECT_NEAR(json["bits_per_byte"].get<double>(), 2, 1e-9);
  EXPECT_NEAR(json["perplexity"].get<double>(), 4, 1e-9);
  EXPECT_THAT(result.err, HasSubstr("perplexity: - 100%\n"));
  ASSERT_EQ(service.scored().size(), 3u);
  const v1::ScoreRequest second = service.scored()[1];
  EXPECT_THAT(second.tokens().ids(), ElementsAre('b', 'c', 'd', 'e'));
  EXPECT_THAT(second.continuations(0).tokens().ids(), ElementsAre('f', 'g'));
}

TEST(PerplexityTest, PrintsAReport) {
  FakeService service;
  const RunResult result =
      RunTandem({"perplexity", "-", "--coordinator", service.address()}, "abc");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("perplexity"));
  EXPECT_THAT(result.out, HasSubstr("1024"));  // the model's context
}

TEST(PerplexityTest, RefusesWhatDoesNotFit) {
  FakeService service;
  const auto run = [&service](std::vector<std::string> arguments,
                              const std::string& text) {
    arguments.insert(arguments.begin(), {"perplexity", "-"});
    arguments.insert(arguments.end(), {"--coordinator", service.address()});
    return RunTandem(arguments, text);
  };
  EXPECT_THAT(run({"--context", "1025"}, "abc").err, HasSubstr("--context"));
  EXPECT_THAT(run({"--context", "1"}, "abc").err, HasSubstr("--context"));
  EXPECT_THAT(run({"--context", "8", "--stride", "8"}, "abc").err,
              HasSubstr("--stride"));
  EXPECT_EQ(run({"--stride", "-1"}, "abc").code, 2);
  EXPECT_THAT(run({}, "").err, HasSubstr("1 tokens"));
  EXPECT_EQ(run({}, "\xff").code, 2);
  service.error = NoWorker("no worker");
  EXPECT_EQ(run({}, "abc").code, 1);
}

}  // namespace
}  // namespace tandem::cli
