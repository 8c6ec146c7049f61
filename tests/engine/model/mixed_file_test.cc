// A file of the usual mix of quantised types (Q4_K_M) with one float matrix, as
// many published files have: each matrix runs in the numerics of its own type.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/cpu_features.h"
#include "engine/base/hash.h"
#include "engine/engine.h"
#include "engine/gguf/gguf_writer.h"
#include "engine/model/quantize_file.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

constexpr int kTokens = 40;
constexpr int64_t kVocab = 320;  // whole tiles of 32 outputs
constexpr int kLayers = 3;

TinyModelSpec Spec() {
  TinyModelSpec spec = TinySpecFor(TensorType::kQ4_K);
  spec.type = TensorType::kF32;
  spec.layers = kLayers;
  spec.vocab_size = kVocab;
  return spec;
}

// Float matrices of the file: a table that is the head too, one of three that
// share their input, and one that is alone.
struct FloatMatrixCase {
  TensorType type;
  const char* name;
};

class MixedFileTest : public ::testing::TestWithParam<FloatMatrixCase> {
 protected:
  void SetUp() override {
    const std::string path = ::testing::TempDir() + "/mixed_file_test_" +
                             std::to_string(getpid()) + ".gguf";
    const TinyModel floats(Spec());
    ThreadTeam team(2);
    const absl::Status status = QuantizeFile(
        **OpenTiny(floats), path, {.type = TensorType::kQ4_K, .team = &team});
    ASSERT_TRUE(status.ok()) << status;
    const auto quantised = GgufFile::Open(path);
    ASSERT_TRUE(quantised.ok()) << quantised.status();
    GgufWriter pure;
    GgufWriter mixed;
    for (const GgufEntry& entry : (*quantised)->entries()) {
      pure.CopyEntry(entry);
      mixed.CopyEntry(entry);
    }
    for (const GgufTensor& tensor : (*quantised)->tensors()) {
      const std::vector<uint8_t> data = *(*quantised)->ReadTensor(tensor);
      pure.AddTensor(tensor.name, tensor.type, tensor.dims, data);
      if (tensor.name == GetParam().name) {
        mixed.AddTensor(tensor.name, GetParam().type, tensor.dims,
                        FloatData(floats, tensor.name));
      } else {
        mixed.AddTensor(tensor.name, tensor.type, tensor.dims, data);
      }
    }
    pure_ = pure.Serialize();
    mixed_ = mixed.Serialize();
    unlink(path.c_str());
  }

  static std::vector<uint8_t> FloatData(const TinyModel& floats,
                                        const std::string& name) {
    for (const TinyTensor& tensor : floats.tensors) {
      if (tensor.name != name) continue;
      std::vector<float> values(tensor.dims[0] * tensor.dims[1]);
      Dequantize(TensorType::kF32, tensor.data.data(),
                 static_cast<int64_t>(values.size()), values.data());
      return EncodeTensor(GetParam().type, values);
    }
    ADD_FAILURE() << name;
    return {};
  }

  static std::shared_ptr<const Model> Load(
      const std::string& image, std::optional<NumericsMode> mode = {}) {
    auto file = GgufFile::FromBytes(image, "mixed.gguf");
    EXPECT_TRUE(file.ok()) << file.status();
    auto model = Model::Load(*std::move(file), {.numerics = mode});
    EXPECT_TRUE(model.ok()) << model.status();
    return model.ok() ? *model : nullptr;
  }

  std::string pure_;   // without the float matrix
  std::string mixed_;  // with it
};

class Collector : public RowConsumer {
 public:
  void OnRow(size_t, size_t, absl::Span<float> logits) override {
    rows.insert(rows.end(), logits.begin(), logits.end());
  }
  std::vector<float> rows;  // [tokens, vocab]
};

// The rows of a text of random tokens, run in pieces of `chunk`.
std::vector<float> Rows(std::shared_ptr<const Model> model, SimdLevel level,
                        int threads, size_t chunk) {
  setenv("TANDEM_SIMD", std::string(SimdLevelName(level)).c_str(), 1);
  const auto engine = Engine::Load(std::move(model), {.threads = threads});
  unsetenv("TANDEM_SIMD");
  EXPECT_TRUE(engine.ok()) << engine.status();
  if (!engine.ok()) return {};
  TinyRandom random(7);
  std::vector<TokenId> tokens(kTokens);
  for (TokenId& token : tokens) {
    token = static_cast<TokenId>(random.Below(kVocab));
  }
  const SequenceId sequence = *(*engine)->Open({.tokens_max = kTokens});
  Collector collector;
  for (size_t i = 0; i < tokens.size(); i += chunk) {
    const StepItem item = {
        .sequence = sequence,
        .position = static_cast<Position>(i),
        .tokens = absl::MakeConstSpan(tokens).subspan(i, chunk),
        .rows = WantedRows::kAll};
    EXPECT_TRUE((*engine)->Step({&item, 1}, &collector).ok());
  }
  return std::move(collector.rows);
}

TEST_P(MixedFileTest, ReportsItsNumericsAndKeepsTheOtherModes) {
  EXPECT_EQ(Load(pure_)->numerics(), NumericsMode::kInt8);
  const auto mixed = Load(mixed_);
  ASSERT_NE(mixed, nullptr);
  EXPECT_EQ(NumericsModeName(mixed->numerics()), "int8+float");
  std::vector<std::string> fingerprints = {mixed->fingerprint()};
  for (const NumericsMode mode : {NumericsMode::kInt8, NumericsMode::kF32}) {
    const auto asked = Load(mixed_, mode);
    EXPECT_EQ(asked->numerics(), mode);
    for (const std::string& other : fingerprints) {
      EXPECT_NE(asked->fingerprint(), other);
    }
    fingerprints.push_back(asked->fingerprint());
  }
  EXPECT_EQ(Load(mixed_, NumericsMode::kInt8Float)->fingerprint(),
            fingerprints[0]);
  // Of a file without float matrices that mode is int8, by every name.
  const auto asked = Load(pure_, NumericsMode::kInt8Float);
  EXPECT_EQ(asked->numerics(), NumericsMode::kInt8);
  EXPECT_EQ(asked->fingerprint(), Load(pure_)->fingerprint());
}

// Q6_K takes 1.08 bytes a weight for the file's 0.82, a third more; the other
// types of the mix, and floats, take what they take in the file, within 3%.
TEST_P(MixedFileTest, TakesAboutTheMemoryOfTheFile) {
  const auto file = GgufFile::FromBytes(mixed_, "mixed.gguf");
  ASSERT_TRUE(file.ok()) << file.status();
  uint64_t in_file = 0;
  uint64_t of_q6_k = 0;
  uint64_t of_vectors = 0;
  for (const GgufTensor& tensor : (*file)->tensors()) {
    (tensor.dims.size() == 2 ? in_file : of_vectors) += tensor.bytes;
    if (tensor.type == TensorType::kQ6_K) of_q6_k += tensor.bytes;
  }
  const auto bytes = static_cast<double>(Load(mixed_)->weight_bytes()) -
                     static_cast<double>(of_vectors);
  EXPECT_GE(bytes, static_cast<double>(in_file));
  EXPECT_LT(bytes, 1.03 * static_cast<double>(in_file - of_q6_k) +
                       1.32 * static_cast<double>(of_q6_k));
  // All as floats, as it would be in f32.
  EXPECT_GT(
      static_cast<double>(Load(mixed_, NumericsMode::kF32)->weight_bytes()),
      3 * bytes);
}

TEST_P(MixedFileTest, HasTheSameBitsAtEveryLevel) {
  const auto model = Load(mixed_);
  ASSERT_NE(model, nullptr);
  const std::vector<float> wanted = Rows(model, SimdLevel::kScalar, 1, 1);
  ASSERT_EQ(wanted.size(), static_cast<size_t>(kTokens * kVocab));
  for (const SimdLevel level :
       {SimdLevel::kScalar, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (level > DetectedSimdLevel()) continue;
    for (const int threads : {1, 3}) {
      for (const size_t chunk : {kTokens, 7, 1}) {
        EXPECT_TRUE(Rows(model, level, threads, chunk) == wanted)
            << SimdLevelName(level) << ", " << threads << " threads, pieces of "
            << chunk;
      }
    }
  }
}

// The reference has the same weights, and floats all the way; here the input of
// a quantised matrix is rounded to 127 steps of the largest of 256 values, and
// the KV cache to bf16, which is less. An error of at most half a step,
// uniform, has a standard deviation of m / 127 / sqrt(12); the largest m of 256
// normal values is 2.9 sigma or so: 0.66% of the input's norm. A layer rounds
// four times on the way of its residual (golden_test.cc), so with the head n =
// 4 * layers + 1 roundings make sqrt(n) * 0.66%; attention over random weights
// passes an error on as up to 4 times that (architecture_logits_test.cc).
TEST_P(MixedFileTest, LogitsAreNearThoseOfTheReference) {
  const std::vector<float> wanted =
      Rows(Load(mixed_, NumericsMode::kF32), DetectedSimdLevel(), 1, kTokens);
  const std::vector<float> actual =
      Rows(Load(mixed_), DetectedSimdLevel(), 1, kTokens);
  ASSERT_EQ(actual.size(), wanted.size());
  double total = 0;
  for (int row = 0; row < kTokens; ++row) {
    double error = 0;
    double norm = 0;
    for (int64_t i = row * kVocab; i < (row + 1) * kVocab; ++i) {
      error += std::pow(static_cast<double>(actual[i]) - wanted[i], 2);
      norm += std::pow(static_cast<double>(wanted[i]), 2);
    }
    total += std::sqrt(error / norm);
  }
  const double bound = 4 * 0.0066 * std::sqrt(4.0 * kLayers + 1);
  std::printf("relative error %.4f, bound %.4f\n", total / kTokens, bound);
  EXPECT_LT(total / kTokens, bound);
}

INSTANTIATE_TEST_SUITE_P(
    FloatMatrices, MixedFileTest,
    ::testing::Values(
        FloatMatrixCase{TensorType::kF16, "blk.1.ffn_down.weight"},
        FloatMatrixCase{TensorType::kBF16, "blk.0.attn_k.weight"},
        FloatMatrixCase{TensorType::kF32, "blk.2.attn_output.weight"},
        FloatMatrixCase{TensorType::kF16, "token_embd.weight"}),
    [](const ::testing::TestParamInfo<FloatMatrixCase>& tested) {
      std::string name(GetTensorTypeInfo(tested.param.type).name);
      for (const char* c = tested.param.name; *c != '\0'; ++c) {
        name += *c == '.' ? '_' : *c;
      }
      return name;
    });

// The bits of the mode, the same on any machine. A change here changes the text
// of running sessions: raise kNumericsVersion with it.
TEST(MixedFileGoldenTest, BitsAreThoseOfThisNumericsVersion) {
  EXPECT_EQ(kNumericsVersion, 2);
  TinyModelSpec spec;
  spec.vocab_size = kVocab;
  spec.feed_forward_width = 80;  // no quantised type has such rows
  spec.type = TensorType::kQ8_0;
  spec.second_type = TensorType::kF16;
  const auto model = LoadTiny(TinyModel(spec));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->numerics(), NumericsMode::kInt8Float);
  const std::vector<float> rows = Rows(*model, DetectedSimdLevel(), 2, kTokens);
  EXPECT_EQ(Sha256OfBytes({reinterpret_cast<const uint8_t*>(rows.data()),
                           rows.size() * sizeof(float)}),
            "dbf221d4806e85535a3889d7ae24bee2c76d00f99805803df3bf368a52c2e6c1");
}

}  // namespace
}  // namespace tandem
