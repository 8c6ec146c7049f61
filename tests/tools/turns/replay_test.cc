#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

class ReplayTest : public ::testing::Test {
 protected:
  ReplayTest() { service_.gives_receipts = true; }
  ~ReplayTest() override {
    unlink(receipt_.c_str());
    unlink(ids_.c_str());
  }

  RunResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--coordinator", service_.address()});
    return RunTandem(arguments);
  }
  // Writes the receipt of a turn.
  void Generate(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"generate", "Tell", "--receipt", receipt_});
    const RunResult result = Run(more);
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.out, "Once upon\n");
  }

  FakeService service_;
  const std::string receipt_ = ::testing::TempDir() + "/replay_test_" +
                               std::to_string(getpid()) + ".json";
  const std::string ids_ = receipt_ + ".ids";
};

TEST_F(ReplayTest, TheSameTurnIsEqual) {
  Generate({"--seed", "9", "--temperature", "0.3", "--choice-index", "2"});
  const RunResult result = Run({"replay", receipt_, "Tell"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "equal: 2 tokens; fingerprint f00d\n");
  const v1::TurnRequest turn = service_.last_turn();
  EXPECT_EQ(turn.model_id(), "tales");
  EXPECT_EQ(turn.options().seed(), 9u);
  EXPECT_EQ(turn.options().choice(), 2);
  EXPECT_EQ(turn.options().temperature(), 0.3f);
  // What generate left out was written out.
  EXPECT_TRUE(turn.options().has_top_k());
  EXPECT_EQ(turn.session_id(), "");
}

TEST_F(ReplayTest, OthersSayWhatDiffers) {
  Generate();
  const RunResult prompt = Run({"replay", receipt_, "Other"});
  EXPECT_EQ(prompt.code, 1);
  EXPECT_EQ(prompt.out, "");
  EXPECT_THAT(prompt.err, HasSubstr("another prompt: it has 5 tokens"));
  service_.texts = {"Once", " upon", " a"};
  service_.fingerprint = "beef";
  const RunResult longer = Run({"replay", receipt_, "Tell", "--json"});
  EXPECT_EQ(longer.code, 1);
  EXPECT_THAT(longer.err, HasSubstr("the token of index 2 differs"));
  EXPECT_THAT(longer.err, HasSubstr("is beef, not f00d"));
  const auto json = nlohmann::json::parse(longer.out);
  EXPECT_EQ(json["equal"], false);
  EXPECT_EQ(json["first_difference"], 2);
  EXPECT_EQ(json["token"], 102);
}

TEST_F(ReplayTest, AServiceWithoutReceiptsIsSaidToBeOne) {
  Generate();
  service_.gives_receipts = false;
  const RunResult result = Run({"replay", receipt_, "Tell"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("without receipts"));
}

TEST_F(ReplayTest, ThePromptMayBeIds) {
  Generate();
  std::ofstream(ids_) << R"({"token_ids": [84, 101]})";
  EXPECT_EQ(Run({"replay", receipt_, "--prompt-ids", ids_}).code, 1);
  EXPECT_EQ(service_.last_turn().tokens().ids_size(), 2);
  std::ofstream(ids_) << R"({"ids": [84, 101]})";
  const RunResult result = Run({"replay", receipt_, "--prompt-ids", ids_});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("token_ids is no list"));
}

TEST_F(ReplayTest, AChatIsToldTheDayOfTheReceipt) {
  Generate();
  std::ifstream in(receipt_);
  auto json = nlohmann::json::parse(in);
  json["template_date"] = "2026-11-29";
  std::ofstream(receipt_) << json;
  Run({"replay", receipt_, "Hi", "--chat"});
  EXPECT_EQ(service_.last_turn().template_options().at("date").text_value(),
            "2026-11-29");
  Run({"replay", receipt_, "Hi", "--chat", "--template-option",
       "date=2025-01-01"});
  EXPECT_EQ(service_.last_turn().template_options().at("date").text_value(),
            "2025-01-01");
}

TEST_F(ReplayTest, FilesThatCanNotBeUsedAreNamed) {
  const RunResult missing = Run({"replay", "/nonexistent/r", "Tell"});
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("/nonexistent/r: cannot read it"));
  std::ofstream(receipt_) << "{}";
  const RunResult empty = Run({"replay", receipt_, "Tell"});
  EXPECT_EQ(empty.code, 1);
  EXPECT_THAT(empty.err, HasSubstr(receipt_ + ": has no receipt"));
}

}  // namespace
}  // namespace tandem::cli
