#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

TEST(ModelsTest, TableAndJson) {
  FakeService service;
  RunResult result = RunTandem({"models", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("tales"));
  EXPECT_THAT(result.out, HasSubstr("0123456789abcdef"));
  EXPECT_THAT(result.out,
              HasSubstr("default        hermes       0123456789abcdef"));
  result = RunTandem({"models", "--json", "--coordinator", service.address()});
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["models"][0]["model_id"], "tales");
  EXPECT_EQ(json["models"][0]["draft_workers"], 1);
  EXPECT_EQ(json["models"][0]["context_max"], 1024);
  EXPECT_EQ(json["models"][0]["chat_template"], "default");
  EXPECT_EQ(json["models"][0]["chat_template_names"][0], "default");
  EXPECT_EQ(json["models"][0]["tool_format"], "hermes");
  EXPECT_EQ(json["models"][0]["tool_format_error"], "");
  EXPECT_EQ(json["models"][0]["has_reasoning"], true);
}

TEST(ModelsTest, NoCoordinator) {
  const RunResult result =
      RunTandem({"models", "--coordinator", "unix:/nonexistent"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot reach the coordinator"));
}

}  // namespace
}  // namespace tandem::cli
