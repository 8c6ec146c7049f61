// The oracle: every kernel in plain C++, in the order of operations that the
// other levels reproduce.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "engine/kernels/float_math.h"
#include "engine/kernels/fused_multiply_add.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/packed_matrix.h"

namespace tandem {
namespace {

void QuantizeGroups(const float* x, int64_t blocks, int row,
                    ActivationGroup* out) {
  for (; blocks > 0; --blocks, x += kGroupInputs, ++out) {
    const int8_t* values = out->values[row];
    out->scales[row] = RoundToInt8(x, kGroupInputs, out->values[row]);
    int32_t sum = 0;
    for (int i = 0; i < kGroupInputs; ++i) sum += values[i];
    out->start4[row] = -kPacked4Zero * sum;
    out->start8[row] = -kPacked8Zero * sum;
  }
}

void QuantizeSuperBlocks(const float* x, int64_t blocks, int row,
                         ActivationSuperBlock* out) {
  for (; blocks > 0; --blocks, x += kSuperInputs, ++out) {
    const int8_t* values = out->values[row];
    out->scales[row] = RoundToInt8(x, kSuperInputs, out->values[row]);
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
}

// One row of a block of a tile.
struct UnpackedRow {
  WeightBlock block;
  int16_t weights[kSuperInputs];  // the integers that the codes stand for
  float scale;
  float minimum;
};

template <PackedForm kForm>
void Unpack(const uint8_t* block, int lane, UnpackedRow* out) {
  UnpackBlock(kForm, block, lane, &out->block);
  for (int k = 0; k < kLayoutOf<kForm>.inputs; ++k) {
    out->weights[k] =
        static_cast<int16_t>(CodeValue(kForm, out->block.codes[k]));
  }
  out->scale = HalfToFloat(out->block.scale);
  out->minimum = HalfToFloat(out->block.minimum);
}

int32_t Dot(const int16_t* weights, const int8_t* values, int count) {
  int32_t dot = 0;
  for (int k = 0; k < count; ++k) dot += weights[k] * values[k];
  return dot;
}

// `sum` gains a group's part of one output of row `row`.
template <PackedForm kForm>
float Accumulate(const UnpackedRow& weights, const ActivationGroup& x, int row,
                 float sum) {
  const int32_t dot = Dot(weights.weights, x.values[row], kGroupInputs);
  sum = FusedMultiplyAdd(static_cast<float>(dot), weights.scale * x.scales[row],
                         sum);
  if (kLayoutOf<kForm>.minimum == 0) return sum;
  const int32_t values_sum = x.start4[row] / -kPacked4Zero;
  return FusedMultiplyAdd(static_cast<float>(values_sum),
                          weights.minimum * x.scales[row], sum);
}

// The same of a super-block.
template <PackedForm kForm>
float Accumulate(const UnpackedRow& weights, const ActivationSuperBlock& x,
                 int row, float sum) {
  int32_t total = 0;
  int32_t taken_off = 0;
  for (int g = 0; g < kSuperGroups; ++g) {
    const int at = g * kSuperGroupInputs;
    total += weights.block.scales[g] *
             Dot(weights.weights + at, x.values[row] + at, kSuperGroupInputs);
    taken_off += weights.block.minimums[g] * x.sums16[row][g];
  }
  sum = FusedMultiplyAdd(static_cast<float>(total),
                         weights.scale * x.scales[row], sum);
  if (kLayoutOf<kForm>.minimums == 0) return sum;
  return FusedMultiplyAdd(static_cast<float>(taken_off),
                          weights.minimum * -x.scales[row], sum);
}

void StoreSums(const MatmulCall& call, int64_t first, int64_t output,
               const float (*sums)[kTileOutputs]) {
  const int64_t rows = std::min<int64_t>(kRowBlock, call.rows - first);
  const int64_t lanes = std::min<int64_t>(kTileOutputs, call.outputs - output);
  for (int64_t row = 0; row < rows; ++row) {
    std::copy_n(sums[row], lanes,
                call.y + (first + row) * call.y_stride + output);
  }
}

// Input is ActivationGroup or ActivationSuperBlock.
template <PackedForm kForm, typename Input>
void Matmul(const MatmulCall& call) {
  constexpr int kBytes = kLayoutOf<kForm>.bytes;
  for (int64_t output = 0; output < call.outputs; output += kTileOutputs) {
    const uint8_t* tile =
        call.tiles + output / kTileOutputs * call.blocks * kBytes;
    for (int64_t first = 0; first < call.rows; first += kRowBlock) {
      const int rows =
          static_cast<int>(std::min<int64_t>(kRowBlock, call.rows - first));
      const Input* input = static_cast<const Input*>(call.input) +
                           first / kRowBlock * call.blocks;
      float sums[kRowBlock][kTileOutputs] = {};
      for (int64_t b = 0; b < call.blocks; ++b) {
        for (int lane = 0; lane < kTileOutputs; ++lane) {
          UnpackedRow weights;
          Unpack<kForm>(tile + b * kBytes, lane, &weights);
          for (int row = 0; row < rows; ++row) {
            float& sum = sums[row][lane];
            sum = Accumulate<kForm>(weights, input[b], row, sum);
          }
        }
      }
      StoreSums(call, first, output, sums);
    }
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
void MultiplyFloatRows(const MatmulCall& call, const T* tile, int64_t first,
                       int64_t output) {
  const int64_t rows = std::min<int64_t>(kRowBlock, call.rows - first);
  const float* x = static_cast<const float*>(call.input) + first * call.blocks;
  float sums[kRowBlock][kTileOutputs] = {};
  for (int64_t k = 0; k < call.blocks; ++k, tile += kTileOutputs) {
    float weights[kTileOutputs];
    for (int lane = 0; lane < kTileOutputs; ++lane) {
      weights[lane] = kToFloat(tile[lane]);
    }
    for (int64_t row = 0; row < rows; ++row) {
      const float input = x[row * call.blocks + k];
      for (int lane = 0; lane < kTileOutputs; ++lane) {
        sums[row][lane] =
            FusedMultiplyAdd(weights[lane], input, sums[row][lane]);
      }
    }
  }
  StoreSums(call, first, output, sums);
}

template <typename T, float (*kToFloat)(T)>
void MatmulFloat(const MatmulCall& call) {
  const T* tile = reinterpret_cast<const T*>(call.tiles);
  for (int64_t output = 0; output < call.outputs;
       output += kTileOutputs, tile += call.blocks * kTileOutputs) {
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
    .quantize_groups = QuantizeGroups,
    .quantize_super_blocks = QuantizeSuperBlocks,
    .matmul = {Matmul<PackedForm::k4Bit, ActivationGroup>,
               Matmul<PackedForm::k8Bit, ActivationGroup>,
               Matmul<PackedForm::k8BitMinimum, ActivationGroup>,
               Matmul<PackedForm::kSuper4, ActivationSuperBlock>,
               Matmul<PackedForm::kSuper4Table, ActivationSuperBlock>,
               Matmul<PackedForm::kSuper8, ActivationSuperBlock>,
               Matmul<PackedForm::kSuper8Zero, ActivationSuperBlock>,
               MatmulFloat<uint16_t, HalfToFloat>,
               MatmulFloat<uint16_t, Bf16ToFloat>,
               MatmulFloat<float, FloatToFloat>},
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
