#include "tools/tandem/score/score.h"

#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

TEST(ScoreTest, PrintsATable) {
  FakeService service;
  const RunResult result =
      RunTandem({"score", "It is ", "ab", "x\x1b[2Jyz", "--model", "m",
                 "--special", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("logprob"));
  EXPECT_THAT(result.out, HasSubstr("-2.7726  2       -1.3863    yes"));
  EXPECT_THAT(result.out, HasSubstr("no"));
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
  const v1::ScoreRequest request = service.scored().at(0);
  EXPECT_EQ(request.model_id(), "m");
  EXPECT_EQ(request.text(), "It is ");
  EXPECT_TRUE(request.parse_special());
  ASSERT_EQ(request.continuations_size(), 2);
  EXPECT_EQ(request.continuations(0).text(), "ab");
}

TEST(ScoreTest, PrintsJsonWithEachToken) {
  FakeService service;
  const RunResult result = RunTandem(
      {"score", "-", "ab", "--json", "--coordinator", service.address()}, "in");
  EXPECT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["fingerprint"], "fp");
  EXPECT_EQ(json["prompt_tokens"], 2);
  EXPECT_EQ(json["scores"][0]["continuation"], "ab");
  EXPECT_EQ(json["scores"][0]["token_ids"], (std::vector<int>{97, 98}));
  EXPECT_EQ(json["scores"][0]["logprobs"].size(), 2u);
  EXPECT_EQ(json["scores"][0]["is_greedy"], true);
}

TEST(ScoreTest, TheEmptyPromptIsNone) {
  FakeService service;
  const RunResult result =
      RunTandem({"score", "", "ab", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_FALSE(service.scored().at(0).has_text());
}

TEST(ScoreTest, ErrorsNameTheContinuation) {
  FakeService service;
  service.error = InvalidField("continuations[1].text", "must not be empty");
  const RunResult result =
      RunTandem({"score", "a", "b", "", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("continuation (number 2)"));
  EXPECT_EQ(RunTandem({"score", "a"}).code, 2);
  EXPECT_EQ(RunTandem({"score", "a", "\xff"}).code, 2);
}

}  // namespace
}  // namespace tandem::cli
