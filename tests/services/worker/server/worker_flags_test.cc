#include "services/worker/server/worker_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"

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
  EXPECT_EQ(options_.loader.role, v1::WORKER_ROLE_DRAFT);
  ASSERT_EQ(options_.models.size(), 1u);
  EXPECT_EQ(options_.models[0].path, "m.gguf");
  EXPECT_EQ(options_.models[0].id, "");
  EXPECT_EQ(ModelIdOf(options_.models[0]), "m");
  EXPECT_EQ(options_.bounds.weight_bytes_max, 0);
  EXPECT_EQ(options_.admin_listen, "");
  EXPECT_EQ(options_.server.listen, "127.0.0.1:7071");
  EXPECT_FALSE(options_.loader.model.numerics.has_value());
  EXPECT_FALSE(options_.loader.engine.kv_type.has_value());
  EXPECT_EQ(options_.loader.engine.rows_max, EngineOptions().rows_max);
  EXPECT_EQ(options_.loader.queue_max, 1024);
  EXPECT_TRUE(options_.loader.engine.prefix_cache);
}

TEST_F(WorkerFlagsTest, EveryNumericsModeCanBeAsked) {
  for (const char* name : {"int8", "int8+float", "bf16", "f32"}) {
    EXPECT_EQ(Parse({"--role", "draft", "--model", "m", "--numerics", name}),
              std::nullopt)
        << error_;
    EXPECT_EQ(options_.loader.model.numerics, ParseNumericsMode(name));
    EXPECT_TRUE(options_.loader.model.numerics.has_value());
  }
}

TEST_F(WorkerFlagsTest, DigestsPinTheModel) {
  const std::string digest(64, 'a');
  const std::string two = "--model-sha256=" + digest + "," + digest;
  EXPECT_EQ(Parse({"--role=target", "--model=m", two.c_str()}), std::nullopt);
  EXPECT_EQ(options_.models[0].sha256,
            (std::vector<std::string>{digest, digest}));
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
                   "--queue-max=0", "--prefix-cache=off",
                   "--memory-max-bytes=1000000", "--tenant-kv-share=0.25"}),
            std::nullopt);
  EXPECT_EQ(options_.loader.role, v1::WORKER_ROLE_TARGET);
  EXPECT_EQ(options_.models[0].id, "id");
  EXPECT_EQ(options_.loader.engine.threads, 3);
  EXPECT_EQ(options_.loader.model.threads, 3);
  EXPECT_EQ(options_.loader.model.numerics, NumericsMode::kBf16);
  EXPECT_EQ(options_.loader.engine.kv_type, KvType::kF32);
  EXPECT_EQ(options_.loader.engine.context_max, 100);
  EXPECT_EQ(options_.loader.engine.kv_tokens, 1000);
  EXPECT_EQ(options_.loader.engine.rows_max, 64);
  EXPECT_EQ(options_.loader.engine.sequences_max, 5);
  EXPECT_EQ(options_.loader.engine.pinning, Pinning::kOneCpuEach);
  EXPECT_EQ(options_.loader.compute_turn, "t");
  EXPECT_EQ(options_.loader.queue_max, 0);
  EXPECT_EQ(options_.loader.tenant_kv_share, 0.25);
  EXPECT_FALSE(options_.loader.engine.prefix_cache);
  EXPECT_EQ(options_.bounds.memory.process_bytes_max, 1000000);
  EXPECT_FALSE(options_.bounds.memory.more_to_come);
  EXPECT_EQ(options_.server.listen, "localhost:0");
}

TEST_F(WorkerFlagsTest, CallersAreNamedOneByOne) {
  EXPECT_EQ(
      Parse({"--role=target", "--model=m", "--allow-caller=a",
             "--allow-caller=spiffe://x/y", "--admin-allow-caller", "b,c"}),
      std::nullopt);
  EXPECT_EQ(options_.allow_callers,
            (std::vector<std::string>{"a", "spiffe://x/y"}));
  EXPECT_EQ(options_.admin_allow_callers, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(Parse({"--role=target", "--model=m", "--allow-caller", ""}), 2);
  EXPECT_THAT(error_, HasSubstr("--allow-caller"));
}

TEST_F(WorkerFlagsTest, SeveralModels) {
  const std::string a(64, 'a'), b(64, 'b');
  const std::string digests = "--model-sha256=two=" + a + "," + b;
  EXPECT_EQ(Parse({"--role=target", "--model", "one=/m/1.gguf", "--model",
                   "two=2.gguf", "--model=/m=x/three.gguf", digests.c_str(),
                   "--model-memory-max-bytes=1000", "--model-folder=/m",
                   "--admin-listen=unix:s", "--admin-address-file=f"}),
            std::nullopt)
      << error_;
  EXPECT_TRUE(options_.bounds.memory.more_to_come);
  ASSERT_EQ(options_.models.size(), 3u);
  EXPECT_EQ(options_.models[0].id, "one");
  EXPECT_EQ(options_.models[0].path, "/m/1.gguf");
  EXPECT_TRUE(options_.models[0].sha256.empty());
  EXPECT_EQ(options_.models[1].path, "2.gguf");
  EXPECT_EQ(options_.models[1].sha256, (std::vector<std::string>{a, b}));
  EXPECT_EQ(options_.models[2].path, "/m=x/three.gguf");
  EXPECT_EQ(ModelIdOf(options_.models[2]), "three");
  EXPECT_EQ(options_.bounds.weight_bytes_max, 1000);
  EXPECT_EQ(options_.model_folder, "/m");
  EXPECT_EQ(options_.admin_listen, "unix:s");
  EXPECT_EQ(options_.admin_address_file, "f");
}

TEST_F(WorkerFlagsTest, ModelsThatDoNotFitTogether) {
  const std::string digest(64, 'a');
  const std::string plain = "--model-sha256=" + digest;
  const std::string unknown = "--model-sha256=c=" + digest;
  const std::vector<std::vector<const char*>> cases = {
      {"--model=a=1", "--model=a=2"},
      {"--model=x/m.gguf", "--model=y/m.gguf"},
      {"--model=a=1", "--model=b=2", "--model-id=c"},
      {"--model=a=1", "--model-id=c"},
      {"--model=a=1", "--model=b=2", plain.c_str()},
      {"--model=a=1", "--model=b=2", unknown.c_str()},
      {"--model=a="},
      {"--model==m"}};
  for (std::vector<const char*> arguments : cases) {
    arguments.insert(arguments.begin(), "--role=target");
    EXPECT_EQ(Parse(arguments), 2) << arguments[1];
    EXPECT_THAT(error_, HasSubstr("--model"));
    EXPECT_EQ(std::count(error_.begin(), error_.end(), '\n'), 1) << error_;
  }
}

TEST_F(WorkerFlagsTest, AConfigFileNamesSeveralModels) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "worker-flags-", getpid());
  std::ofstream(path) << "role = draft\nmodel = [\"a=1\", \"b=2\"]\n";
  const std::string config = "--config=" + path;
  EXPECT_EQ(Parse({config.c_str()}), std::nullopt) << error_;
  ASSERT_EQ(options_.models.size(), 2u);
  EXPECT_EQ(options_.models[0].id, "a");
  EXPECT_EQ(options_.models[1].path, "2");
  std::remove(path.c_str());
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
        "--context-max=x", "--prefix-cache=1", "--queue-max=-1",
        "--tenant-kv-share=0", "--model-memory-max-bytes=-1"}) {
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
  EXPECT_EQ(options_.loader.engine.rows_max, 7);
  unsetenv("TANDEM_ROLE");
  unsetenv("TANDEM_MODEL");
  unsetenv("TANDEM_ROWS_MAX");
}

}  // namespace
}  // namespace tandem
