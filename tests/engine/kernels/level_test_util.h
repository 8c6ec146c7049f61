// Compares the kernels of a SIMD level with the oracle, bit for bit (for NaN:
// both are one).

#ifndef TANDEM_TESTS_ENGINE_KERNELS_LEVEL_TEST_UTIL_H_
#define TANDEM_TESTS_ENGINE_KERNELS_LEVEL_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <vector>

#include "engine/kernels/kernel_table.h"
#include "engine/kernels/packed_matrix.h"
#include "tests/engine/kernels/kernel_test_util.h"

namespace tandem {

inline ::testing::AssertionResult SameFloats(
    const std::vector<float>& actual, const std::vector<float>& expected) {
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(actual[i])) continue;
    if (std::bit_cast<uint32_t>(actual[i]) !=
        std::bit_cast<uint32_t>(expected[i])) {
      return ::testing::AssertionFailure()
             << "element " << i << ": " << actual[i] << " for " << expected[i];
    }
  }
  return ::testing::AssertionSuccess();
}

// Any bits: subnormals, infinities and NaNs among them.
inline std::vector<float> AnyFloats(int64_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::vector<float> values(count);
  for (float& value : values) {
    value = std::bit_cast<float>(static_cast<uint32_t>(engine()));
  }
  return values;
}

// Normal numbers with some of each special value among them.
inline std::vector<float> MixedFloats(int64_t count, uint32_t seed) {
  constexpr float kSpecial[] = {0.0f,
                                -0.0f,
                                1e-40f,
                                -1e-42f,
                                88.0f,
                                -87.0f,
                                90.0f,
                                -120.0f,
                                3.0e38f,
                                std::numeric_limits<float>::infinity(),
                                -std::numeric_limits<float>::infinity(),
                                std::numeric_limits<float>::quiet_NaN()};
  std::vector<float> values = RandomFloats(count, seed);
  std::mt19937 engine(seed + 1);
  for (float& value : values) {
    if (engine() % 16 == 0) value = kSpecial[engine() % std::size(kSpecial)];
  }
  return values;
}

inline void TestQuantizeGroups(const KernelTable& kernels) {
  const int64_t groups = 200;
  std::vector<float> inputs[] = {RandomFloats(groups * kGroupInputs, 1),
                                 AnyFloats(groups * kGroupInputs, 2),
                                 RandomFloats(groups * kGroupInputs, 3)};
  for (int64_t g = 0; g < groups; ++g) {
    // Sizes from the smallest subnormal to the largest float.
    const int exponent = static_cast<int>(g * 276 / groups) - 149;
    for (int i = 0; i < kGroupInputs; ++i) {
      float& x = inputs[2][g * kGroupInputs + i];
      x = std::ldexp(i % 3 == 0 ? std::round(x * 64) / 64 : x, exponent);
    }
  }
  for (const std::vector<float>& x : inputs) {
    for (int row = 0; row < kRowBlock; ++row) {
      std::vector<ActivationGroup> expected(groups);
      std::vector<ActivationGroup> actual(groups);
      std::memset(expected.data(), 0, groups * sizeof(ActivationGroup));
      std::memset(actual.data(), 0, groups * sizeof(ActivationGroup));
      kScalarKernels.quantize_groups(x.data(), groups, row, expected.data());
      kernels.quantize_groups(x.data(), groups, row, actual.data());
      for (int64_t g = 0; g < groups; ++g) {
        ASSERT_EQ(std::memcmp(actual[g].values, expected[g].values,
                              sizeof(actual[g].values)),
                  0);
        ASSERT_TRUE(
            SameFloats({actual[g].scales[row]}, {expected[g].scales[row]}));
        ASSERT_EQ(actual[g].start4[row], expected[g].start4[row]);
        ASSERT_EQ(actual[g].start8[row], expected[g].start8[row]);
      }
    }
  }
}

inline void TestQuantizeSuperBlocks(const KernelTable& kernels) {
  const int64_t blocks = 150;
  std::vector<float> inputs[] = {RandomFloats(blocks * kSuperInputs, 1),
                                 AnyFloats(blocks * kSuperInputs, 2),
                                 RandomFloats(blocks * kSuperInputs, 3)};
  for (int64_t b = 0; b < blocks; ++b) {
    // Sizes from the smallest subnormal to the largest float.
    const int exponent = static_cast<int>(b * 276 / blocks) - 149;
    for (int i = 0; i < kSuperInputs; ++i) {
      float& x = inputs[2][b * kSuperInputs + i];
      x = std::ldexp(i % 3 == 0 ? std::round(x * 64) / 64 : x, exponent);
    }
  }
  for (const std::vector<float>& x : inputs) {
    for (int row = 0; row < kRowBlock; ++row) {
      std::vector<ActivationSuperBlock> expected(blocks);
      std::vector<ActivationSuperBlock> actual(blocks);
      const size_t bytes = blocks * sizeof(ActivationSuperBlock);
      std::memset(static_cast<void*>(expected.data()), 0, bytes);
      std::memset(static_cast<void*>(actual.data()), 0, bytes);
      kScalarKernels.quantize_super_blocks(x.data(), blocks, row,
                                           expected.data());
      kernels.quantize_super_blocks(x.data(), blocks, row, actual.data());
      for (int64_t b = 0; b < blocks; ++b) {
        const ActivationSuperBlock& a = actual[b];
        const ActivationSuperBlock& e = expected[b];
        ASSERT_EQ(std::memcmp(a.values, e.values, sizeof(a.values)), 0);
        ASSERT_EQ(std::memcmp(a.sums16, e.sums16, sizeof(a.sums16)), 0);
        ASSERT_EQ(std::memcmp(a.sums32, e.sums32, sizeof(a.sums32)), 0);
        ASSERT_EQ(std::memcmp(a.starts32, e.starts32, sizeof(a.starts32)), 0);
        ASSERT_TRUE(SameFloats({a.scales[row]}, {e.scales[row]}));
      }
    }
  }
}

// The types that take super-blocks.
inline constexpr TensorType kSuperTypes[] = {
    TensorType::kQ2_K, TensorType::kQ3_K, TensorType::kQ4_K,
    TensorType::kQ5_K, TensorType::kQ6_K, TensorType::kIQ4_XS};

// Rows of x in blocks as the oracle quantises them.
template <typename T>
std::vector<T> Quantized(void (*quantize)(const float*, int64_t, int, T*),
                         const std::vector<float>& x, int64_t rows,
                         int64_t blocks) {
  const int64_t inputs = static_cast<int64_t>(x.size()) / rows;
  std::vector<T> input((rows + kRowBlock - 1) / kRowBlock * blocks);
  for (int64_t row = 0; row < rows; ++row) {
    quantize(x.data() + row * inputs, blocks, static_cast<int>(row % kRowBlock),
             input.data() + row / kRowBlock * blocks);
  }
  return input;
}

// y of the tiles [begin, end) of one packed matrix at one level; what lies
// between rows and in other tiles is left alone.
inline void MultiplyPacked(const KernelTable& kernels,
                           const PackedMatrix& matrix,
                           const std::vector<float>& x, PackedMatrix::Rows rows,
                           int64_t begin, int64_t end) {
  const int block_inputs = matrix.layout().inputs;
  const int64_t blocks = matrix.inputs() / block_inputs;
  std::vector<ActivationGroup> groups;
  std::vector<ActivationSuperBlock> super_blocks;
  if (block_inputs == kGroupInputs) {
    groups = Quantized(kScalarKernels.quantize_groups, x, rows.rows, blocks);
    rows.input = groups.data();
  } else if (block_inputs == kSuperInputs) {
    super_blocks =
        Quantized(kScalarKernels.quantize_super_blocks, x, rows.rows, blocks);
    rows.input = super_blocks.data();
  } else {
    rows.input = x.data();
  }
  matrix.MultiplyTiles(kernels, begin, end, rows);
}

// y [rows, outputs + 3] of the whole matrix.
inline std::vector<float> PackedProduct(const KernelTable& kernels,
                                        const PackedMatrix& matrix,
                                        const std::vector<float>& x,
                                        int64_t rows) {
  const int64_t stride = matrix.outputs() + 3;
  std::vector<float> y(rows * stride, -1.0f);
  MultiplyPacked(kernels, matrix, x,
                 {.rows = rows, .y = y.data(), .y_stride = stride}, 0,
                 matrix.tiles());
  return y;
}

inline void TestMatmul(const KernelTable& kernels, TensorType type) {
  ThreadTeam team(1);
  std::mt19937 engine(17);
  const int block = static_cast<int>(
      std::max<int64_t>(kGroupInputs, GetTensorTypeInfo(type).block_elements));
  for (int64_t rows = 1; rows <= 64; ++rows) {
    const int64_t outputs = 1 + engine() % 70;
    const int64_t inputs = block * (1 + engine() % (block == 32 ? 12 : 3));
    const TestMatrix matrix(type, outputs, inputs, engine());
    const PackedMatrix packed = Packed(matrix.source, &team);
    for (const std::vector<float>& x : {RandomFloats(rows * inputs, engine()),
                                        MixedFloats(rows * inputs, engine())}) {
      ASSERT_TRUE(SameFloats(PackedProduct(kernels, packed, x, rows),
                             PackedProduct(kScalarKernels, packed, x, rows)))
          << rows << " rows, [" << outputs << ", " << inputs << "]";
    }
  }
}

// Every code and every integer scale at one end of its range and every
// activation at +-127: where a saturating multiply-add or an overflow would
// show.
inline void TestMatmulExtremes(const KernelTable& kernels, TensorType type) {
  ThreadTeam team(1);
  const int64_t inputs = 2 * kSuperInputs;
  const int64_t outputs = 40;
  for (uint8_t byte : {0x00, 0xff, 0x80, 0x7f, 0x81, 0x88, 0xf0, 0x0f}) {
    std::vector<uint8_t> data = RandomWeights(type, outputs * inputs, 3);
    FillCodes(type, byte, &data);
    const PackedMatrix packed = Packed({.name = "",
                                        .type = type,
                                        .data = data,
                                        .outputs = outputs,
                                        .inputs = inputs},
                                       &team);
    for (float sign : {1.0f, -1.0f}) {
      const std::vector<float> x(8 * inputs, sign * 3.0f);
      ASSERT_TRUE(SameFloats(PackedProduct(kernels, packed, x, 8),
                             PackedProduct(kScalarKernels, packed, x, 8)))
          << "bytes " << static_cast<int>(byte);
    }
  }
}

inline void TestQuantised(const KernelTable& kernels,
                          std::initializer_list<TensorType> types) {
  for (TensorType type : types) {
    SCOPED_TRACE(GetTensorTypeInfo(type).name);
    TestMatmul(kernels, type);
    TestMatmulExtremes(kernels, type);
  }
}

// Any finite weights, subnormal ones among them.
inline std::vector<uint8_t> FiniteWeights(TensorType type, int64_t count,
                                          uint32_t seed) {
  std::mt19937 engine(seed);
  std::vector<uint8_t> data(WeightBytes(type, count));
  for (uint8_t& byte : data) byte = static_cast<uint8_t>(engine());
  const size_t size = WeightBytes(type, 1);
  // The top bit of the exponent is off in the last byte of each.
  for (size_t at = size - 1; at < data.size(); at += size) data[at] &= 0xbf;
  return data;
}

inline void TestMatmulFloat(const KernelTable& kernels, TensorType type) {
  ThreadTeam team(1);
  std::mt19937 engine(23);
  for (int64_t rows = 1; rows <= 64; ++rows) {
    const int64_t outputs = 1 + engine() % 70;
    const int64_t inputs = 1 + engine() % 300;
    const TestMatrix matrix(type, outputs, inputs, engine());
    for (const std::vector<uint8_t>& data :
         {matrix.data, FiniteWeights(type, outputs * inputs, engine())}) {
      LinearSource source = matrix.source;
      source.data = data;
      const PackedMatrix packed =
          PackedMatrix::Pack(source, FindWeightFormat(type)->exact_form, &team);
      for (const std::vector<float>& x :
           {RandomFloats(rows * inputs, engine()),
            MixedFloats(rows * inputs, engine())}) {
        ASSERT_TRUE(SameFloats(PackedProduct(kernels, packed, x, rows),
                               PackedProduct(kScalarKernels, packed, x, rows)))
            << rows << " rows, [" << outputs << ", " << inputs << "]";
      }
    }
  }
}

inline void TestRmsNorm(const KernelTable& kernels) {
  for (int64_t count = 1; count <= 100; ++count) {
    for (uint32_t seed : {1u, 2u}) {
      const std::vector<float> x =
          seed == 1 ? RandomFloats(count, 5) : MixedFloats(count, 6);
      const std::vector<float> weight = RandomFloats(count, 7);
      std::vector<float> expected(count);
      std::vector<float> actual(count);
      kScalarKernels.rms_norm(x.data(), weight.data(), count, 1e-5f,
                              expected.data());
      kernels.rms_norm(x.data(), weight.data(), count, 1e-5f, actual.data());
      ASSERT_TRUE(SameFloats(actual, expected)) << count;
    }
  }
}

inline void TestRotation(decltype(KernelTable::rope_interleaved) rotate,
                         decltype(KernelTable::rope_interleaved) oracle) {
  for (int64_t head_dim = 2; head_dim <= 80; head_dim += 2) {
    for (int64_t rotary = 0; rotary <= head_dim; rotary += 6) {
      const std::vector<float> angles = RandomFloats(rotary, 8);
      std::vector<float> expected = MixedFloats(3 * head_dim, 9);
      std::vector<float> actual = expected;
      oracle(expected.data(), 3, head_dim, angles.data(), rotary);
      rotate(actual.data(), 3, head_dim, angles.data(), rotary);
      ASSERT_TRUE(SameFloats(actual, expected)) << head_dim << " " << rotary;
    }
  }
}

inline void TestRope(const KernelTable& kernels) {
  TestRotation(kernels.rope_interleaved, kScalarKernels.rope_interleaved);
  TestRotation(kernels.rope_half_split, kScalarKernels.rope_half_split);
}

inline void TestElementwise(const KernelTable& kernels) {
  for (int64_t count : {1, 7, 16, 33, 20000}) {
    for (const std::vector<float>& x :
         {MixedFloats(count, 10), AnyFloats(count, 11)}) {
      const std::vector<float> y = MixedFloats(count, 12);
      std::vector<float> expected(count);
      std::vector<float> actual(count);
      kScalarKernels.silu_multiply(x.data(), y.data(), count, expected.data());
      kernels.silu_multiply(x.data(), y.data(), count, actual.data());
      ASSERT_TRUE(SameFloats(actual, expected)) << count;
      kScalarKernels.gelu_multiply(x.data(), y.data(), count, expected.data());
      kernels.gelu_multiply(x.data(), y.data(), count, actual.data());
      ASSERT_TRUE(SameFloats(actual, expected)) << count;
      for (float factor : {30.0f, 0.3f}) {
        expected = x;
        actual = x;
        kScalarKernels.soft_cap(expected.data(), count, factor);
        kernels.soft_cap(actual.data(), count, factor);
        ASSERT_TRUE(SameFloats(actual, expected)) << count;
        expected = x;
        actual = x;
        kScalarKernels.scale(expected.data(), count, factor);
        kernels.scale(actual.data(), count, factor);
        ASSERT_TRUE(SameFloats(actual, expected)) << count;
      }
      expected = x;
      actual = x;
      kScalarKernels.add_in_place(expected.data(), y.data(), count);
      kernels.add_in_place(actual.data(), y.data(), count);
      ASSERT_TRUE(SameFloats(actual, expected)) << count;
    }
  }
}

// The exponential over its range, through silu: gate / (1 + e^-gate); the
// hyperbolic tangent, through a soft cap of 1.
inline void TestExponentialRange(const KernelTable& kernels) {
  std::vector<float> gate;
  for (double x = -90.0; x <= 90.0; x += 1e-3) {
    gate.push_back(static_cast<float>(x));
  }
  const std::vector<float> ones(gate.size(), 1.0f);
  std::vector<float> expected(gate.size());
  std::vector<float> actual(gate.size());
  kScalarKernels.silu_multiply(gate.data(), ones.data(), gate.size(),
                               expected.data());
  kernels.silu_multiply(gate.data(), ones.data(), gate.size(), actual.data());
  ASSERT_TRUE(SameFloats(actual, expected));
  expected = gate;
  actual = gate;
  kScalarKernels.soft_cap(expected.data(), gate.size(), 1.0f);
  kernels.soft_cap(actual.data(), gate.size(), 1.0f);
  ASSERT_TRUE(SameFloats(actual, expected));
}

inline void TestFloatToBf16(const KernelTable& kernels) {
  for (int64_t count : {1, 15, 16, 37, 100000}) {
    const std::vector<float> x = AnyFloats(count, 13);
    std::vector<uint16_t> expected(count);
    std::vector<uint16_t> actual(count);
    kScalarKernels.float_to_bf16(x.data(), count, expected.data());
    kernels.float_to_bf16(x.data(), count, actual.data());
    ASSERT_EQ(actual, expected) << count;
  }
}

// What `queries` have gathered after one block, the values of all first.
inline std::vector<float> SeeBlock(void (*attend)(const AttentionCall&),
                                   AttentionCall call,
                                   const std::vector<float>& query_data,
                                   const std::vector<float>& gathered) {
  std::vector<float> values = gathered;
  std::vector<AttentionQuery> queries(call.query_count);
  for (int64_t q = 0; q < call.query_count; ++q) {
    // The first query has seen nothing yet.
    queries[q] = {.query = query_data.data() + q * call.head_dim,
                  .values = values.data() + q * call.head_dim,
                  .maximum = q == 0 ? -std::numeric_limits<float>::infinity()
                                    : 0.25f * static_cast<float>(q),
                  .sum = static_cast<float>(q)};
  }
  call.queries = queries.data();
  attend(call);
  for (const AttentionQuery& query : queries) {
    values.push_back(query.maximum);
    values.push_back(query.sum);
  }
  return values;
}

template <typename T>
void TestAttendBlock(void (*attend)(const AttentionCall&),
                     void (*oracle)(const AttentionCall&)) {
  std::mt19937 engine(19);
  for (int round = 0; round < 4 * kKvPageTokens; ++round) {
    const int64_t end = round % kKvPageTokens + 1;
    const int64_t begin = round < kKvPageTokens ? 0 : engine() % end;
    const int64_t head_dim = 1 + engine() % 140;
    const int64_t queries = 1 + engine() % 20;
    std::vector<float> floats =
        RandomFloats(kKvPageTokens * head_dim * 2, engine());
    // Now and then a key or a value is an infinity or a NaN.
    if (round % 4 == 0) {
      floats[engine() % floats.size()] =
          round % 8 == 0 ? std::numeric_limits<float>::quiet_NaN()
                         : -std::numeric_limits<float>::infinity();
    }
    std::vector<T> stored(floats.size());
    for (size_t i = 0; i < floats.size(); ++i) {
      if constexpr (sizeof(T) == 2) {
        stored[i] = FloatToBf16(floats[i]);
      } else {
        stored[i] = floats[i];
      }
    }
    const std::vector<float> query = RandomFloats(queries * head_dim, engine());
    std::vector<float> gathered = RandomFloats(queries * head_dim, engine());
    std::fill_n(gathered.begin(), head_dim, 0.0f);
    const AttentionCall call = {
        .keys = stored.data(),
        .values = stored.data() + kKvPageTokens * head_dim,
        .next_keys = round % 2 == 0 ? stored.data() : nullptr,
        .next_values = round % 2 == 0 ? stored.data() : nullptr,
        .begin = begin,
        .end = end,
        .head_dim = head_dim,
        .scale = 0.3f,
        .soft_cap = round % 3 == 0 ? 2.0f : 0.0f,
        .queries = nullptr,
        .query_count = queries};
    ASSERT_TRUE(SameFloats(SeeBlock(attend, call, query, gathered),
                           SeeBlock(oracle, call, query, gathered)))
        << begin << " .. " << end << " x " << head_dim << ", " << queries;
  }
}

inline void TestAttention(const KernelTable& kernels) {
  TestAttendBlock<uint16_t>(kernels.attend_block_bf16,
                            kScalarKernels.attend_block_bf16);
  TestAttendBlock<float>(kernels.attend_block_f32,
                         kScalarKernels.attend_block_f32);
}

inline void TestMergeAndDivide(const KernelTable& kernels) {
  for (int64_t count = 1; count <= 70; ++count) {
    const std::vector<float> next = MixedFloats(count, 14);
    std::vector<float> expected = MixedFloats(count, 15);
    std::vector<float> actual = expected;
    kScalarKernels.merge_values(next.data(), 0.7f, 0.3f, count,
                                expected.data());
    kernels.merge_values(next.data(), 0.7f, 0.3f, count, actual.data());
    ASSERT_TRUE(SameFloats(actual, expected)) << count;
    kScalarKernels.divide(next.data(), 1.7f, count, expected.data());
    kernels.divide(next.data(), 1.7f, count, actual.data());
    ASSERT_TRUE(SameFloats(actual, expected)) << count;
  }
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_KERNELS_LEVEL_TEST_UTIL_H_
