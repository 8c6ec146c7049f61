#include "tools/cost_worker/cost_worker_flags.h"

#include "gtest/gtest.h"

namespace tandem::bench {
namespace {

std::optional<int> Parse(const std::vector<std::string>& arguments,
                         CostWorkerOptions* options) {
  std::vector<const char*> argv = {kCostWorkerProgram};
  for (const std::string& argument : arguments) {
    argv.push_back(argument.c_str());
  }
  return ParseCostWorkerFlags(static_cast<int>(argv.size()), argv.data(),
                              options);
}

TEST(CostWorkerFlagsTest, Defaults) {
  CostWorkerOptions options;
  EXPECT_FALSE(Parse({"--role", "target", "--vocabulary", "v.gguf"}, &options));
  EXPECT_EQ(options.role, v1::WORKER_ROLE_TARGET);
  EXPECT_EQ(options.vocabulary_path, "v.gguf");
  EXPECT_EQ(options.model_id, "cost");
  EXPECT_EQ(options.server.listen, kCostWorkerListenDefault);
  EXPECT_EQ(options.engine.agreement, 1);
  EXPECT_EQ(options.engine.step_base.count(), 0);
  EXPECT_EQ(options.engine.step_per_row.count(), 0);
}

TEST(CostWorkerFlagsTest, AllThatIsAskedFor) {
  CostWorkerOptions options;
  EXPECT_FALSE(Parse(
      {"--role=draft", "--vocabulary=v.gguf", "--model-id=m", "--step-us=250,3",
       "--agreement=0.8", "--context-max=512", "--kv-tokens=9000",
       "--rows-max=7", "--sequences-max=5", "--listen=unix:/tmp/x"},
      &options));
  EXPECT_EQ(options.role, v1::WORKER_ROLE_DRAFT);
  EXPECT_EQ(options.model_id, "m");
  EXPECT_EQ(options.engine.step_base.count(), 250);
  EXPECT_EQ(options.engine.step_per_row.count(), 3);
  EXPECT_EQ(options.engine.agreement, 0.8);
  EXPECT_EQ(options.engine.context_max, 512);
  EXPECT_EQ(options.engine.kv_tokens, 9000);
  EXPECT_EQ(options.engine.rows_max, 7);
  EXPECT_EQ(options.engine.sequences_max, 5);
  EXPECT_EQ(options.server.listen, "unix:/tmp/x");
}

TEST(CostWorkerFlagsTest, WrongUse) {
  const std::vector<std::string> base = {"--role=draft", "--vocabulary=v"};
  for (const char* wrong :
       {"--step-us=-1", "--step-us=1,2,3", "--step-us=x", "--agreement=1.1",
        "--agreement=-0.1", "--rows-max=0", "--role=both", "--unknown"}) {
    CostWorkerOptions options;
    std::vector<std::string> arguments = base;
    arguments.push_back(wrong);
    EXPECT_EQ(Parse(arguments, &options), kExitUsage) << wrong;
  }
  CostWorkerOptions options;
  EXPECT_EQ(Parse({"--role=draft"}, &options), kExitUsage);
}

}  // namespace
}  // namespace tandem::bench
