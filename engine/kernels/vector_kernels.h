// The reduction and elementwise kernels over 16-lane vectors, written once for
// the SIMD levels. V is a level's vector of 16 floats with the operations that
// avx2.cc and avx512.cc define. Everything lies in an unnamed namespace: each
// of the two files must have its own copy, compiled for its own instruction
// set.

#ifndef TANDEM_ENGINE_KERNELS_VECTOR_KERNELS_H_
#define TANDEM_ENGINE_KERNELS_VECTOR_KERNELS_H_

#include <cstdint>

#include "engine/kernels/fixed_exp.h"
#include "engine/kernels/kernel_table.h"

namespace tandem {
namespace {

constexpr int64_t kLanes = 16;

// FixedExpFloat of each lane.
template <typename V>
V Exp(V x) {
  const V shift = V::Splat(kRoundShift);
  const V k = V::Sub(V::Add(V::Mul(x, V::Splat(kExpLog2E)), shift), shift);
  V r = V::Sub(x, V::Mul(k, V::Splat(kExpLn2High)));
  r = V::Sub(r, V::Mul(k, V::Splat(kExpLn2Low)));
  V p = V::Splat(kExpPolynomial[0]);
  for (int i = 1; i < 6; ++i) {
    p = V::Add(V::Mul(p, r), V::Splat(kExpPolynomial[i]));
  }
  p = V::Add(V::Mul(p, V::Mul(r, r)), r);
  p = V::Add(p, V::Splat(1.0f));
  // A NaN in x is one in p and stays one.
  const V scaled = V::MulPowerOfTwo(p, k);
  return V::SelectRange(x, kExpMin, kExpMax, scaled);
}

template <typename V>
void RmsNormVector(const float* x, const float* weight, int64_t count,
                   float epsilon, float* out) {
  V sum = V::Splat(0.0f);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const V v = V::Load(x + i);
    sum = V::Add(sum, V::Mul(v, v));
  }
  if (i < count) {
    // Lanes past the end add +0, which changes no sum of squares.
    const V v = V::LoadPart(x + i, count - i);
    sum = V::Add(sum, V::Mul(v, v));
  }
  const float mean = V::ReduceAdd(sum) / static_cast<float>(count);
  const V inverse = V::Splat(1.0f / V::SquareRoot(mean + epsilon));
  for (i = 0; i + kLanes <= count; i += kLanes) {
    V::Store(V::Mul(V::Mul(V::Load(x + i), inverse), V::Load(weight + i)),
             out + i);
  }
  if (i < count) {
    const V v = V::LoadPart(x + i, count - i);
    const V w = V::LoadPart(weight + i, count - i);
    V::StorePart(V::Mul(V::Mul(v, inverse), w), count - i, out + i);
  }
}

template <typename V>
void RopeVector(float* x, int64_t heads, int64_t head_dim, const float* cos_sin,
                int64_t rotary_dims) {
  for (int64_t head = 0; head < heads; ++head, x += head_dim) {
    int64_t i = 0;
    for (; i + kLanes <= rotary_dims; i += kLanes) {
      V::Store(V::RotatePairs(V::Load(x + i), V::Load(cos_sin + i)), x + i);
    }
    if (i < rotary_dims) {
      const int64_t left = rotary_dims - i;
      const V v = V::LoadPart(x + i, left);
      const V angles = V::LoadPart(cos_sin + i, left);
      V::StorePart(V::RotatePairs(v, angles), left, x + i);
    }
  }
}

template <typename V>
void RopeHalfSplitVector(float* x, int64_t heads, int64_t head_dim,
                         const float* cos_sin, int64_t rotary_dims) {
  const int64_t half = rotary_dims / 2;
  for (int64_t head = 0; head < heads; ++head, x += head_dim) {
    float* low = x;
    float* high = x + half;
    int64_t i = 0;
    for (; i + kLanes <= half; i += kLanes) {
      const V a = V::Load(low + i);
      const V b = V::Load(high + i);
      const V cosine = V::Load(cos_sin + i);
      const V sine = V::Load(cos_sin + half + i);
      V::Store(V::Sub(V::Mul(a, cosine), V::Mul(b, sine)), low + i);
      V::Store(V::Add(V::Mul(b, cosine), V::Mul(a, sine)), high + i);
    }
    if (i < half) {
      const int64_t left = half - i;
      const V a = V::LoadPart(low + i, left);
      const V b = V::LoadPart(high + i, left);
      const V cosine = V::LoadPart(cos_sin + i, left);
      const V sine = V::LoadPart(cos_sin + half + i, left);
      V::StorePart(V::Sub(V::Mul(a, cosine), V::Mul(b, sine)), left, low + i);
      V::StorePart(V::Add(V::Mul(b, cosine), V::Mul(a, sine)), left, high + i);
    }
  }
}

template <typename V>
V Silu(V gate, V up) {
  const V power = Exp(V::Sub(V::Splat(0.0f), gate));
  return V::Mul(V::Div(gate, V::Add(V::Splat(1.0f), power)), up);
}

template <typename V>
void SiluMultiplyVector(const float* gate, const float* up, int64_t count,
                        float* out) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V::Store(Silu(V::Load(gate + i), V::Load(up + i)), out + i);
  }
  if (i < count) {
    const int64_t left = count - i;
    V::StorePart(Silu(V::LoadPart(gate + i, left), V::LoadPart(up + i, left)),
                 left, out + i);
  }
}

template <typename V>
V Gelu(V gate, V up) {
  const V cubic = V::Mul(V::Splat(kGeluCubic), V::Mul(gate, gate));
  const V power = Exp(V::Mul(gate, V::Add(V::Splat(kGeluLinear), cubic)));
  return V::Mul(V::Div(gate, V::Add(V::Splat(1.0f), power)), up);
}

template <typename V>
void GeluMultiplyVector(const float* gate, const float* up, int64_t count,
                        float* out) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V::Store(Gelu(V::Load(gate + i), V::Load(up + i)), out + i);
  }
  if (i < count) {
    const int64_t left = count - i;
    V::StorePart(Gelu(V::LoadPart(gate + i, left), V::LoadPart(up + i, left)),
                 left, out + i);
  }
}

// FixedTanhFloat of each lane.
template <typename V>
V Tanh(V x) {
  const V square = V::Mul(x, x);
  V p = V::Splat(kTanhPolynomial[0]);
  for (int i = 1; i < 5; ++i) {
    p = V::Add(V::Mul(p, square), V::Splat(kTanhPolynomial[i]));
  }
  const V small = V::Add(V::Mul(V::Mul(p, square), x), x);
  const V one = V::Splat(1.0f);
  const V large =
      V::Sub(one, V::Div(V::Splat(2.0f), V::Add(Exp(V::Add(x, x)), one)));
  return V::SelectBelow(square, kTanhSquareMax, small, large);
}

template <typename V>
void SoftCapVector(float* x, int64_t count, float cap) {
  const V inverse = V::Splat(1.0f / cap);
  const V scale = V::Splat(cap);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V::Store(V::Mul(Tanh(V::Mul(V::Load(x + i), inverse)), scale), x + i);
  }
  if (i < count) {
    const V v = V::LoadPart(x + i, count - i);
    V::StorePart(V::Mul(Tanh(V::Mul(v, inverse)), scale), count - i, x + i);
  }
}

template <typename V>
void ScaleVector(float* x, int64_t count, float factor) {
  const V scale = V::Splat(factor);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V::Store(V::Mul(V::Load(x + i), scale), x + i);
  }
  if (i < count) {
    V::StorePart(V::Mul(V::LoadPart(x + i, count - i), scale), count - i,
                 x + i);
  }
}

template <typename V>
void AddInPlaceVector(float* x, const float* y, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V::Store(V::Add(V::Load(x + i), V::Load(y + i)), x + i);
  }
  if (i < count) {
    const int64_t left = count - i;
    V::StorePart(V::Add(V::LoadPart(x + i, left), V::LoadPart(y + i, left)),
                 left, x + i);
  }
}

template <typename V>
void FloatToBf16Vector(const float* x, int64_t count, uint16_t* out) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V::StoreBf16(V::Load(x + i), out + i);
  }
  if (i < count) {
    uint16_t part[kLanes];
    V::StoreBf16(V::LoadPart(x + i, count - i), part);
    for (int64_t lane = 0; i < count; ++i, ++lane) out[i] = part[lane];
  }
}

template <typename V>
void MergeValuesVector(const float* next, float next_factor, float into_factor,
                       int64_t count, float* into) {
  const V a = V::Splat(into_factor);
  const V b = V::Splat(next_factor);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V::Store(V::Add(V::Mul(V::Load(into + i), a), V::Mul(V::Load(next + i), b)),
             into + i);
  }
  if (i < count) {
    const int64_t left = count - i;
    V::StorePart(V::Add(V::Mul(V::LoadPart(into + i, left), a),
                        V::Mul(V::LoadPart(next + i, left), b)),
                 left, into + i);
  }
}

template <typename V>
void DivideVector(const float* values, float sum, int64_t count, float* out) {
  const V divisor = V::Splat(sum);
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V::Store(V::Div(V::Load(values + i), divisor), out + i);
  }
  if (i < count) {
    V::StorePart(V::Div(V::LoadPart(values + i, count - i), divisor), count - i,
                 out + i);
  }
}

// dot(query, key), 16 lanes and the tree. Lanes past the end add +0 to a lane
// that is never -0, so they change nothing.
template <typename V, typename T>
float Dot(const float* query, const T* key, int64_t head_dim) {
  V sum = V::Splat(0.0f);
  int64_t i = 0;
  for (; i + kLanes <= head_dim; i += kLanes) {
    sum = V::Add(sum, V::Mul(V::Load(query + i), V::Load(key + i)));
  }
  if (i < head_dim) {
    const int64_t left = head_dim - i;
    sum = V::Add(
        sum, V::Mul(V::LoadPart(query + i, left), V::LoadPart(key + i, left)));
  }
  return V::ReduceAdd(sum);
}

// out[kVectors * 16] = sum over tokens, in ascending order, of weight * value.
template <typename V, int kVectors, typename T>
void AccumulateValues(const AttentionCall& call, const float* weights,
                      const T* values, float* out) {
  V sums[kVectors];
  for (int i = 0; i < kVectors; ++i) sums[i] = V::Splat(0.0f);
  for (int64_t t = 0; t < call.count; ++t, values += call.head_dim) {
    const V weight = V::Splat(weights[t]);
    for (int i = 0; i < kVectors; ++i) {
      sums[i] = V::Add(sums[i], V::Mul(weight, V::Load(values + i * kLanes)));
    }
  }
  for (int i = 0; i < kVectors; ++i) V::Store(sums[i], out + i * kLanes);
}

template <typename V, typename T>
void AccumulateValuesPart(const AttentionCall& call, const float* weights,
                          const T* values, int64_t width, float* out) {
  V sum = V::Splat(0.0f);
  for (int64_t t = 0; t < call.count; ++t, values += call.head_dim) {
    sum = V::Add(sum, V::Mul(V::Splat(weights[t]), V::LoadPart(values, width)));
  }
  V::StorePart(sum, width, out);
}

template <typename V, typename T>
void AttendBlockVector(AttentionCall* call) {
  const T* keys = static_cast<const T*>(call->keys);
  const T* values = static_cast<const T*>(call->values);
  // Tokens past the count have the score -infinity: they are never the
  // maximum, and their weight is 0.
  float scores[2 * kLanes];
  for (float& score : scores) score = -__builtin_inff();
  for (int64_t t = 0; t < call->count; ++t) {
    scores[t] = Dot<V>(call->query, keys + t * call->head_dim, call->head_dim) *
                call->scale;
  }
  if (call->soft_cap != 0) {
    SoftCapVector<V>(scores, call->count, call->soft_cap);
  }
  const V minus_infinity = V::Splat(-__builtin_inff());
  const V first = V::Load(scores);
  const V second = V::Load(scores + kLanes);
  call->maximum = V::ReduceMax(V::Max(second, V::Max(first, minus_infinity)));
  const V maximum = V::Splat(call->maximum);
  float weights[2 * kLanes];
  V::Store(Exp(V::Sub(first, maximum)), weights);
  V::Store(Exp(V::Sub(second, maximum)), weights + kLanes);
  // Past the count it may be -infinity - -infinity = NaN.
  for (int64_t t = call->count; t < 2 * kLanes; ++t) weights[t] = 0.0f;
  call->sum = V::ReduceAdd(V::Add(V::Load(weights), V::Load(weights + kLanes)));
  int64_t i = 0;
  for (; i + 4 * kLanes <= call->head_dim; i += 4 * kLanes) {
    AccumulateValues<V, 4>(*call, weights, values + i, call->values_out + i);
  }
  for (; i + kLanes <= call->head_dim; i += kLanes) {
    AccumulateValues<V, 1>(*call, weights, values + i, call->values_out + i);
  }
  if (i < call->head_dim) {
    AccumulateValuesPart<V>(*call, weights, values + i, call->head_dim - i,
                            call->values_out + i);
  }
}

}  // namespace
}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_VECTOR_KERNELS_H_
