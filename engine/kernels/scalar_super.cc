// The oracle of the kernels over super-blocks, in plain C++.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "engine/kernels/fixed_exp.h"
#include "engine/kernels/fused_multiply_add.h"
#include "engine/kernels/quantize_constants.h"
#include "engine/kernels/super_kernels.h"
#include "engine/kernels/vector_ops.h"

namespace tandem {
namespace {

constexpr int kWordInputs = 4;  // consecutive k of one row in a 32-bit lane
constexpr int kWordBytes = kWordInputs * kTileOutputs;

void QuantizeBlock(const float* x, int row, ActivationSuperBlock* out) {
  uint32_t magnitude = 0;
  for (int i = 0; i < kSuperInputs; ++i) {
    magnitude =
        std::max(magnitude, std::bit_cast<uint32_t>(x[i]) & kMagnitudeMask);
  }
  const float largest = std::bit_cast<float>(magnitude);
  int8_t* values = out->values[row];
  const bool poisoned = magnitude >= kInfinityBits;
  if (poisoned || largest < kQuantizeMin) {
    std::memset(values, 0, kSuperInputs);
    out->scales[row] = poisoned ? std::bit_cast<float>(kQuietNanBits) : 0.0f;
  } else {
    const float inverse = kQuantizeMax / largest;
    for (int i = 0; i < kSuperInputs; ++i) {
      const float rounded = (x[i] * inverse + kRoundShift) - kRoundShift;
      values[i] = static_cast<int8_t>(
          std::min(std::max(rounded, -kQuantizeMax), kQuantizeMax));
    }
    out->scales[row] = largest / kQuantizeMax;
  }
  for (int g = 0; g < kSuperGroups; ++g) {
    int sum = 0;
    for (int i = 0; i < kSuperGroupInputs; ++i) {
      sum += values[g * kSuperGroupInputs + i];
    }
    out->sums16[row][g] = static_cast<int16_t>(sum);
  }
  for (int g = 0; g < kSuperGroups / 2; ++g) {
    const int sum = out->sums16[row][2 * g] + out->sums16[row][2 * g + 1];
    out->sums32[row][g] = static_cast<int16_t>(sum);
    out->starts32[row][g] = -8 * sum;
  }
}

void QuantizeRow(const float* x, int64_t blocks, int row,
                 ActivationSuperBlock* out) {
  for (int64_t block = 0; block < blocks; ++block) {
    QuantizeBlock(x + block * kSuperInputs, row, out + block);
  }
}

// One super-block of a tile, or one group with a minimum, row by row.
struct Unpacked {
  int16_t weights[kTileOutputs][kSuperInputs];
  int32_t scales[kTileOutputs][kSuperGroups];
  int32_t minimums[kTileOutputs][kSuperGroups];
  float scale[kTileOutputs];
  float minimum[kTileOutputs];
};

void UnpackHalves(const uint8_t* bytes, float* out) {
  for (int lane = 0; lane < kTileOutputs; ++lane) {
    uint16_t half;
    std::memcpy(&half, bytes + 2 * lane, sizeof(half));
    out[lane] = HalfToFloat(half);
  }
}

void UnpackIntegers(const uint8_t* bytes, int groups,
                    int32_t (*out)[kSuperGroups]) {
  for (int lane = 0; lane < kTileOutputs; ++lane) {
    for (int g = 0; g < groups; ++g) {
      out[lane][g] = static_cast<int8_t>(
          bytes[g / 2 * 2 * kTileOutputs + 2 * lane + g % 2]);
    }
  }
}

uint8_t Code4(const uint8_t* codes, int lane, int k) {
  const uint8_t byte = codes[k / (2 * kWordInputs) * kWordBytes +
                             lane * kWordInputs + k % kWordInputs];
  return k / kWordInputs % 2 == 0 ? byte & 15 : byte >> 4;
}

uint8_t Code8(const uint8_t* codes, int lane, int k) {
  return codes[k / kWordInputs * kWordBytes + lane * kWordInputs +
               k % kWordInputs];
}

// The four forms: a layout, and what a code stands for.
struct Form4 {
  using Layout = Super4Layout;
  static int Value(uint8_t code) { return code; }
};
struct Form4Table {
  using Layout = Super4TableLayout;
  static int Value(uint8_t code) { return kSuper4Values[code]; }
};
struct Form8 {
  using Layout = Super8Layout;
  static int Value(uint8_t code) { return code; }
};
struct Form8Zero {
  using Layout = Super8ZeroLayout;
  static int Value(uint8_t code) { return code - kSuper8ZeroPoint; }
};

template <typename Form>
void Unpack(const uint8_t* block, Unpacked* out) {
  using Layout = typename Form::Layout;
  UnpackHalves(block, out->scale);
  UnpackHalves(block + kScaleBytes, out->minimum);
  UnpackIntegers(block + Layout::kScalesAt, Layout::kGroups, out->scales);
  if constexpr (Layout::kHasMinimums) {
    UnpackIntegers(block + Layout::kMinimumsAt, Layout::kGroups, out->minimums);
  }
  const uint8_t* codes = block + Layout::kCodesAt;
  for (int lane = 0; lane < kTileOutputs; ++lane) {
    for (int k = 0; k < kSuperInputs; ++k) {
      const uint8_t code = Layout::kCodeBits == 4 ? Code4(codes, lane, k)
                                                  : Code8(codes, lane, k);
      out->weights[lane][k] = static_cast<int16_t>(Form::Value(code));
    }
  }
}

int32_t Dot(const int16_t* weights, const int8_t* values, int count) {
  int32_t dot = 0;
  for (int k = 0; k < count; ++k) dot += weights[k] * values[k];
  return dot;
}

// accumulators[lane] gains this super-block's part of one row's outputs.
template <typename Layout>
void Accumulate(const Unpacked& block, const ActivationSuperBlock& x, int row,
                float* accumulators) {
  constexpr int kInputs = Layout::kScaleInputs;
  const int16_t* sums = kInputs == 32 ? x.sums32[row] : x.sums16[row];
  for (int lane = 0; lane < kTileOutputs; ++lane) {
    int32_t total = 0;
    int32_t taken_off = 0;
    for (int g = 0; g < Layout::kGroups; ++g) {
      total +=
          block.scales[lane][g] * Dot(block.weights[lane] + g * kInputs,
                                      x.values[row] + g * kInputs, kInputs);
      if (Layout::kHasMinimums) taken_off += block.minimums[lane][g] * sums[g];
    }
    float& sum = accumulators[lane];
    sum = FusedMultiplyAdd(static_cast<float>(total),
                           block.scale[lane] * x.scales[row], sum);
    if (!Layout::kHasMinimums) continue;
    sum = FusedMultiplyAdd(static_cast<float>(taken_off),
                           block.minimum[lane] * -x.scales[row], sum);
  }
}

void Store(const float (*accumulators)[kTileOutputs], int64_t rows,
           int64_t lanes, int64_t y_stride, float* y) {
  for (int64_t row = 0; row < rows; ++row) {
    std::memcpy(y + row * y_stride, accumulators[row], lanes * sizeof(float));
  }
}

template <typename Form>
void MatmulSuper(const SuperMatmul& call) {
  using Layout = typename Form::Layout;
  Unpacked unpacked;
  for (int64_t output = 0; output < call.outputs; output += kTileOutputs) {
    const uint8_t* tile = call.tiles + output / kTileOutputs * call.tile_stride;
    const int64_t lanes =
        std::min<int64_t>(kTileOutputs, call.outputs - output);
    for (int64_t first = 0; first < call.rows; first += kRowBlock) {
      const int64_t rows = std::min<int64_t>(kRowBlock, call.rows - first);
      const ActivationSuperBlock* input =
          call.input + first / kRowBlock * call.blocks;
      float accumulators[kRowBlock][kTileOutputs] = {};
      for (int64_t b = 0; b < call.blocks; ++b) {
        Unpack<Form>(tile + b * Layout::kBytes, &unpacked);
        for (int row = 0; row < rows; ++row) {
          Accumulate<Layout>(unpacked, input[b], row, accumulators[row]);
        }
      }
      Store(accumulators, rows, lanes, call.y_stride,
            call.y + first * call.y_stride + output);
    }
  }
}

void UnpackMinimumGroup(const uint8_t* group, Unpacked* out) {
  for (int lane = 0; lane < kTileOutputs; ++lane) {
    for (int k = 0; k < kGroupInputs; ++k) {
      out->weights[lane][k] = Code8(group, lane, k);
    }
  }
  UnpackHalves(group + kPacked8CodeBytes, out->scale);
  UnpackHalves(group + kPacked8CodeBytes + kScaleBytes, out->minimum);
}

void AccumulateMinimumGroup(const Unpacked& group, const ActivationGroup& x,
                            int row, float* accumulators) {
  const int32_t values_sum = x.start4[row] / -kPacked4Zero;
  for (int lane = 0; lane < kTileOutputs; ++lane) {
    const int32_t dot = Dot(group.weights[lane], x.values[row], kGroupInputs);
    float& sum = accumulators[lane];
    sum = FusedMultiplyAdd(static_cast<float>(dot),
                           group.scale[lane] * x.scales[row], sum);
    sum = FusedMultiplyAdd(static_cast<float>(values_sum),
                           group.minimum[lane] * x.scales[row], sum);
  }
}

void MatmulPacked8Minimum(const PackedMatmul& call) {
  Unpacked unpacked;
  for (int64_t output = 0; output < call.outputs; output += kTileOutputs) {
    const uint8_t* tile = call.tiles + output / kTileOutputs * call.tile_stride;
    const int64_t lanes =
        std::min<int64_t>(kTileOutputs, call.outputs - output);
    for (int64_t first = 0; first < call.rows; first += kRowBlock) {
      const int64_t rows = std::min<int64_t>(kRowBlock, call.rows - first);
      const ActivationGroup* input =
          call.input + first / kRowBlock * call.groups;
      float accumulators[kRowBlock][kTileOutputs] = {};
      for (int64_t g = 0; g < call.groups; ++g) {
        UnpackMinimumGroup(tile + g * kPacked8MinimumGroupBytes, &unpacked);
        for (int row = 0; row < rows; ++row) {
          AccumulateMinimumGroup(unpacked, input[g], row, accumulators[row]);
        }
      }
      Store(accumulators, rows, lanes, call.y_stride,
            call.y + first * call.y_stride + output);
    }
  }
}

}  // namespace

const SuperKernels kScalarSuperKernels = {
    .quantize_row = QuantizeRow,
    .matmul_super4 = MatmulSuper<Form4>,
    .matmul_super4_table = MatmulSuper<Form4Table>,
    .matmul_super8 = MatmulSuper<Form8>,
    .matmul_super8_zero = MatmulSuper<Form8Zero>,
    .matmul_packed8_minimum = MatmulPacked8Minimum,
};

}  // namespace tandem
