#include <unistd.h>

#include <fstream>

#include "engine/gguf/gguf_writer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class InspectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    GgufWriter writer;
    writer.SetString("general.architecture", "llama");
    writer.SetString("hostile", "a\x1b[2J\nb");
    writer.SetUint32("number", 7);
    writer.SetFloat32("epsilon", 0.5f);
    writer.SetBool("flag", true);
    writer.SetInt32("negative", -3);
    writer.SetStringArray("names", std::vector<std::string>{"x", "y"});
    writer.SetInt32Array("types", std::vector<int32_t>(1000, 6));
    const std::vector<uint8_t> data(4 * 6);
    writer.AddTensor("weight", TensorType::kF32, std::vector<uint64_t>{3, 2},
                     data);
    Write(writer.Serialize());
  }
  void TearDown() override { unlink(path_.c_str()); }

  void Write(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  const std::string path_ = ::testing::TempDir() + "/inspect_test_" +
                            std::to_string(getpid()) + ".gguf";
};

TEST_F(InspectTest, Text) {
  const RunResult result = RunTandem({"inspect", path_});
  ASSERT_EQ(result.code, 0) << result.err;
  // Of one matrix in f32: a slice of oneDNN's, 64 x 64 floats.
  EXPECT_THAT(result.out, HasSubstr("GGUF version 3"));
  EXPECT_THAT(result.out, HasSubstr("\"llama\""));
  EXPECT_THAT(result.out, HasSubstr("[\"x\", \"y\"]"));
  EXPECT_THAT(result.out,
              HasSubstr("[6, 6, 6, 6, 6, 6, 6, 6, ... 1000 in all]"));
  EXPECT_THAT(result.out, HasSubstr("weight"));
  EXPECT_THAT(result.out, HasSubstr("[3, 2]"));
  EXPECT_THAT(result.out,
              HasSubstr("total: 6 parameters, 24 bytes, 16384 packed"));
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
}

TEST_F(InspectTest, SaysWhatTheModelTakesHere) {
  const std::string model =
      TANDEM_SOURCE_DIR "/deploy/models/tales-draft-q8_0.gguf";
  const RunResult text = RunTandem({"inspect", model});
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("memory of a worker on this machine"));
  EXPECT_THAT(text.out, HasSubstr("\nkv_token_bytes: "));
  EXPECT_THAT(text.out, HasSubstr("\nfits: true\n"));
  const RunResult run = RunTandem({"inspect", model, "--json"});
  ASSERT_EQ(run.code, 0) << run.err;
  const auto memory = nlohmann::json::parse(run.out)["memory"];
  EXPECT_TRUE(memory["fits"].get<bool>());
  EXPECT_GT(memory["kv_tokens"].get<int64_t>(), 0);
  EXPECT_GT(memory["weight_bytes"].get<int64_t>(), 0);
  EXPECT_GT(memory["kv_token_bytes"].get<int64_t>(), 0);
  // A file that is no whole model is shown all the same.
  EXPECT_THAT(RunTandem({"inspect", path_}).out, HasSubstr("\nerror: "));
}

TEST_F(InspectTest, Json) {
  const RunResult result = RunTandem({"inspect", path_, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["version"], 3);
  EXPECT_EQ(json["parameters"], 6);
  EXPECT_EQ(json["tensor_bytes"], 24);
  EXPECT_EQ(json["metadata"][0]["value"], "llama");
  EXPECT_EQ(json["metadata"][5]["value"], -3);
  EXPECT_EQ(json["metadata"][7]["type"], "int32[]");
  EXPECT_EQ(json["metadata"][7]["value"]["count"], 1000);
  EXPECT_EQ(json["metadata"][7]["value"]["first"].size(), 8u);
  EXPECT_EQ(json["tensors"][0]["name"], "weight");
  EXPECT_EQ(json["tensors"][0]["type"], "F32");
  EXPECT_EQ(json["tensors"][0]["shape"], (std::vector<int>{3, 2}));
  EXPECT_EQ(json["tensors"][0]["bytes"], 24);
}

// [33, 256]: two tiles of 32 outputs. Q4_0: 8 groups of 512 bytes of codes and
// 64 of scales. Q6_K: one super-block of 128 + 512 + 8,192. Q5_K needs another
// 512 for minimums.
TEST_F(InspectTest, SaysWhatAMatrixTakesInMemory) {
  GgufWriter writer;
  const auto add = [&](const char* name, TensorType type,
                       std::vector<uint64_t> dims) {
    const TensorTypeInfo info = GetTensorTypeInfo(type);
    uint64_t bytes = info.block_bytes;
    for (uint64_t dim : dims) bytes *= dim;
    writer.AddTensor(name, type, dims,
                     std::vector<uint8_t>(bytes / info.block_elements));
  };
  add("a", TensorType::kQ4_0, {256, 33});
  add("b", TensorType::kQ6_K, {256, 33});
  add("c", TensorType::kQ5_K, {256, 33});
  add("d", TensorType::kF32, {256});
  add("e", TensorType::kQ8_1, {32, 2});
  add("output.weight", TensorType::kQ8_0, {32, 32});
  // Only looked up, so as it is in the file.
  add("token_embd.weight", TensorType::kQ4_0, {32, 33});
  Write(writer.Serialize());
  const RunResult result = RunTandem({"inspect", path_, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["tensors"][0]["packed_bytes"], 2 * 8 * 576);
  EXPECT_EQ(json["tensors"][1]["packed_bytes"], 2 * 8832);
  EXPECT_EQ(json["tensors"][2]["packed_bytes"], 2 * 9344);
  EXPECT_FALSE(json["tensors"][3].contains("packed_bytes"));
  EXPECT_FALSE(json["tensors"][4].contains("packed_bytes"));
  EXPECT_EQ(json["tensors"][5]["packed_bytes"], 1024 + 64);
  EXPECT_EQ(json["tensors"][6]["packed_bytes"], 33 * 18);
  EXPECT_EQ(json["packed_bytes"], 2 * (8 * 576 + 8832 + 9344) + 1088 + 33 * 18);
  EXPECT_EQ(json["numerics"], "int8");
  EXPECT_THAT(RunTandem({"inspect", path_}).out, HasSubstr("packed 17664\n"));
}

// A float matrix among quantised ones takes what it takes in the file, of whole
// tiles of 32 outputs.
TEST_F(InspectTest, SaysWhatAMixedFileTakesInMemory) {
  GgufWriter writer;
  writer.AddTensor("a", TensorType::kQ4_0, std::vector<uint64_t>{32, 32},
                   std::vector<uint8_t>(32 * 18));
  writer.AddTensor("b", TensorType::kF16, std::vector<uint64_t>{40, 32},
                   std::vector<uint8_t>(2 * 40 * 32));
  writer.AddTensor("c", TensorType::kBF16, std::vector<uint64_t>{40, 33},
                   std::vector<uint8_t>(2 * 40 * 33));
  writer.AddTensor("d", TensorType::kF32, std::vector<uint64_t>{40, 32},
                   std::vector<uint8_t>(4 * 40 * 32));
  Write(writer.Serialize());
  const RunResult result = RunTandem({"inspect", path_, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["numerics"], "int8+float");
  EXPECT_EQ(json["tensors"][0]["packed_bytes"], 576);
  EXPECT_EQ(json["tensors"][1]["packed_bytes"], 2 * 40 * 32);
  EXPECT_EQ(json["tensors"][2]["packed_bytes"], 2 * 40 * 64);
  EXPECT_EQ(json["tensors"][3]["packed_bytes"], 4 * 40 * 32);
  EXPECT_THAT(RunTandem({"inspect", path_}).out,
              HasSubstr("bytes in memory in numerics int8+float)"));
}

TEST_F(InspectTest, WhatIsNoGgufIsOneLine) {
  Write("not a model");
  for (const std::string& path :
       {path_, std::string("/nonexistent.gguf"), ::testing::TempDir()}) {
    const RunResult result = RunTandem({"inspect", path});
    EXPECT_EQ(result.code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("tandem: "));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
  }
}

}  // namespace
}  // namespace tandem::cli
