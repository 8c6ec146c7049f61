// Random matrices and their plain double products, for the kernel tests.

#ifndef TANDEM_TESTS_ENGINE_KERNELS_KERNEL_TEST_UTIL_H_
#define TANDEM_TESTS_ENGINE_KERNELS_KERNEL_TEST_UTIL_H_

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/base/cpu_features.h"
#include "engine/kernels/float_math.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/weight_format.h"

namespace tandem {

inline std::vector<SimdLevel> MachineLevels() {
  std::vector<SimdLevel> levels = {SimdLevel::kScalar};
  for (SimdLevel level : {SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (level <= DetectedSimdLevel()) levels.push_back(level);
  }
  return levels;
}

inline std::vector<float> RandomFloats(int64_t count, uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

// The bytes of `count` random elements of `type`: any codes and integer scales,
// small fp16 scales and minimums.
inline std::vector<uint8_t> RandomWeights(TensorType type, int64_t count,
                                          uint32_t seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, 0.1f);
  std::vector<uint8_t> data(WeightBytes(type, count));
  const TensorTypeInfo info = GetTensorTypeInfo(type);
  const WeightFormat& format = *FindWeightFormat(type);
  for (size_t at = 0; at < data.size(); at += info.block_bytes) {
    if (type == TensorType::kF32) {
      const float value = normal(engine);
      std::memcpy(data.data() + at, &value, sizeof(value));
      continue;
    }
    for (uint32_t i = 0; i < info.block_bytes; ++i) {
      data[at + i] = static_cast<uint8_t>(engine());
    }
    if (type == TensorType::kBF16) {
      const uint16_t bits = FloatToBf16(normal(engine));
      std::memcpy(data.data() + at, &bits, sizeof(bits));
    }
    for (int i = 0; i < format.halves; ++i) {
      const uint16_t bits = FloatToHalf(normal(engine));
      std::memcpy(data.data() + at + format.halves_offset + 2 * i, &bits,
                  sizeof(bits));
    }
  }
  return data;
}

// Sets all bytes of quantised blocks but the fp16 numbers.
inline void FillCodes(TensorType type, uint8_t byte,
                      std::vector<uint8_t>* data) {
  const int block = static_cast<int>(GetTensorTypeInfo(type).block_bytes);
  const WeightFormat& format = *FindWeightFormat(type);
  for (size_t i = 0; i < data->size(); ++i) {
    const int at = static_cast<int>(i) % block - format.halves_offset;
    if (at < 0 || at >= 2 * format.halves) (*data)[i] = byte;
  }
}

// In the form that its type takes in mode int8.
inline PackedMatrix Packed(const LinearSource& source, ThreadTeam* team) {
  return PackedMatrix::Pack(source, FindWeightFormat(source.type)->int8_form,
                            team);
}

struct TestMatrix {
  TestMatrix(TensorType type, int64_t outputs, int64_t inputs, uint32_t seed)
      : data(RandomWeights(type, outputs * inputs, seed)) {
    source = {.name = "test.weight",
              .type = type,
              .data = data,
              .outputs = outputs,
              .inputs = inputs};
    values.resize(outputs * inputs);
    Dequantize(type, data.data(), outputs * inputs, values.data());
  }
  TestMatrix(const TestMatrix&) = delete;
  TestMatrix& operator=(const TestMatrix&) = delete;

  std::vector<uint8_t> data;
  LinearSource source;
  std::vector<float> values;  // [outputs, inputs]
};

// y[rows, outputs] of one matrix.
inline std::vector<float> Product(const Linear& linear, NumericsMode mode,
                                  const std::vector<float>& x, int64_t rows,
                                  SimdLevel level, ThreadTeam* team) {
  std::vector<float> y(rows * linear.outputs(), -1.0f);
  Multiplier multiplier(mode, rows, linear.inputs(), KernelsFor(level), team);
  multiplier.Multiply(x.data(), rows, {{&linear, y.data()}});
  return y;
}

inline bool SameBits(const float* a, const float* b, int64_t count) {
  return std::memcmp(a, b, count * sizeof(float)) == 0;
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_KERNELS_KERNEL_TEST_UTIL_H_
