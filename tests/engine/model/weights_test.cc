#include "engine/model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/cpu_features.h"
#include "engine/base/error_reason.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

constexpr NumericsMode kInt8Float = NumericsMode::kInt8Float;

absl::StatusOr<std::unique_ptr<ModelWeights>> LoadWeights(
    const TinyModel& tiny, WeightsOptions options = {}) {
  ThreadTeam team(2);
  options.team = &team;
  absl::StatusOr<std::unique_ptr<GgufFile>> file = OpenTiny(tiny);
  if (!file.ok()) return file.status();
  const absl::StatusOr<ModelConfig> config = ModelConfig::FromGguf(**file);
  if (!config.ok()) return config.status();
  return ModelWeights::Load(**file, *config, options);
}

void ExpectError(const TinyModel& tiny, const std::string& reason,
                 const std::string& text, const WeightsOptions& options = {}) {
  const absl::Status status = LoadWeights(tiny, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value()) << status;
  EXPECT_EQ(GetErrorDetail(status)->reason, reason) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(text));
}

std::vector<std::string> TensorNames(const TinyModel& tiny) {
  std::vector<std::string> names;
  for (const TinyTensor& tensor : tiny.tensors) names.push_back(tensor.name);
  return names;
}

const char* const kArchitectureNames[] = {
    "gemma", "gemma2", "gemma3", "granite", "llama", "phi3", "qwen2", "qwen3"};

TEST(WeightsTest, EveryTensorIsNeeded) {
  for (const char* architecture : kArchitectureNames) {
    const TinyModelSpec spec = {.architecture = architecture, .tied = false};
    for (const std::string& name : TensorNames(TinyModel(spec))) {
      if (name == "output.weight") continue;  // then the embeddings serve
      TinyModel tiny(spec);
      tiny.Erase(name);
      ExpectError(tiny, kReasonMalformedFile, name);
    }
  }
}

// `good` with one tensor transposed, or of one element or row more.
TinyModel WithAnotherShape(const TinyModel& good, const std::string& name) {
  TinyModel tiny = good;
  TinyTensor& tensor = tiny.tensor(name);
  if (tensor.dims.size() == 2 && tensor.dims[0] != tensor.dims[1]) {
    std::swap(tensor.dims[0], tensor.dims[1]);
    return tiny;
  }
  tensor.dims.back() += 1;
  tensor.data.resize(tensor.data.size() + 4 * tensor.dims[0]);
  if (tensor.dims.size() == 1) tensor.data.resize(4 * tensor.dims[0]);
  return tiny;
}

TEST(WeightsTest, EveryShapeIsChecked) {
  for (const char* architecture : kArchitectureNames) {
    const TinyModel good({.architecture = architecture});
    for (const std::string& name : TensorNames(good)) {
      if (name == "token_embd.weight") continue;  // below
      ExpectError(WithAnotherShape(good, name), kReasonMalformedFile,
                  absl::StrCat(": tensor '", name, "': has shape ["));
    }
  }
  TinyModel tiny((TinyModelSpec()));
  tiny.metadata["llama.embedding_length"] = uint32_t{32};
  ExpectError(tiny, kReasonMalformedFile, "'token_embd.weight': has shape");
}

// A fused matrix is its parts, one below the other.
TEST(WeightsTest, FusedMatricesAreSplit) {
  for (const TensorType type : {TensorType::kF32, TensorType::kQ8_0}) {
    TinyModelSpec spec = {.architecture = "phi3", .type = type};
    TinyModel tiny(spec);
    const auto weights = LoadWeights(tiny);
    ASSERT_TRUE(weights.ok()) << weights.status();
    const LayerWeights& layer = (*weights)->layer(1);
    const auto expect_part = [&](const Linear& part, const std::string& name,
                                 int64_t first_row) {
      const int64_t rows = part.outputs();
      std::vector<float> all((first_row + rows) * spec.width);
      Dequantize(type, tiny.tensor(name).data.data(),
                 static_cast<int64_t>(all.size()), all.data());
      std::vector<float> row(spec.width);
      for (int64_t i = 0; i < rows; ++i) {
        part.DequantizeRow(i, row.data());
        ASSERT_EQ(
            std::memcmp(row.data(), all.data() + (first_row + i) * spec.width,
                        row.size() * sizeof(float)),
            0)
            << name << " row " << i;
      }
    };
    ASSERT_EQ(layer.query.outputs(), 64);
    expect_part(layer.query, "blk.1.attn_qkv.weight", 0);
    expect_part(layer.key, "blk.1.attn_qkv.weight", 64);
    expect_part(layer.value, "blk.1.attn_qkv.weight", 64 + 32);
    expect_part(layer.gate, "blk.1.ffn_up.weight", 0);
    expect_part(layer.up, "blk.1.ffn_up.weight", 96);
  }
}

TEST(WeightsTest, RopeFactorsAreHashed) {
  TinyModel tiny((TinyModelSpec()));
  TinyTensor factors = {.name = kRopeFactors, .dims = {8}};
  factors.data = EncodeTensor(TensorType::kF32, std::vector<float>(8, 2.0f));
  tiny.tensors.push_back(factors);
  const auto two = LoadWeights(tiny);
  ASSERT_TRUE(two.ok()) << two.status();
  tiny.tensors.back().data =
      EncodeTensor(TensorType::kF32, std::vector<float>(8, 3.0f));
  EXPECT_NE((*two)->hash(), (*LoadWeights(tiny))->hash());
}

TEST(WeightsTest, TensorsOfNoUseAreRefused) {
  for (const char* name :
       {"rope_freqs.other", "blk.0.attn_q.bias", "blk.2.attn_norm.weight"}) {
    TinyModel tiny((TinyModelSpec()));
    TinyTensor extra = tiny.tensor("output_norm.weight");
    extra.name = name;
    tiny.tensors.push_back(extra);
    ExpectError(tiny, kReasonUnsupportedModel, name);
  }
}

TEST(WeightsTest, TypesThatItDoesNotComputeWithAreNamed) {
  TinyModel tiny((TinyModelSpec()));
  TinyTensor& tensor = tiny.tensor("blk.1.ffn_up.weight");
  tensor.type = TensorType::kI32;
  ExpectError(tiny, kReasonUnsupportedModel,
              "'blk.1.ffn_up.weight': has type I32");
}

TEST(WeightsTest, NormsAreFloats) {
  TinyModel tiny((TinyModelSpec()));
  TinyTensor& norm = tiny.tensor("blk.0.attn_norm.weight");
  norm.type = TensorType::kQ8_0;
  norm.data = EncodeTensor(TensorType::kQ8_0, std::vector<float>(64, 1.0f));
  ExpectError(tiny, kReasonUnsupportedModel,
              "'blk.0.attn_norm.weight': is a vector");
  norm.type = TensorType::kBF16;
  norm.data = EncodeTensor(TensorType::kBF16, std::vector<float>(64, 1.5f));
  const auto weights = LoadWeights(tiny);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ((*weights)->layer(0).attention_norm[63], 1.5f);
}

// Writes `bits` over the word at byte `at` of a tensor.
template <typename Word>
void Poison(TinyModel* tiny, const std::string& name, size_t at, Word bits) {
  TinyTensor& tensor = tiny->tensor(name);
  ASSERT_LE(at + sizeof(bits), tensor.data.size());
  std::memcpy(tensor.data.data() + at, &bits, sizeof(bits));
}

TEST(WeightsTest, NanAndInfinityAreRefusedInEveryTensor) {
  for (const std::string& name : TensorNames(TinyModel(TinyModelSpec()))) {
    for (const uint32_t bits : {0x7fc00000u, 0xff800000u, 0x7f800001u}) {
      TinyModel tiny((TinyModelSpec()));
      const size_t last = tiny.tensor(name).data.size() - 4;
      Poison(&tiny, name, last, bits);
      ExpectError(tiny, kReasonMalformedFile,
                  absl::StrCat(": tensor '", name, "': holds NaN"));
    }
  }
}

struct PoisonCase {
  TensorType type;
  size_t stride;  // bytes of a block
  uint16_t bits;
};

TEST(WeightsTest, NanAndInfinityAreRefusedInEveryType) {
  const std::vector<PoisonCase> cases = {
      {TensorType::kF16, 2, 0x7c00},   {TensorType::kF16, 2, 0xfe00},
      {TensorType::kBF16, 2, 0x7f80},  {TensorType::kBF16, 2, 0xffc0},
      {TensorType::kQ8_0, 34, 0x7e00}, {TensorType::kQ8_0, 34, 0xfc00},
      {TensorType::kQ4_0, 18, 0x7c01}, {TensorType::kQ4_0, 18, 0xfc00},
  };
  for (const PoisonCase& poison : cases) {
    TinyModelSpec spec;
    spec.type = poison.type;
    TinyModel tiny(spec);
    Poison(&tiny, "blk.1.ffn_down.weight", 5 * poison.stride, poison.bits);
    ExpectError(tiny, kReasonMalformedFile, "blk.1.ffn_down.weight",
                {.mode = NumericsMode::kF32});
  }
}

// Codes of quantised blocks may look like anything.
TEST(WeightsTest, QuantisedCodesAreNotTakenForNan) {
  TinyModelSpec spec;
  spec.type = TensorType::kQ8_0;
  TinyModel tiny(spec);
  Poison<uint16_t>(&tiny, "blk.0.attn_q.weight", 2, 0x7c00);
  EXPECT_TRUE(LoadWeights(tiny).ok());
}

TEST(WeightsTest, TiedAndSeparateHeads) {
  TinyModelSpec spec;
  spec.type = TensorType::kQ8_0;
  std::vector<float> row(spec.width);
  for (const NumericsMode mode : {NumericsMode::kInt8, NumericsMode::kF32}) {
    for (const bool tied : {true, false}) {
      spec.tied = tied;
      const TinyModel tiny(spec);
      const auto weights = LoadWeights(tiny, {.mode = mode});
      ASSERT_TRUE(weights.ok()) << weights.status();
      EXPECT_EQ((*weights)->head().outputs(), spec.vocab_size);
      EXPECT_EQ((*weights)->head().inputs(), spec.width);
      // Rows of the table are exact: quantised values are kept as they are.
      std::vector<float> wanted(spec.vocab_size * spec.width);
      TinyModel copy = tiny;
      Dequantize(spec.type, copy.tensor("token_embd.weight").data.data(),
                 static_cast<int64_t>(wanted.size()), wanted.data());
      for (const TokenId token : {0, 17, 299}) {
        (*weights)->EmbeddingRow(token, row.data());
        EXPECT_EQ(std::memcmp(row.data(), wanted.data() + token * spec.width,
                              row.size() * sizeof(float)),
                  0)
            << token;
      }
    }
  }
}

TEST(WeightsTest, TheHashCoversNamesTypesAndData) {
  const TinyModel base((TinyModelSpec()));
  const std::string hash = (*LoadWeights(base))->hash();
  EXPECT_EQ((*LoadWeights(base))->hash(), hash);
  // Not the order in the file.
  TinyModel reversed = base;
  std::reverse(reversed.tensors.begin(), reversed.tensors.end());
  EXPECT_EQ((*LoadWeights(reversed))->hash(), hash);
  for (const std::string& name : TensorNames(base)) {
    TinyModel changed = base;
    changed.tensor(name).data[0] ^= 1;
    EXPECT_NE((*LoadWeights(changed))->hash(), hash) << name;
  }
}

TEST(WeightsTest, ReportsProgressUpToOne) {
  std::vector<double> fractions;
  const auto weights = LoadWeights(
      TinyModel(TinyModelSpec()),
      {.progress = [&](double fraction) { fractions.push_back(fraction); }});
  ASSERT_TRUE(weights.ok()) << weights.status();
  ASSERT_FALSE(fractions.empty());
  EXPECT_TRUE(std::is_sorted(fractions.begin(), fractions.end()));
  EXPECT_GE(fractions.front(), 0.0);
  EXPECT_EQ(fractions.back(), 1.0);
  EXPECT_GT((*weights)->bytes(), 0);
}

// What a plan counts on is known before tensors are read. The parts of fused
// matrices are no whole number of tiles: a key has 16 rows, and of oneDNN's 64
// a gate has two and a half. Where nothing is fused, the plan is exact.
TEST(WeightsTest, ThePlannedBytesAreThoseThatAreTaken) {
  for (const char* architecture : kArchitectureNames) {
    for (const bool tied : {false, true}) {
      for (const TensorType type : {TensorType::kF32, TensorType::kF16,
                                    TensorType::kQ8_0, TensorType::kQ4_K}) {
        TinyModelSpec spec = TinySpecFor(type);
        spec.architecture = architecture;
        spec.tied = tied;
        spec.kv_heads = 1;
        if (type == TensorType::kQ4_K) {
          spec.heads = 16;
          spec.head_dim = spec.rotary_dims = 16;
        } else {
          spec.feed_forward_width = 160;
        }
        const TinyModel tiny(spec);
        const auto file = OpenTiny(tiny);
        ASSERT_TRUE(file.ok()) << file.status();
        const NumericsMode mode = DefaultNumericsMode(**file);
        const auto weights = LoadWeights(tiny, {.mode = mode});
        ASSERT_TRUE(weights.ok()) << weights.status();
        const int64_t planned = PlannedWeightBytes(**file, mode);
        const int64_t taken = (*weights)->bytes();
        if (FindArchitecture(architecture)->features.fused_inputs) {
          EXPECT_GE(planned, taken) << GetTensorTypeInfo(type).name;
          // Three tiles of at most 64 rows a layer, padded to 64 inputs.
          const int64_t inputs = std::max<int64_t>(spec.width, 64);
          EXPECT_LE(planned, taken + spec.layers * 3 * 64 * inputs * 4);
        } else {
          EXPECT_EQ(planned, taken) << architecture;
        }
      }
    }
  }
}

// The tensor `name` as zeros of a float type.
void WithFloats(TensorType type, const std::string& name, TinyModel* tiny) {
  TinyTensor& tensor = tiny->tensor(name);
  tensor.type = type;
  tensor.data =
      EncodeTensor(type, std::vector<float>(tensor.dims[0] * tensor.dims[1]));
}

TEST(WeightsTest, NoFileIsRoundedUnasked) {
  const auto mode_of = [](const TinyModel& tiny) {
    return DefaultNumericsMode(**OpenTiny(tiny));
  };
  TinyModelSpec spec;
  for (const auto& [type, mode] :
       {std::pair{TensorType::kF32, NumericsMode::kF32},
        std::pair{TensorType::kF16, NumericsMode::kF32},
        std::pair{TensorType::kBF16, CpuHasBf16Matmul() ? NumericsMode::kBf16
                                                        : NumericsMode::kF32},
        std::pair{TensorType::kQ8_0, NumericsMode::kInt8},
        std::pair{TensorType::kQ4_0, NumericsMode::kInt8}}) {
    spec.type = type;
    EXPECT_EQ(mode_of(TinyModel(spec)), mode) << GetTensorTypeInfo(type).name;
  }
  // Float matrices among quantised ones stay what they are, wherever they are:
  // layers of which none is quantised, a head, a fused matrix.
  for (const TensorType type :
       {TensorType::kF16, TensorType::kBF16, TensorType::kF32}) {
    for (const char* name : {"blk.0.attn_q.weight", "token_embd.weight"}) {
      TinyModel mixed(spec);
      WithFloats(type, name, &mixed);
      EXPECT_EQ(mode_of(mixed), NumericsMode::kInt8Float) << name;
    }
    TinyModelSpec other = spec;
    other.type = type;
    other.second_type = TensorType::kQ8_0;
    EXPECT_EQ(mode_of(TinyModel(other)), NumericsMode::kInt8Float);
    TinyModel fused({.architecture = "phi3", .type = TensorType::kQ8_0});
    WithFloats(type, "blk.1.attn_qkv.weight", &fused);
    EXPECT_EQ(mode_of(fused), NumericsMode::kInt8Float);
  }
  // A table that is only looked up is kept as it is in any mode.
  spec.tied = false;
  TinyModel table(spec);
  TinyTensor& embeddings = table.tensor("token_embd.weight");
  embeddings.type = TensorType::kF16;
  embeddings.data =
      EncodeTensor(TensorType::kF16, std::vector<float>(300 * 64));
  EXPECT_EQ(mode_of(table), NumericsMode::kInt8);
  EXPECT_TRUE(LoadWeights(table, {.mode = NumericsMode::kInt8}).ok());
}

TEST(WeightsTest, Int8NeedsWholeGroups) {
  TinyModelSpec spec;
  spec.feed_forward_width = 80;
  ExpectError(TinyModel(spec), kReasonUnsupportedModel, "ffn_down",
              {.mode = NumericsMode::kInt8});
  EXPECT_TRUE(LoadWeights(TinyModel(spec)).ok());
  // Floats have no groups.
  EXPECT_TRUE(LoadWeights(TinyModel(spec), {.mode = kInt8Float}).ok());
}

// What Load takes is what PlannedWeightBytes says, in every mode.
TEST(WeightsTest, MemoryIsKnownFromTheFile) {
  for (const bool tied : {true, false}) {
    TinyModelSpec spec = {.vocab_size = 320,
                          .tied = tied,
                          .type = TensorType::kQ8_0,
                          .second_type = TensorType::kF16};
    const TinyModel tiny(spec);
    const auto file = OpenTiny(tiny);
    ASSERT_TRUE(file.ok()) << file.status();
    for (const NumericsMode mode :
         {NumericsMode::kInt8, kInt8Float, NumericsMode::kF32}) {
      for (const GgufTensor& tensor : (*file)->tensors()) {
        const auto bytes = MatrixMemoryBytes(**file, tensor, mode);
        ASSERT_EQ(bytes.has_value(), tensor.dims.size() == 2) << tensor.name;
        if (mode == kInt8Float && tensor.type == TensorType::kF16) {
          // Whole tiles: not a byte more than in the file.
          EXPECT_EQ(*bytes, static_cast<int64_t>(tensor.bytes)) << tensor.name;
        }
      }
      const auto weights = LoadWeights(tiny, {.mode = mode});
      ASSERT_TRUE(weights.ok()) << weights.status();
      EXPECT_EQ((*weights)->bytes(), PlannedWeightBytes(**file, mode))
          << NumericsModeName(mode);
    }
  }
  // What Load refuses.
  TinyModel odd((TinyModelSpec()));
  odd.tensor("blk.0.attn_q.weight").type = TensorType::kI32;
  const auto file = OpenTiny(odd);
  EXPECT_EQ(
      MatrixMemoryBytes(**file, *(*file)->FindTensor("blk.0.attn_q.weight"),
                        NumericsMode::kF32),
      std::nullopt);
}

// Rows of a head that is also the table, and of a table of its own, are those
// of the file in any float type.
TEST(WeightsTest, FloatEmbeddingRowsAreExact) {
  for (const TensorType type :
       {TensorType::kF16, TensorType::kBF16, TensorType::kF32}) {
    for (const bool tied : {true, false}) {
      TinyModel tiny({.tied = tied, .type = TensorType::kQ8_0});
      TinyTensor& table = tiny.tensor("token_embd.weight");
      std::vector<float> values(300 * 64);
      TinyRandom random(3);
      for (float& value : values) value = random.Uniform();
      table.type = type;
      table.data = EncodeTensor(type, values);
      Dequantize(type, table.data.data(), 300 * 64, values.data());
      const auto weights = LoadWeights(tiny, {.mode = kInt8Float});
      ASSERT_TRUE(weights.ok()) << weights.status();
      std::vector<float> row(64);
      for (const TokenId token : {0, 31, 32, 299}) {
        (*weights)->EmbeddingRow(token, row.data());
        EXPECT_EQ(std::memcmp(row.data(), values.data() + token * 64, 64 * 4),
                  0)
            << token;
      }
    }
  }
}

}  // namespace
}  // namespace tandem
