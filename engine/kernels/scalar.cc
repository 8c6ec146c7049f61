// The oracle: every kernel in plain C++, in the order of operations that the
// other levels reproduce.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "engine/kernels/fixed_exp.h"
#include "engine/kernels/fused_multiply_add.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/quantize_constants.h"
#include "engine/kernels/super_kernels.h"
#include "engine/kernels/vector_ops.h"

namespace tandem {
namespace {

constexpr int kWordInputs = 4;  // consecutive k of one row in a 32-bit lane

void QuantizeGroup(const float* x, int row, ActivationGroup* out) {
  uint32_t magnitude = 0;
  for (int i = 0; i < kGroupInputs; ++i) {
    magnitude =
        std::max(magnitude, std::bit_cast<uint32_t>(x[i]) & kMagnitudeMask);
  }
  const float largest = std::bit_cast<float>(magnitude);
  int8_t* values = out->values[row];
  if (magnitude >= kInfinityBits || largest < kQuantizeMin) {
    std::memset(values, 0, kGroupInputs);
    out->scales[row] =
        magnitude >= kInfinityBits ? std::bit_cast<float>(kQuietNanBits) : 0.0f;
    out->start4[row] = 0;
    out->start8[row] = 0;
    return;
  }
  const float inverse = kQuantizeMax / largest;
  int32_t sum = 0;
  for (int i = 0; i < kGroupInputs; ++i) {
    const float rounded = (x[i] * inverse + kRoundShift) - kRoundShift;
    const float clamped =
        std::min(std::max(rounded, -kQuantizeMax), kQuantizeMax);
    const int32_t value = static_cast<int32_t>(clamped);
    values[i] = static_cast<int8_t>(value);
    sum += value;
  }
  out->scales[row] = largest / kQuantizeMax;
  out->start4[row] = -kPacked4Zero * sum;
  out->start8[row] = -kPacked8Zero * sum;
}

void QuantizeRow(const float* x, int64_t groups, int row,
                 ActivationGroup* out) {
  for (int64_t g = 0; g < groups; ++g) {
    QuantizeGroup(x + g * kGroupInputs, row, out + g);
  }
}

// The weights of one group, row by row, and their scales.
struct UnpackedGroup {
  int16_t weights[kTileOutputs][kGroupInputs];
  float scales[kTileOutputs];
};

void UnpackScales(const uint8_t* bytes, UnpackedGroup* out) {
  for (int lane = 0; lane < kTileOutputs; ++lane) {
    uint16_t half;
    std::memcpy(&half, bytes + 2 * lane, sizeof(half));
    out->scales[lane] = HalfToFloat(half);
  }
}

void Unpack4(const uint8_t* group, UnpackedGroup* out) {
  for (int pair = 0; pair < kGroupInputs / (2 * kWordInputs); ++pair) {
    for (int lane = 0; lane < kTileOutputs; ++lane) {
      int16_t* weights = out->weights[lane] + pair * 2 * kWordInputs;
      for (int i = 0; i < kWordInputs; ++i) {
        const int byte = *group++;
        weights[i] = static_cast<int16_t>((byte & 15) - kPacked4Zero);
        weights[kWordInputs + i] =
            static_cast<int16_t>((byte >> 4) - kPacked4Zero);
      }
    }
  }
  UnpackScales(group, out);
}

void Unpack8(const uint8_t* group, UnpackedGroup* out) {
  for (int word = 0; word < kGroupInputs / kWordInputs; ++word) {
    for (int lane = 0; lane < kTileOutputs; ++lane) {
      int16_t* weights = out->weights[lane] + word * kWordInputs;
      for (int i = 0; i < kWordInputs; ++i) {
        weights[i] = static_cast<int16_t>(*group++ - kPacked8Zero);
      }
    }
  }
  UnpackScales(group, out);
}

// accumulators[lane] gains this group's part of one row's outputs.
void AccumulateGroup(const UnpackedGroup& group, const int8_t* values,
                     float scale, float* accumulators) {
  int16_t wide[kGroupInputs];
  for (int k = 0; k < kGroupInputs; ++k) wide[k] = values[k];
  for (int lane = 0; lane < kTileOutputs; ++lane) {
    int32_t dot = 0;
    for (int k = 0; k < kGroupInputs; ++k) {
      dot += group.weights[lane][k] * wide[k];
    }
    accumulators[lane] =
        FusedMultiplyAdd(static_cast<float>(dot), group.scales[lane] * scale,
                         accumulators[lane]);
  }
}

void MatmulTile(const PackedMatmul& call, const uint8_t* tile, int64_t output,
                int64_t group_bytes,
                void (*unpack)(const uint8_t*, UnpackedGroup*)) {
  const int64_t lanes = std::min<int64_t>(kTileOutputs, call.outputs - output);
  UnpackedGroup unpacked;
  for (int64_t first = 0; first < call.rows; first += kRowBlock) {
    const int64_t rows = std::min<int64_t>(kRowBlock, call.rows - first);
    const ActivationGroup* input = call.input + first / kRowBlock * call.groups;
    float accumulators[kRowBlock][kTileOutputs] = {};
    for (int64_t g = 0; g < call.groups; ++g) {
      unpack(tile + g * group_bytes, &unpacked);
      for (int64_t row = 0; row < rows; ++row) {
        AccumulateGroup(unpacked, input[g].values[row], input[g].scales[row],
                        accumulators[row]);
      }
    }
    for (int64_t row = 0; row < rows; ++row) {
      std::memcpy(call.y + (first + row) * call.y_stride + output,
                  accumulators[row], lanes * sizeof(float));
    }
  }
}

void MatmulPacked4(const PackedMatmul& call) {
  for (int64_t output = 0; output < call.outputs; output += kTileOutputs) {
    const uint8_t* tile = call.tiles + output / kTileOutputs * call.tile_stride;
    MatmulTile(call, tile, output, kPacked4GroupBytes, Unpack4);
  }
}

void MatmulPacked8(const PackedMatmul& call) {
  for (int64_t output = 0; output < call.outputs; output += kTileOutputs) {
    const uint8_t* tile = call.tiles + output / kTileOutputs * call.tile_stride;
    MatmulTile(call, tile, output, kPacked8GroupBytes, Unpack8);
  }
}

// The one tree: 8 apart, 4 apart, 2 apart, 1 apart.
float SumLanes(float* lanes) {
  for (int apart = kReductionLanes / 2; apart >= 1; apart /= 2) {
    for (int i = 0; i < apart; ++i) lanes[i] += lanes[i + apart];
  }
  return lanes[0];
}

float MaxLanes(float* lanes) {
  for (int apart = kReductionLanes / 2; apart >= 1; apart /= 2) {
    for (int i = 0; i < apart; ++i) {
      lanes[i] = lanes[i + apart] > lanes[i] ? lanes[i + apart] : lanes[i];
    }
  }
  return lanes[0];
}

void RmsNormScalar(const float* x, const float* weight, int64_t count,
                   float epsilon, float* out) {
  float lanes[kReductionLanes] = {};
  for (int64_t i = 0; i < count; ++i) {
    lanes[i % kReductionLanes] += x[i] * x[i];
  }
  const float mean = SumLanes(lanes) / static_cast<float>(count);
  const float inverse = 1.0f / std::sqrt(mean + epsilon);
  for (int64_t i = 0; i < count; ++i) out[i] = x[i] * inverse * weight[i];
}

void RopeScalar(float* x, int64_t heads, int64_t head_dim, const float* cos_sin,
                int64_t rotary_dims) {
  for (int64_t head = 0; head < heads; ++head, x += head_dim) {
    for (int64_t i = 0; i < rotary_dims; i += 2) {
      const float cosine = cos_sin[i];
      const float sine = cos_sin[i + 1];
      const float a = x[i];
      const float b = x[i + 1];
      x[i] = a * cosine - b * sine;
      x[i + 1] = b * cosine + a * sine;
    }
  }
}

void RopeHalfSplitScalar(float* x, int64_t heads, int64_t head_dim,
                         const float* cos_sin, int64_t rotary_dims) {
  const int64_t half = rotary_dims / 2;
  for (int64_t head = 0; head < heads; ++head, x += head_dim) {
    for (int64_t i = 0; i < half; ++i) {
      const float cosine = cos_sin[i];
      const float sine = cos_sin[half + i];
      const float a = x[i];
      const float b = x[half + i];
      x[i] = a * cosine - b * sine;
      x[half + i] = b * cosine + a * sine;
    }
  }
}

void SiluMultiplyScalar(const float* gate, const float* up, int64_t count,
                        float* out) {
  for (int64_t i = 0; i < count; ++i) {
    out[i] = gate[i] / (1.0f + FixedExpFloat(-gate[i])) * up[i];
  }
}

void GeluMultiplyScalar(const float* gate, const float* up, int64_t count,
                        float* out) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gate[i];
    const float exponent = g * (kGeluLinear + kGeluCubic * (g * g));
    out[i] = g / (1.0f + FixedExpFloat(exponent)) * up[i];
  }
}

void SoftCapScalar(float* x, int64_t count, float cap) {
  const float inverse = 1.0f / cap;
  for (int64_t i = 0; i < count; ++i)
    x[i] = FixedTanhFloat(x[i] * inverse) * cap;
}

void ScaleScalar(float* x, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) x[i] *= factor;
}

void AddInPlaceScalar(float* x, const float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) x[i] += y[i];
}

void FloatToBf16Scalar(const float* x, int64_t count, uint16_t* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = FloatToBf16(x[i]);
}

float FloatToFloat(float value) { return value; }

// One tile times up to kRowBlock rows.
template <typename T, float (*kToFloat)(T)>
void MultiplyFloatRows(const FloatMatmul& call, const T* tile, int64_t first,
                       int64_t output) {
  const int64_t rows = std::min<int64_t>(kRowBlock, call.rows - first);
  const int64_t lanes = std::min<int64_t>(kTileOutputs, call.outputs - output);
  float sums[kRowBlock][kTileOutputs] = {};
  for (int64_t k = 0; k < call.inputs; ++k, tile += kTileOutputs) {
    float weights[kTileOutputs];
    for (int lane = 0; lane < kTileOutputs; ++lane) {
      weights[lane] = kToFloat(tile[lane]);
    }
    for (int64_t row = 0; row < rows; ++row) {
      const float x = call.x[(first + row) * call.inputs + k];
      for (int lane = 0; lane < kTileOutputs; ++lane) {
        sums[row][lane] = FusedMultiplyAdd(weights[lane], x, sums[row][lane]);
      }
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    std::copy_n(sums[row], lanes,
                call.y + (first + row) * call.y_stride + output);
  }
}

template <typename T, float (*kToFloat)(T)>
void MatmulFloat(const FloatMatmul& call) {
  const T* tile = static_cast<const T*>(call.tiles);
  for (int64_t output = 0; output < call.outputs;
       output += kTileOutputs, tile += call.inputs * kTileOutputs) {
    for (int64_t row = 0; row < call.rows; row += kRowBlock) {
      MultiplyFloatRows<T, kToFloat>(call, tile, row, output);
    }
  }
}

float LoadKv(uint16_t value) { return Bf16ToFloat(value); }
float LoadKv(float value) { return value; }

// scores[begin .. end - 1] of one query.
template <typename T>
void ScoreKeys(const AttentionCall& call, const float* query, float* scores) {
  const T* keys = static_cast<const T*>(call.keys);
  for (int64_t t = call.begin; t < call.end; ++t) {
    float dot = 0;
    for (int64_t i = 0; i < call.head_dim; ++i) {
      dot =
          FusedMultiplyAdd(query[i], LoadKv(keys[i * kKvPageTokens + t]), dot);
    }
    scores[t] = dot * call.scale;
  }
}

template <typename T>
void AttendQuery(const AttentionCall& call, AttentionQuery* query) {
  const T* values = static_cast<const T*>(call.values);
  float weights[kKvPageTokens];  // scores first
  ScoreKeys<T>(call, query->query, weights);
  if (call.soft_cap != 0) {
    SoftCapScalar(weights + call.begin, call.end - call.begin, call.soft_cap);
  }
  float lanes[kReductionLanes];
  std::fill_n(lanes, kReductionLanes, -std::numeric_limits<float>::infinity());
  for (int64_t t = call.begin; t < call.end; ++t) {
    float& lane = lanes[t % kReductionLanes];
    lane = weights[t] > lane ? weights[t] : lane;
  }
  const float highest = MaxLanes(lanes);
  const float maximum = highest > query->maximum ? highest : query->maximum;
  const float factor = FixedExpFloat(query->maximum - maximum);
  std::fill_n(lanes, kReductionLanes, 0.0f);
  for (int64_t t = call.begin; t < call.end; ++t) {
    weights[t] = FixedExpFloat(weights[t] - maximum);
    lanes[t % kReductionLanes] += weights[t];
  }
  query->maximum = maximum;
  query->sum = query->sum * factor + SumLanes(lanes);
  for (int64_t i = 0; i < call.head_dim; ++i) {
    float value = query->values[i] * factor;
    for (int64_t t = call.begin; t < call.end; ++t) {
      value = FusedMultiplyAdd(weights[t],
                               LoadKv(values[t * call.head_dim + i]), value);
    }
    query->values[i] = value;
  }
}

template <typename T>
void AttendBlockScalar(const AttentionCall& call) {
  for (int64_t i = 0; i < call.query_count; ++i) {
    AttendQuery<T>(call, call.queries + i);
  }
}

void MergeValues(const float* next, float next_factor, float into_factor,
                 int64_t count, float* into) {
  for (int64_t i = 0; i < count; ++i) {
    into[i] = into[i] * into_factor + next[i] * next_factor;
  }
}

void Divide(const float* values, float sum, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = values[i] / sum;
}

}  // namespace

const KernelTable kScalarKernels = {
    .quantize_row = QuantizeRow,
    .matmul_packed4 = MatmulPacked4,
    .matmul_packed8 = MatmulPacked8,
    .matmul_f16 = MatmulFloat<uint16_t, HalfToFloat>,
    .matmul_bf16 = MatmulFloat<uint16_t, Bf16ToFloat>,
    .matmul_f32 = MatmulFloat<float, FloatToFloat>,
    .super = &kScalarSuperKernels,
    .rms_norm = RmsNormScalar,
    .rope_interleaved = RopeScalar,
    .rope_half_split = RopeHalfSplitScalar,
    .silu_multiply = SiluMultiplyScalar,
    .gelu_multiply = GeluMultiplyScalar,
    .soft_cap = SoftCapScalar,
    .scale = ScaleScalar,
    .add_in_place = AddInPlaceScalar,
    .float_to_bf16 = FloatToBf16Scalar,
    .attend_block_bf16 = AttendBlockScalar<uint16_t>,
    .attend_block_f32 = AttendBlockScalar<float>,
    .merge_values = MergeValues,
    .divide = Divide,
};

}  // namespace tandem
