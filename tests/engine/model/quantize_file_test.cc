#include "engine/model/quantize_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <sstream>

#include "engine/base/error_reason.h"
#include "engine/engine.h"
#include "tests/engine/model/held_out.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

constexpr char kHeldOut[] = TANDEM_SOURCE_DIR "/tests/data/heldout.txt";

using ::testing::HasSubstr;

class QuantizeFileTest : public ::testing::Test {
 protected:
  void TearDown() override { unlink(path_.c_str()); }

  absl::Status Quantize(const TinyModel& tiny, TensorType type,
                        int threads = 2) {
    const auto file = OpenTiny(tiny);
    if (!file.ok()) return file.status();
    ThreadTeam team(threads);
    return QuantizeFile(**file, path_, {.type = type, .team = &team});
  }

  void ExpectRefused(const TinyModel& tiny, TensorType type,
                     const std::string& reason, const std::string& text) {
    const absl::Status status = Quantize(tiny, type);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    ASSERT_TRUE(GetErrorDetail(status).has_value()) << status;
    EXPECT_EQ(GetErrorDetail(status)->reason, reason);
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
    EXPECT_NE(access(path_.c_str(), F_OK), 0);
  }

  TensorType TypeOf(const std::string& tensor) const {
    const auto file = GgufFile::Open(path_);
    EXPECT_TRUE(file.ok()) << file.status();
    const GgufTensor* found = (*file)->FindTensor(tensor);
    EXPECT_NE(found, nullptr) << tensor;
    return found == nullptr ? TensorType::kF32 : found->type;
  }

  std::string Written() const {
    std::ifstream in(path_, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }

  const std::string path_ = ::testing::TempDir() + "/quantize_file_test_" +
                            std::to_string(getpid()) + ".gguf";
};

TinyModelSpec WideSpec() {
  TinyModelSpec spec = TinySpecFor(TensorType::kQ4_K);
  spec.type = TensorType::kF32;
  spec.layers = 3;
  return spec;
}

// Mistakes of rounding are at the root mean square 0.5% (Q8_0) and 10% (four
// bits) of the weights: WeightQuantizerTest.
TEST_F(QuantizeFileTest, MakesFilesThatLoad) {
  const TinyModel tiny(WideSpec());
  const struct {
    TensorType type;
    uint32_t file_type;
    double error;
  } cases[] = {{TensorType::kQ8_0, 7, 0.01},
               {TensorType::kQ4_0, 2, 0.15},
               {TensorType::kQ4_K, 15, 0.15}};
  for (const auto& [type, file_type, error_max] : cases) {
    SCOPED_TRACE(GetTensorTypeInfo(type).name);
    const absl::Status status = Quantize(tiny, type);
    ASSERT_TRUE(status.ok()) << status;
    auto file = GgufFile::Open(path_);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->GetUint("general.file_type").value(), file_type);
    EXPECT_EQ((*file)->GetString("general.name").value(), "tiny");
    EXPECT_EQ((*file)->GetUint("llama.block_count").value(), 3u);
    EXPECT_EQ((*file)->tensors().size(), tiny.tensors.size());
    for (const TinyTensor& from : tiny.tensors) {
      const GgufTensor* to = (*file)->FindTensor(from.name);
      ASSERT_NE(to, nullptr);
      EXPECT_EQ(to->dims, from.dims);
      if (from.dims.size() == 1) {
        EXPECT_EQ(to->type, TensorType::kF32);
        EXPECT_EQ(*(*file)->ReadTensor(*to), from.data);
        continue;
      }
      std::vector<float> x(to->elements());
      std::vector<float> y(to->elements());
      const auto count = static_cast<int64_t>(x.size());
      Dequantize(TensorType::kF32, from.data.data(), count, x.data());
      Dequantize(to->type, (*file)->ReadTensor(*to)->data(), count, y.data());
      double error = 0;
      double norm = 0;
      for (int64_t i = 0; i < count; ++i) {
        error += (x[i] - y[i]) * static_cast<double>(x[i] - y[i]);
        norm += x[i] * static_cast<double>(x[i]);
      }
      EXPECT_LT(error, error_max * error_max * norm) << from.name;
    }
    const auto model = Model::Load(*std::move(file), {});
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ((*model)->numerics(), NumericsMode::kInt8);
  }
}

TEST_F(QuantizeFileTest, IsDeterministic) {
  TinyModelSpec spec = WideSpec();
  spec.type = TensorType::kBF16;
  const TinyModel tiny(spec);
  ASSERT_TRUE(Quantize(tiny, TensorType::kQ4_K, 1).ok());
  const std::string one = Written();
  ASSERT_TRUE(Quantize(tiny, TensorType::kQ4_K, 3).ok());
  EXPECT_EQ(Written(), one);
}

// A model of 24 layers: 0 .. 2 and 21 .. 23, and between them 5, 8, ... 20.
TEST_F(QuantizeFileTest, Q4KIsTheUsualMix) {
  std::vector<int64_t> finer;
  for (int64_t i = 0; i < 24; ++i) {
    const std::string blk = absl::StrCat("blk.", i, ".");
    EXPECT_EQ(Q4KMediumType(blk + "attn_q.weight", 24, false),
              TensorType::kQ4_K);
    const TensorType type = Q4KMediumType(blk + "attn_v.weight", 24, false);
    EXPECT_EQ(Q4KMediumType(blk + "ffn_down.weight", 24, false), type);
    if (type == TensorType::kQ6_K) finer.push_back(i);
  }
  EXPECT_EQ(finer,
            (std::vector<int64_t>{0, 1, 2, 5, 8, 11, 14, 17, 20, 21, 22, 23}));
  EXPECT_EQ(Q4KMediumType("output.weight", 24, false), TensorType::kQ6_K);
  EXPECT_EQ(Q4KMediumType("token_embd.weight", 24, false), TensorType::kQ4_K);
  EXPECT_EQ(Q4KMediumType("token_embd.weight", 24, true), TensorType::kQ6_K);
}

TEST_F(QuantizeFileTest, RefusesByName) {
  const TinyModel good(WideSpec());
  for (float value : {std::numeric_limits<float>::quiet_NaN(),
                      -std::numeric_limits<float>::infinity(), 70000.0f}) {
    TinyModel tiny = good;
    TinyTensor& tensor = tiny.tensor("blk.1.ffn_up.weight");
    std::memcpy(tensor.data.data() + 4 * 1000, &value, 4);
    ExpectRefused(tiny, TensorType::kQ8_0, kReasonMalformedFile,
                  "tensor 'blk.1.ffn_up.weight': holds NaN, infinity or a "
                  "number above 65504");
  }
  TinyModelSpec quantised = WideSpec();
  quantised.type = TensorType::kQ4_0;
  ExpectRefused(TinyModel(quantised), TensorType::kQ8_0,
                kReasonUnsupportedModel,
                "tensor 'token_embd.weight': is Q4_0; only F32, F16 and BF16 "
                "are quantised");
}

// A head of four bits costs this model 3% of perplexity.
TEST_F(QuantizeFileTest, TheHeadOfAQ4_0FileHasMoreBits) {
  TinyModelSpec own_head = WideSpec();
  own_head.tied = false;
  ASSERT_TRUE(Quantize(TinyModel(own_head), TensorType::kQ4_0).ok());
  EXPECT_EQ(TypeOf("output.weight"), TensorType::kQ6_K);
  EXPECT_EQ(TypeOf("token_embd.weight"), TensorType::kQ4_0);
  EXPECT_EQ(TypeOf("blk.0.attn_q.weight"), TensorType::kQ4_0);
  TinyModelSpec tied = WideSpec();
  tied.tied = true;
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ4_K}) {
    ASSERT_TRUE(Quantize(TinyModel(tied), type).ok());
    EXPECT_EQ(TypeOf("token_embd.weight"), TensorType::kQ6_K);
  }
  ASSERT_TRUE(Quantize(TinyModel(tied), TensorType::kQ8_0).ok());
  EXPECT_EQ(TypeOf("token_embd.weight"), TensorType::kQ8_0);
}

// Rows of 64 and 96 elements: no whole super-blocks of 256.
TEST_F(QuantizeFileTest, RowsThatDoNotFitGetTheNextTypeUp) {
  ASSERT_TRUE(Quantize(TinyModel(TinyModelSpec()), TensorType::kQ4_K).ok());
  EXPECT_EQ(TypeOf("token_embd.weight"), TensorType::kQ8_0);
  EXPECT_EQ(TypeOf("blk.0.attn_q.weight"), TensorType::kQ8_0);
  auto file = GgufFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(Model::Load(*std::move(file), {}).ok());
  ASSERT_TRUE(Quantize(TinyModel(TinyModelSpec()), TensorType::kQ4_0).ok());
  EXPECT_EQ(TypeOf("token_embd.weight"), TensorType::kQ8_0) << "the head";
  EXPECT_EQ(TypeOf("blk.0.attn_q.weight"), TensorType::kQ4_0);
  // No multiple of 32 either.
  GgufWriter writer;
  writer.SetString("general.architecture", "llama");
  const std::vector<uint8_t> ones(4 * 2 * 20);
  writer.AddTensor("blk.0.attn_q.weight", TensorType::kF32, {20, 2}, ones);
  auto odd = GgufFile::FromBytes(writer.Serialize(), "odd");
  ASSERT_TRUE(odd.ok()) << odd.status();
  ThreadTeam team(1);
  ASSERT_TRUE(
      QuantizeFile(**odd, path_, {.type = TensorType::kQ8_0, .team = &team})
          .ok());
  EXPECT_EQ(TypeOf("blk.0.attn_q.weight"), TensorType::kF16);
}

TEST_F(QuantizeFileTest, ASplitModelBecomesOneFile) {
  const std::string stem = path_ + "-split";
  for (uint32_t number = 0; number < 2; ++number) {
    GgufWriter writer;
    if (number == 0) {
      writer.SetString("general.architecture", "llama");
      writer.SetUint32("llama.block_count", 1);
    }
    writer.SetUint32("split.no", number);
    writer.SetUint32("split.count", 2);
    writer.SetUint32("split.tensors.count", 2);
    const std::vector<uint8_t> data(4 * 64, static_cast<uint8_t>(number));
    writer.AddTensor(absl::StrCat("blk.0.part", number, ".weight"),
                     TensorType::kF32, {32, 2}, data);
    std::ofstream(absl::StrCat(stem, "-0000", number + 1, "-of-00002.gguf"),
                  std::ios::binary)
        << writer.Serialize();
  }
  {
    const auto file = GgufFile::Open(stem + "-00001-of-00002.gguf");
    ASSERT_TRUE(file.ok()) << file.status();
    ThreadTeam team(1);
    ASSERT_TRUE(
        QuantizeFile(**file, path_, {.type = TensorType::kQ8_0, .team = &team})
            .ok());
  }
  unlink((stem + "-00001-of-00002.gguf").c_str());
  unlink((stem + "-00002-of-00002.gguf").c_str());
  const auto whole = GgufFile::Open(path_);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ((*whole)->tensors().size(), 2u);
  EXPECT_EQ((*whole)->GetUint("llama.block_count").value(), 1u);
  for (const GgufEntry& entry : (*whole)->entries()) {
    EXPECT_THAT(entry.key, ::testing::Not(::testing::StartsWith("split.")));
  }
}

// The file at `path` with its matrices as floats.
std::string FloatImage(const std::string& path) {
  const auto file = GgufFile::Open(path);
  EXPECT_TRUE(file.ok()) << file.status();
  GgufWriter writer;
  for (const GgufEntry& entry : (*file)->entries()) writer.CopyEntry(entry);
  for (const GgufTensor& tensor : (*file)->tensors()) {
    std::vector<float> values(tensor.elements());
    Dequantize(tensor.type, (*file)->ReadTensor(tensor)->data(),
               static_cast<int64_t>(values.size()), values.data());
    writer.AddTensor(
        tensor.name, TensorType::kF32, tensor.dims,
        {reinterpret_cast<const uint8_t*>(values.data()), 4 * values.size()});
  }
  return writer.Serialize();
}

double HeldOutNll(std::unique_ptr<GgufFile> file, NumericsMode mode) {
  const auto model = Model::Load(std::move(file), {.numerics = mode});
  EXPECT_TRUE(model.ok()) << model.status();
  const auto engine = Engine::Load(*model, {});
  EXPECT_TRUE(engine.ok()) << engine.status();
  return MeanNll(engine->get(), HeldOutRows((*engine)->tokenizer(), kHeldOut));
}

// The demo target as Q4_K_M. That activations are rounded in int8 mode, 256 to
// a scale, costs less than 0.5% of perplexity against the same file in f32;
// that weights have four bits costs a model this small some percent.
TEST_F(QuantizeFileTest, AQ4_K_MFileKeepsThePerplexity) {
  auto floats = GgufFile::FromBytes(
      FloatImage(TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf"),
      "target");
  ASSERT_TRUE(floats.ok()) << floats.status();
  ThreadTeam team(2);
  ASSERT_TRUE(
      QuantizeFile(**floats, path_, {.type = TensorType::kQ4_K, .team = &team})
          .ok());
  const double whole = HeldOutNll(*std::move(floats), NumericsMode::kF32);
  const auto nll = [&](NumericsMode mode) {
    auto file = GgufFile::Open(path_);
    EXPECT_TRUE(file.ok()) << file.status();
    return HeldOutNll(*std::move(file), mode);
  };
  const double in_f32 = nll(NumericsMode::kF32);
  const double in_int8 = nll(NumericsMode::kInt8);
  std::printf("perplexity: floats %.4f, Q4_K_M in f32 %.4f, in int8 %.4f\n",
              std::exp(whole), std::exp(in_f32), std::exp(in_int8));
  EXPECT_NEAR(std::exp(in_int8 - in_f32), 1.0, 0.005);
  EXPECT_LT(std::exp(in_f32 - whole), 1.05);
}

// The demo target as Q4_0, with a head of Q6_K.
TEST_F(QuantizeFileTest, AQ4_0FileLosesLittleByItsHead) {
  auto floats = GgufFile::FromBytes(
      FloatImage(TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf"),
      "target");
  ASSERT_TRUE(floats.ok()) << floats.status();
  ThreadTeam team(2);
  ASSERT_TRUE(
      QuantizeFile(**floats, path_, {.type = TensorType::kQ4_0, .team = &team})
          .ok());
  const double whole = HeldOutNll(*std::move(floats), NumericsMode::kF32);
  auto file = GgufFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  const double rounded = HeldOutNll(*std::move(file), NumericsMode::kInt8);
  std::printf("perplexity: floats %.4f, Q4_0 in int8 %.4f\n", std::exp(whole),
              std::exp(rounded));
  EXPECT_LT(std::exp(rounded - whole), 1.10);
}

TEST_F(QuantizeFileTest, ReportsProgress) {
  const auto file = OpenTiny(TinyModel(WideSpec()));
  ASSERT_TRUE(file.ok());
  ThreadTeam team(1);
  std::vector<double> fractions;
  ASSERT_TRUE(
      QuantizeFile(**file, path_,
                   {.type = TensorType::kQ8_0,
                    .team = &team,
                    .progress = [&](double f) { fractions.push_back(f); }})
          .ok());
  EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
  EXPECT_EQ(fractions.back(), 1.0);
}

}  // namespace
}  // namespace tandem
