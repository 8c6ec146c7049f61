#include <unistd.h>

#include <fstream>

#include "engine/base/tensor_type.h"
#include "engine/gguf/gguf_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/model/tiny_model.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

class QuantizeTest : public ::testing::Test {
 protected:
  void SetUp() override { Write(TinyModel(TinyModelSpec()).Serialize()); }
  void TearDown() override {
    unlink(in_.c_str());
    unlink(out_.c_str());
  }
  void Write(const std::string& bytes) {
    std::ofstream(in_, std::ios::binary) << bytes;
  }

  const std::string in_ = ::testing::TempDir() + "/quantize_test_" +
                          std::to_string(getpid()) + ".gguf";
  const std::string out_ = in_ + ".out.gguf";
};

TEST_F(QuantizeTest, WritesAFileAndSaysHowFarItIs) {
  const RunResult result =
      RunTandem({"quantize", in_, out_, "q8_0", "--threads", "2"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.err, HasSubstr("quantize: " + out_ + " 100%\n"));
  EXPECT_EQ(result.out, "");
  const auto file = GgufFile::Open(out_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->FindTensor("token_embd.weight")->type, TensorType::kQ8_0);
  EXPECT_EQ((*file)->FindTensor("output_norm.weight")->type, TensorType::kF32);
}

// Random models have the mix of types that the quantiser makes, and load.
TEST_F(QuantizeTest, SynthesizedModelsHaveTheSameMix) {
  const std::vector<std::string> synthesize = {"bench", "synthesize", "--shape",
                                               "llama-tiny", "--type"};
  const auto make = [&](const char* type, const std::string& path) {
    std::vector<std::string> arguments = synthesize;
    arguments.insert(arguments.end(), {type, path});
    const RunResult result = RunTandem(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
  };
  make("f32", in_);
  const RunResult result = RunTandem({"quantize", in_, out_, "Q4_K"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto quantised = GgufFile::Open(out_);
  ASSERT_TRUE(quantised.ok()) << quantised.status();
  make("q4_k_m", in_);
  auto random = GgufFile::Open(in_);
  ASSERT_TRUE(random.ok()) << random.status();
  int finer = 0;
  ASSERT_EQ((*random)->tensors().size(), (*quantised)->tensors().size());
  for (const GgufTensor& tensor : (*random)->tensors()) {
    const GgufTensor* other = (*quantised)->FindTensor(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_EQ(tensor.type, other->type) << tensor.name;
    finer += tensor.type == TensorType::kQ6_K ? 1 : 0;
  }
  // The head; attn_v and ffn_down of layers 2 and 3 of 4.
  EXPECT_EQ(finer, 5);
  const auto model = Model::Load(*std::move(random), {});
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->numerics(), NumericsMode::kInt8);
}

TEST_F(QuantizeTest, SaysWhatIsWrong) {
  const struct {
    std::vector<std::string> arguments;
    int code;
    std::string text;
  } cases[] = {
      {{in_, out_, "q5_k"}, 2, "is not one of Q8_0, Q4_0, Q4_K"},
      {{in_, in_, "q8_0"}, 2, "IN and OUT are the same file"},
      {{"/nonexistent.gguf", out_, "q8_0"}, 1, "/nonexistent.gguf"},
      {{in_, "/nonexistent/out.gguf", "q8_0"}, 1, "cannot be written"},
      {{in_, "/dev/null", "q8_0"}, 1, "/dev/null: is a device"},
      {{in_, ::testing::TempDir(), "q8_0"}, 1, "is a directory"},
  };
  for (const auto& [arguments, code, text] : cases) {
    std::vector<std::string> all = {"quantize"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const RunResult result = RunTandem(all);
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_THAT(result.err, HasSubstr(text));
    EXPECT_NE(access(out_.c_str(), F_OK), 0);
  }
}

}  // namespace
}  // namespace tandem::cli
