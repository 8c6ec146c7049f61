#include "services/worker/worker_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

namespace tandem {
namespace {

using ::testing::HasSubstr;

class WorkerFlagsTest : public ::testing::Test {
 protected:
  std::optional<int> Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "tandem-worker");
    options_ = WorkerOptions();
    ::testing::internal::CaptureStderr();
    ::testing::internal::CaptureStdout();
    const std::optional<int> code = ParseWorkerFlags(
        static_cast<int>(arguments.size()), arguments.data(), &options_);
    output_ = ::testing::internal::GetCapturedStdout();
    error_ = ::testing::internal::GetCapturedStderr();
    return code;
  }

  WorkerOptions options_;
  std::string output_;
  std::string error_;
};

TEST_F(WorkerFlagsTest, Defaults) {
  EXPECT_EQ(Parse({"--role", "draft", "--model", "m.gguf"}), std::nullopt);
  EXPECT_EQ(options_.role, v1::WORKER_ROLE_DRAFT);
  EXPECT_EQ(options_.model_path, "m.gguf");
  EXPECT_EQ(options_.server.listen, "127.0.0.1:7071");
  EXPECT_FALSE(options_.model.numerics.has_value());
  EXPECT_FALSE(options_.engine.kv_type.has_value());
  EXPECT_EQ(options_.engine.rows_max, EngineOptions().rows_max);
  EXPECT_EQ(options_.queue_max, 1024);
}

TEST_F(WorkerFlagsTest, DigestsPinTheModel) {
  const std::string digest(64, 'a');
  const std::string two = "--model-sha256=" + digest + "," + digest;
  EXPECT_EQ(Parse({"--role=target", "--model=m", two.c_str()}), std::nullopt);
  EXPECT_EQ(options_.model.sha256, (std::vector<std::string>{digest, digest}));
  for (const std::string& bad :
       {std::string(63, 'a'), std::string(63, 'a') + "g", digest + ",abc"}) {
    const std::string flag = "--model-sha256=" + bad;
    EXPECT_EQ(Parse({"--role=target", "--model=m", flag.c_str()}), 2) << bad;
    EXPECT_THAT(error_, HasSubstr("--model-sha256"));
  }
}

TEST_F(WorkerFlagsTest, Everything) {
  EXPECT_EQ(Parse({"--role=target", "--model=m", "--model-id=id", "--threads=3",
                   "--numerics=bf16", "--kv-type=f32", "--context-max=100",
                   "--kv-tokens=1000", "--rows-max=64", "--sequences-max=5",
                   "--compute-turn=t", "--pin-threads", "--listen=localhost:0",
                   "--queue-max=0"}),
            std::nullopt);
  EXPECT_EQ(options_.role, v1::WORKER_ROLE_TARGET);
  EXPECT_EQ(options_.model_id, "id");
  EXPECT_EQ(options_.engine.threads, 3);
  EXPECT_EQ(options_.model.threads, 3);
  EXPECT_EQ(options_.model.numerics, NumericsMode::kBf16);
  EXPECT_EQ(options_.engine.kv_type, KvType::kF32);
  EXPECT_EQ(options_.engine.context_max, 100);
  EXPECT_EQ(options_.engine.kv_tokens, 1000);
  EXPECT_EQ(options_.engine.rows_max, 64);
  EXPECT_EQ(options_.engine.sequences_max, 5);
  EXPECT_EQ(options_.engine.pinning, Pinning::kOneCpuEach);
  EXPECT_EQ(options_.compute_turn, "t");
  EXPECT_EQ(options_.queue_max, 0);
  EXPECT_EQ(options_.server.listen, "localhost:0");
}

TEST_F(WorkerFlagsTest, WrongOnesAreNamed) {
  EXPECT_EQ(Parse({}), 2);
  EXPECT_EQ(Parse({"--role", "draft"}), 2);
  EXPECT_THAT(error_, HasSubstr("--model"));
  EXPECT_EQ(Parse({"--role", "x", "--model", "m"}), 2);
  EXPECT_THAT(error_, HasSubstr("--role"));
  for (const char* wrong :
       {"--numerics=int4", "--kv-type=int8", "--threads=-1", "--rows-max=0",
        "--rows-max=4097", "--sequences-max=0", "--kv-tokens=-1",
        "--context-max=x", "--queue-max=-1"}) {
    EXPECT_EQ(Parse({"--role", "draft", "--model", "m", wrong}), 2);
    EXPECT_THAT(error_,
                HasSubstr(std::string(wrong, std::string(wrong).find('='))));
  }
}

TEST_F(WorkerFlagsTest, EnvironmentNames) {
  setenv("TANDEM_ROLE", "draft", 1);
  setenv("TANDEM_MODEL", "m", 1);
  setenv("TANDEM_ROWS_MAX", "7", 1);
  EXPECT_EQ(Parse({}), std::nullopt);
  EXPECT_EQ(options_.engine.rows_max, 7);
  unsetenv("TANDEM_ROLE");
  unsetenv("TANDEM_MODEL");
  unsetenv("TANDEM_ROWS_MAX");
}

}  // namespace
}  // namespace tandem
