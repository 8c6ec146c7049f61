#include "engine/kernels/linear.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/error_reason.h"
#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {
namespace {

struct Form {
  TensorType type;
  NumericsMode mode;
};

// About `wanted` inputs: whole blocks.
int64_t WholeBlocks(TensorType type, int64_t wanted) {
  const int64_t block = GetTensorTypeInfo(type).block_elements;
  return (wanted + block - 1) / block * block;
}

class LinearTest : public ::testing::TestWithParam<Form> {
 protected:
  void SetUp() override {
    if (GetParam().mode == NumericsMode::kBf16 && !CpuHasBf16Matmul()) {
      GTEST_SKIP() << "bf16 needs AVX-512";
    }
  }
  Linear Make(const TestMatrix& matrix, ThreadTeam* team) {
    return Linear::Create(matrix.source, GetParam().mode, team).value();
  }
};

// |y - exact| against a bound made of what the form rounds: int8 rounds x to
// half a step of its group or super-block (and float types the weights
// likewise), int8+float x of quantised weights, bf16 both to 2^-9 relative;
// then K roundings of 2^-24 of the
// running sum, which is at most the sum of magnitudes.
double Bound(const Form& form, const float* x, const float* w, int64_t k) {
  const bool is_float = IsFloatWeightType(form.type);
  const bool rounds_weights = form.mode == NumericsMode::kInt8 && is_float;
  const bool rounds_x = form.mode == NumericsMode::kInt8 ||
                        (form.mode == NumericsMode::kInt8Float && !is_float);
  double bound = 0;
  double magnitudes = 0;
  const int64_t group =
      std::max<int64_t>(GetTensorTypeInfo(form.type).block_elements, 32);
  for (int64_t g = 0; g < k; g += group) {
    double x_max = 0;
    double w_max = 0;
    for (int64_t i = g; i < std::min<int64_t>(k, g + group); ++i) {
      x_max = std::max<double>(x_max, std::abs(x[i]));
      w_max = std::max<double>(w_max, std::abs(w[i]));
    }
    for (int64_t i = g; i < std::min<int64_t>(k, g + group); ++i) {
      const double x_abs = std::abs(x[i]);
      const double w_abs = std::abs(w[i]);
      double x_error = 0;
      double w_error = 0;
      if (rounds_x) x_error = x_max / 127 * 0.501;
      // Half a step, and the scale as a half.
      if (rounds_weights) w_error = w_max / 127 * 0.501 + w_abs * 0x1p-10;
      if (form.mode == NumericsMode::kBf16) {
        x_error = x_abs * 0x1p-8;
        w_error = w_abs * 0x1p-8;
      }
      bound += x_error * w_abs + w_error * x_abs + x_error * w_error;
      magnitudes += (x_abs + x_error) * (w_abs + w_error);
    }
  }
  return bound + magnitudes * (k + 4) * 0x1p-24;
}

TEST_P(LinearTest, IsNearTheDoubleProduct) {
  ThreadTeam team(2);
  for (int64_t outputs : {1, 40, 130}) {
    const int64_t inputs = WholeBlocks(GetParam().type, 288);
    const int64_t rows = 5;
    const TestMatrix matrix(GetParam().type, outputs, inputs, 31);
    const Linear linear = Make(matrix, &team);
    const std::vector<float> x = RandomFloats(rows * inputs, 32);
    const std::vector<float> y =
        Product(linear, GetParam().mode, x, rows, SimdLevel::kScalar, &team);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t n = 0; n < outputs; ++n) {
        const float* a = x.data() + row * inputs;
        const float* w = matrix.values.data() + n * inputs;
        double exact = 0;
        for (int64_t k = 0; k < inputs; ++k) {
          exact += static_cast<double>(a[k]) * w[k];
        }
        EXPECT_NEAR(y[row * outputs + n], exact,
                    Bound(GetParam(), a, w, inputs));
      }
    }
  }
}

TEST_P(LinearTest, ARowHasTheSameBitsInAnyCompany) {
  const int64_t outputs = 100;
  const int64_t inputs = WholeBlocks(GetParam().type, 160);
  const int64_t rows_max = 64;
  ThreadTeam one(1);
  const TestMatrix matrix(GetParam().type, outputs, inputs, 41);
  const Linear linear = Make(matrix, &one);
  const std::vector<float> x = RandomFloats(rows_max * inputs, 42);
  std::vector<float> alone;
  for (int64_t row = 0; row < rows_max; ++row) {
    const std::vector<float> a(x.begin() + row * inputs,
                               x.begin() + (row + 1) * inputs);
    const std::vector<float> y =
        Product(linear, GetParam().mode, a, 1, SimdLevel::kScalar, &one);
    alone.insert(alone.end(), y.begin(), y.end());
  }
  for (int threads = 1; threads <= 4; ++threads) {
    ThreadTeam team(threads);
    for (int64_t rows = 1; rows <= rows_max; ++rows) {
      for (SimdLevel level : MachineLevels()) {
        // The last rows of x, so that each stands at many positions.
        const int64_t first = rows_max - rows;
        const std::vector<float> part(x.begin() + first * inputs, x.end());
        const std::vector<float> y =
            Product(linear, GetParam().mode, part, rows, level, &team);
        ASSERT_TRUE(
            SameBits(y.data(), alone.data() + first * outputs, rows * outputs))
            << rows << " rows, " << threads << " threads, "
            << SimdLevelName(level);
      }
    }
  }
}

TEST_P(LinearTest, RowsPastOneCallKeepTheirBits) {
  if (!UsesOnednn(GetParam().mode)) return;
  ThreadTeam team(2);
  const int64_t inputs = WholeBlocks(GetParam().type, 64);
  const int64_t rows = 300;  // two calls of oneDNN
  const TestMatrix matrix(GetParam().type, 64, inputs, 51);
  const Linear linear = Make(matrix, &team);
  const std::vector<float> x = RandomFloats(rows * inputs, 52);
  const std::vector<float> y =
      Product(linear, GetParam().mode, x, rows, SimdLevel::kScalar, &team);
  for (int64_t row = 0; row < rows; row += 13) {
    const std::vector<float> a(x.begin() + row * inputs,
                               x.begin() + (row + 1) * inputs);
    const std::vector<float> alone =
        Product(linear, GetParam().mode, a, 1, SimdLevel::kScalar, &team);
    EXPECT_TRUE(SameBits(alone.data(), y.data() + row * 64, 64)) << row;
  }
}

TEST_P(LinearTest, NanReachesItsRowOnly) {
  ThreadTeam team(2);
  const int64_t inputs = WholeBlocks(GetParam().type, 64);
  const TestMatrix matrix(GetParam().type, 33, inputs, 61);
  const Linear linear = Make(matrix, &team);
  std::vector<float> x = RandomFloats(3 * inputs, 62);
  x[inputs + 5] = std::numeric_limits<float>::quiet_NaN();
  for (SimdLevel level : MachineLevels()) {
    const std::vector<float> y =
        Product(linear, GetParam().mode, x, 3, level, &team);
    for (int64_t n = 0; n < 33; ++n) {
      EXPECT_TRUE(std::isfinite(y[n]));
      EXPECT_TRUE(std::isnan(y[33 + n]));
      EXPECT_TRUE(std::isfinite(y[66 + n]));
    }
  }
}

TEST_P(LinearTest, DequantizesItsRows) {
  ThreadTeam team(1);
  const int64_t inputs = WholeBlocks(GetParam().type, 96);
  const TestMatrix matrix(GetParam().type, 70, inputs, 71);
  const Linear linear = Make(matrix, &team);
  EXPECT_EQ(linear.outputs(), 70);
  EXPECT_EQ(linear.inputs(), inputs);
  EXPECT_GT(linear.bytes(), 0);
  EXPECT_EQ(PackedWeightBytes(GetParam().type, 70, inputs, GetParam().mode),
            linear.bytes());
  std::vector<float> row(inputs);
  for (int64_t n : {0, 1, 63, 64, 69}) {
    linear.DequantizeRow(n, row.data());
    const float* expected = matrix.values.data() + n * inputs;
    float largest = 0;
    for (int64_t k = 0; k < inputs; ++k) {
      largest = std::max(largest, std::abs(expected[k]));
    }
    for (int64_t k = 0; k < inputs; ++k) {
      float bound = 0;
      if (GetParam().mode == NumericsMode::kBf16) {
        bound = std::abs(expected[k]) * 0x1p-8f;
      } else if (GetParam().mode == NumericsMode::kInt8 &&
                 IsFloatWeightType(GetParam().type)) {
        bound = largest * (0.501f / 127 + 0x1p-10f);
      }
      EXPECT_NEAR(row[k], expected[k], bound);
    }
  }
}

std::string FormName(const ::testing::TestParamInfo<Form>& info) {
  const TensorTypeInfo type = GetTensorTypeInfo(info.param.type);
  return absl::StrCat(
      type.name, "_",
      absl::StrReplaceAll(NumericsModeName(info.param.mode), {{"+", "_"}}));
}

INSTANTIATE_TEST_SUITE_P(
    Forms, LinearTest,
    ::testing::Values(Form{TensorType::kQ4_0, NumericsMode::kInt8},
                      Form{TensorType::kQ8_0, NumericsMode::kInt8},
                      Form{TensorType::kQ5_1, NumericsMode::kInt8},
                      Form{TensorType::kIQ4_NL, NumericsMode::kInt8},
                      Form{TensorType::kQ2_K, NumericsMode::kInt8},
                      Form{TensorType::kQ3_K, NumericsMode::kInt8},
                      Form{TensorType::kQ4_K, NumericsMode::kInt8},
                      Form{TensorType::kQ6_K, NumericsMode::kInt8},
                      Form{TensorType::kIQ4_XS, NumericsMode::kInt8},
                      Form{TensorType::kF32, NumericsMode::kInt8Float},
                      Form{TensorType::kF16, NumericsMode::kInt8Float},
                      Form{TensorType::kBF16, NumericsMode::kInt8Float},
                      Form{TensorType::kQ4_K, NumericsMode::kInt8Float},
                      Form{TensorType::kQ4_K, NumericsMode::kF32},
                      Form{TensorType::kF32, NumericsMode::kInt8},
                      Form{TensorType::kF32, NumericsMode::kF32},
                      Form{TensorType::kF16, NumericsMode::kF32},
                      Form{TensorType::kBF16, NumericsMode::kF32},
                      Form{TensorType::kQ4_0, NumericsMode::kF32},
                      Form{TensorType::kBF16, NumericsMode::kBf16},
                      Form{TensorType::kQ8_0, NumericsMode::kBf16}),
    FormName);

TEST(MatmulTest, SeveralOutputsOfOneInput) {
  ThreadTeam team(3);
  const int64_t inputs = 64;
  const int64_t rows = 3;
  const TestMatrix a(TensorType::kQ4_0, 20, inputs, 1);
  const TestMatrix b(TensorType::kQ8_0, 35, inputs, 2);
  const TestMatrix c(TensorType::kQ4_0, 1, inputs, 3);
  const NumericsMode mode = NumericsMode::kInt8;
  const Linear linears[] = {Linear::Create(a.source, mode, &team).value(),
                            Linear::Create(b.source, mode, &team).value(),
                            Linear::Create(c.source, mode, &team).value()};
  const std::vector<float> x = RandomFloats(rows * inputs, 4);
  const SimdLevel level = DetectedSimdLevel();
  Multiplier multiplier(mode, 8, 128, KernelsFor(level), &team);
  std::vector<float> y[3];
  MatmulOutput outputs[3];
  for (int i = 0; i < 3; ++i) {
    y[i].assign(rows * linears[i].outputs(), 77.0f);
    outputs[i] = {.weight = &linears[i], .y = y[i].data()};
  }
  multiplier.Multiply(x.data(), rows, outputs);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(y[i], Product(linears[i], mode, x, rows, level, &team));
  }
}

// Matrices of several forms take the same input (q, k, v of a Q4_K_M file),
// each in its own quantised form or as the floats that it is, also after other
// rows.
TEST(MatmulTest, OneInputServesEveryForm) {
  ThreadTeam team(2);
  const NumericsMode mode = NumericsMode::kInt8Float;
  const int64_t inputs = 512;
  const int64_t rows = 40;  // enough for the team to quantise
  std::vector<Linear> linears;
  for (TensorType type :
       {TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kQ4_0,
        TensorType::kQ5_1, TensorType::kF16, TensorType::kF32}) {
    const TestMatrix matrix(type, 40, inputs, 8);
    linears.push_back(Linear::Create(matrix.source, mode, &team).value());
  }
  const size_t count = linears.size();
  Multiplier multiplier(mode, rows, inputs, kScalarKernels, &team);
  for (uint32_t seed : {1u, 2u}) {
    const std::vector<float> x = RandomFloats(rows * inputs, seed);
    std::vector<std::vector<float>> y(count, std::vector<float>(rows * 40));
    std::vector<MatmulOutput> outputs;
    for (size_t i = 0; i < count; ++i) {
      outputs.push_back({.weight = &linears[i], .y = y[i].data()});
    }
    multiplier.Multiply(x.data(), rows, outputs);
    for (size_t i = 0; i < count; ++i) {
      EXPECT_EQ(y[i],
                Product(linears[i], mode, x, rows, SimdLevel::kScalar, &team));
    }
  }
}

// What a quantised matrix gives does not depend on floats beside it.
TEST(MatmulTest, QuantisedBitsAreThoseOfInt8) {
  ThreadTeam team(2);
  const std::vector<float> x = RandomFloats(5 * 256, 3);
  for (TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0}) {
    const TestMatrix matrix(type, 40, 256, 8);
    std::vector<std::vector<float>> y;
    for (NumericsMode mode : {NumericsMode::kInt8, NumericsMode::kInt8Float}) {
      y.push_back(Product(Linear::Create(matrix.source, mode, &team).value(),
                          mode, x, 5, DetectedSimdLevel(), &team));
    }
    EXPECT_EQ(y[0], y[1]);
  }
}

TEST(MatmulTest, OneInputServesShapesOfDifferentSize) {
  ThreadTeam team(2);
  for (NumericsMode mode : {NumericsMode::kInt8, NumericsMode::kF32}) {
    const TestMatrix wide(TensorType::kQ8_0, 24, 256, 5);
    const TestMatrix narrow(TensorType::kQ8_0, 24, 32, 6);
    const Linear first = Linear::Create(wide.source, mode, &team).value();
    const Linear second = Linear::Create(narrow.source, mode, &team).value();
    Multiplier multiplier(mode, 16, 256, kScalarKernels, &team);
    for (const Linear* linear : {&first, &second, &first}) {
      const std::vector<float> x = RandomFloats(9 * linear->inputs(), 7);
      std::vector<float> y(9 * 24);
      multiplier.Multiply(x.data(), 9, {{linear, y.data()}});
      EXPECT_EQ(y, Product(*linear, mode, x, 9, SimdLevel::kScalar, &team));
    }
  }
}

std::string ReasonOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason : "";
}

TEST(LinearErrorTest, RefusesWhatItCanNotHold) {
  ThreadTeam team(1);
  const std::vector<uint8_t> data(4096, 0);
  LinearSource source = {.name = "blk.0.attn_q.weight",
                         .type = TensorType::kI32,
                         .data = absl::MakeConstSpan(data).first(4 * 64),
                         .outputs = 2,
                         .inputs = 32};
  absl::Status status =
      Linear::Create(source, NumericsMode::kInt8, &team).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), kReasonUnsupportedModel);
  EXPECT_NE(std::string(status.message()).find("blk.0.attn_q.weight"),
            std::string::npos);

  // 48 inputs: float types have no block of their own, int8 mode has one.
  source.type = TensorType::kF32;
  source.data = absl::MakeConstSpan(data).first(4 * 2 * 48);
  source.inputs = 48;
  status = Linear::Create(source, NumericsMode::kInt8, &team).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), kReasonUnsupportedModel);
  EXPECT_TRUE(Linear::Create(source, NumericsMode::kF32, &team).ok());
  EXPECT_TRUE(Linear::Create(source, NumericsMode::kInt8Float, &team).ok());

  const auto bytes = [](TensorType type, int64_t inputs, NumericsMode mode) {
    return PackedWeightBytes(type, 2, inputs, mode);
  };
  using enum NumericsMode;
  EXPECT_EQ(bytes(TensorType::kF32, 48, kInt8), std::nullopt);
  EXPECT_EQ(bytes(TensorType::kF32, 48, kInt8Float), 32 * 48 * 4);
  EXPECT_EQ(bytes(TensorType::kQ6_K, 32, kInt8), std::nullopt);
  EXPECT_EQ(bytes(TensorType::kQ6_K, 32, kInt8Float), std::nullopt);
  EXPECT_EQ(bytes(TensorType::kI32, 32, kInt8), std::nullopt);
  EXPECT_EQ(bytes(TensorType::kQ8_0, 48, kF32), std::nullopt);

  source.type = TensorType::kQ8_0;
  status = Linear::Create(source, NumericsMode::kF32, &team).status();
  EXPECT_EQ(ReasonOf(status), kReasonUnsupportedModel);

  source.inputs = 32;
  source.data = absl::MakeConstSpan(data).first(67);  // one byte short
  status = Linear::Create(source, NumericsMode::kInt8, &team).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(status), kReasonMalformedFile);

  source.outputs = 0;
  source.data = {};
  status = Linear::Create(source, NumericsMode::kInt8, &team).status();
  EXPECT_EQ(ReasonOf(status), kReasonUnsupportedModel);
}

TEST(LinearErrorTest, PoisonedScalesReachTheOutput) {
  ThreadTeam team(1);
  TestMatrix matrix(TensorType::kQ8_0, 20, 64, 1);
  matrix.data[3 * 68 + 1] = 0x7e;  // row 3's first scale: NaN
  for (NumericsMode mode : {NumericsMode::kInt8, NumericsMode::kF32}) {
    const Linear linear = Linear::Create(matrix.source, mode, &team).value();
    for (SimdLevel level : MachineLevels()) {
      const std::vector<float> y =
          Product(linear, mode, RandomFloats(64, 2), 1, level, &team);
      for (int n = 0; n < 20; ++n) EXPECT_EQ(std::isnan(y[n]), n == 3);
    }
  }
}

}  // namespace
}  // namespace tandem
