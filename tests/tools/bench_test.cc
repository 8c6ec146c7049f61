#include <unistd.h>

#include <cmath>
#include <fstream>
#include <memory>
#include <sstream>

#include "engine/gguf/gguf_file.h"
#include "engine/kernels/linear.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::AllOf;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Le;

class BenchTest : public ::testing::Test {
 protected:
  void TearDown() override {
    unlink(target_.c_str());
    unlink(draft_.c_str());
  }

  RunResult Synthesize(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"bench", "synthesize", "--shape",
                                          "llama-tiny", target_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunTandem(arguments);
  }
  static std::string ReadAll(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
  }

  const std::string prefix_ =
      ::testing::TempDir() + "/bench_test_" + std::to_string(getpid());
  const std::string target_ = prefix_ + "_target.gguf";
  const std::string draft_ = prefix_ + "_draft.gguf";
};

TEST_F(BenchTest, SynthesizedModelsHaveTheirShapeAndTheSameBytesEachTime) {
  ASSERT_EQ(Synthesize({"--layers", "3", "--type", "q8_0"}).code, 0);
  const std::string first = ReadAll(target_);
  ASSERT_EQ(Synthesize({"--layers", "3", "--type", "q8_0"}).code, 0);
  EXPECT_EQ(ReadAll(target_), first);
  ASSERT_EQ(Synthesize({"--layers", "3", "--type", "q8_0", "--seed", "2"}).code,
            0);
  EXPECT_NE(ReadAll(target_), first);

  const auto file = GgufFile::Open(target_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*(*file)->GetUint("llama.block_count"), 3);
  EXPECT_EQ((*file)->FindTensor("blk.3.attn_q.weight"), nullptr);
  const GgufTensor* up = (*file)->FindTensor("blk.2.ffn_up.weight");
  ASSERT_NE(up, nullptr);
  EXPECT_EQ(up->type, TensorType::kQ8_0);
  EXPECT_EQ(up->dims, (std::vector<uint64_t>{256, 768}));
}

// A draft shares its layers with the target; the others' output projections
// are scaled down.
TEST_F(BenchTest, TheDraftIsTheTargetsFirstLayers) {
  ASSERT_EQ(Synthesize({draft_, "--draft-layers", "1", "--tail-scale", "0.25",
                        "--type", "f32"})
                .code,
            0);
  const auto target = *GgufFile::Open(target_);
  const auto draft = *GgufFile::Open(draft_);
  EXPECT_EQ(*draft->GetUint("llama.block_count"), 1);
  for (const GgufTensor& tensor : draft->tensors()) {
    const GgufTensor* same = target->FindTensor(tensor.name);
    ASSERT_NE(same, nullptr) << tensor.name;
    EXPECT_EQ(*draft->ReadTensor(tensor), *target->ReadTensor(*same))
        << tensor.name;
  }
  const auto deviation = [&](const char* name) {
    const GgufTensor* tensor = target->FindTensor(name);
    std::vector<float> values(tensor->elements());
    Dequantize(tensor->type, target->ReadTensor(*tensor)->data(),
               static_cast<int64_t>(values.size()), values.data());
    double squares = 0;
    for (const float value : values) squares += double{value} * value;
    return std::sqrt(squares / static_cast<double>(values.size()));
  };
  EXPECT_NEAR(deviation("blk.1.attn_output.weight") /
                  deviation("blk.0.attn_output.weight"),
              0.25, 0.01);
  EXPECT_NEAR(
      deviation("blk.3.ffn_down.weight") / deviation("blk.0.ffn_down.weight"),
      0.25, 0.01);
  EXPECT_NEAR(
      deviation("blk.3.ffn_up.weight") / deviation("blk.0.ffn_up.weight"), 1,
      0.01);
}

TEST_F(BenchTest, ModelReportsEveryFigure) {
  ASSERT_EQ(
      Synthesize({draft_, "--draft-layers", "2", "--tail-scale", "0.03"}).code,
      0);
  const RunResult result = RunTandem({"bench", "model",
                                      target_, "--draft",
                                      draft_,  "--threads",
                                      "2",     "--runs",
                                      "1",     "--rows",
                                      "1,3",   "--prompt",
                                      "40",    "--depths",
                                      "8,300", "--tokens",
                                      "24",    "--speculative-runs",
                                      "1",     "--draft-length",
                                      "2",     "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("bench: loading the model"));
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["threads"], 2);
  EXPECT_EQ(json["numerics"], "int8");
  EXPECT_GT(json["read_bandwidth_gbps"], 0);
  EXPECT_GT(json["weight_bytes_per_pass"], 0);
  ASSERT_EQ(json["rows"].size(), 2);
  EXPECT_EQ(json["rows"][1]["m"], 3);
  EXPECT_NEAR(json["rows"][1]["tokens_per_second"].get<double>() *
                  json["rows"][1]["seconds_per_pass"].get<double>(),
              3, 1e-6);
  EXPECT_EQ(json["prompt"]["tokens"], 40);
  ASSERT_EQ(json["decode"].size(), 2);
  EXPECT_EQ(json["decode"][1]["depth"], 300);
  EXPECT_EQ(json["speculative"]["draft_length"], 2);
  for (const char* kind : {"speculative", "speculative_defaults"}) {
    EXPECT_GT(json[kind]["plain_tokens_per_second"], 0) << kind;
    EXPECT_GT(json[kind]["speculative_tokens_per_second"], 0) << kind;
    EXPECT_THAT(json[kind]["acceptance_rate"].get<double>(),
                AllOf(Gt(0.0), Le(1.0)))
        << kind;
    EXPECT_THAT(json[kind]["distinct_tokens"].get<int>(), AllOf(Gt(0), Le(24)))
        << kind;
  }
}

TEST_F(BenchTest, ModelPrintsATable) {
  ASSERT_EQ(Synthesize({}).code, 0);
  const RunResult result =
      RunTandem({"bench", "model", target_, "--threads", "1", "--runs", "1",
                 "--rows", "2", "--prompt", "0", "--depths", "9"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("read_bandwidth_gbps: "));
  EXPECT_THAT(result.out, HasSubstr("\nrows\nm  seconds_per_pass"));
  EXPECT_THAT(result.out, HasSubstr("\ndecode\ndepth  "));
}

TEST_F(BenchTest, SaysWhatIsWrong) {
  struct Case {
    std::vector<std::string> arguments;
    const char* message;
  };
  const std::vector<Case> cases = {
      {{"bench"}, "tandem bench needs a command"},
      {{"bench", "synthesize", target_}, "--shape"},
      {{"bench", "synthesize", "--shape", "huge", target_}, "llama-1.1b"},
      {{"bench", "synthesize", "--shape", "llama-tiny", "--type", "q9",
        target_},
       "--type"},
      {{"bench", "synthesize", "--shape", "llama-tiny", "--width", "33",
        target_},
       "multiples of 32"},
      {{"bench", "synthesize", "--shape", "llama-tiny", "--draft-layers", "2",
        target_},
       "DRAFT_OUT"},
      {{"bench", "synthesize", "--shape", "llama-tiny", "--draft-layers", "5",
        target_, draft_},
       "--draft-layers"},
      {{"bench", "synthesize", "--shape", "llama-tiny", "--draft-layers", "1",
        target_, target_},
       "OUT and DRAFT_OUT are the same file"},
      {{"bench", "synthesize", "--shape", "llama-tiny", "/nowhere/x.gguf"},
       "/nowhere/x.gguf"},
      {{"bench", "model", "/nowhere/x.gguf"}, "/nowhere/x.gguf"},
  };
  for (const Case& c : cases) {
    const RunResult result = RunTandem(c.arguments);
    EXPECT_NE(result.code, 0) << c.message;
    EXPECT_THAT(result.err, HasSubstr(c.message));
    EXPECT_TRUE(ReadAll(target_).empty()) << c.message;
  }
}

TEST_F(BenchTest, ModelRefusesFiguresThatDoNotFit) {
  ASSERT_EQ(Synthesize({"--context", "600"}).code, 0);
  const RunResult long_depth =
      RunTandem({"bench", "model", target_, "--depths", "4096"});
  EXPECT_NE(long_depth.code, 0);
  EXPECT_THAT(long_depth.err, HasSubstr("context of 600 tokens"));
  const RunResult no_rows =
      RunTandem({"bench", "model", target_, "--rows", "0"});
  EXPECT_NE(no_rows.code, 0);
  EXPECT_THAT(no_rows.err, HasSubstr("rows"));
}

}  // namespace
}  // namespace tandem::cli
