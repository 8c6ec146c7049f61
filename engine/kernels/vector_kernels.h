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

constexpr int kPageVectors = kKvPageTokens / kLanes;

// Scores of all positions of a block for kQueries queries, which share each
// load of keys. A lane is a position.
template <typename V, int kQueries, typename T>
void ScoreKeys(const AttentionCall& call, const AttentionQuery* queries,
               float (*scores)[kKvPageTokens]) {
  const V scale = V::Splat(call.scale);
  for (int part = 0; part < kPageVectors; ++part) {
    const T* keys = static_cast<const T*>(call.keys) + part * kLanes;
    V sums[kQueries];
    for (int q = 0; q < kQueries; ++q) sums[q] = V::Splat(0.0f);
    for (int64_t i = 0; i < call.head_dim; ++i, keys += kKvPageTokens) {
      const V key = V::Load(keys);
      for (int q = 0; q < kQueries; ++q) {
        sums[q] = V::Fma(V::Splat(queries[q].query[i]), key, sums[q]);
      }
    }
    for (int q = 0; q < kQueries; ++q) {
      V::Store(V::Mul(sums[q], scale), scores[q] + part * kLanes);
    }
  }
}

// Scores to weights, and the query's maximum and sum with them; the factor for
// what the query has gathered so far.
template <typename V>
float WeighScores(const AttentionCall& call, AttentionQuery* query,
                  float* scores) {
  if (call.soft_cap != 0)
    SoftCapVector<V>(scores, kKvPageTokens, call.soft_cap);
  // Positions that are not seen: never the maximum, and of weight 0.
  for (int64_t t = 0; t < call.begin; ++t) scores[t] = -__builtin_inff();
  for (int64_t t = call.end; t < kKvPageTokens; ++t) {
    scores[t] = -__builtin_inff();
  }
  const V first = V::Load(scores);
  const V second = V::Load(scores + kLanes);
  const float highest =
      V::ReduceMax(V::Max(second, V::Max(first, V::Splat(-__builtin_inff()))));
  const float maximum = highest > query->maximum ? highest : query->maximum;
  float factors[kLanes];
  V::Store(Exp(V::Splat(query->maximum - maximum)), factors);
  V::Store(Exp(V::Sub(first, V::Splat(maximum))), scores);
  V::Store(Exp(V::Sub(second, V::Splat(maximum))), scores + kLanes);
  // -infinity - -infinity is NaN.
  for (int64_t t = 0; t < call.begin; ++t) scores[t] = 0.0f;
  for (int64_t t = call.end; t < kKvPageTokens; ++t) scores[t] = 0.0f;
  query->maximum = maximum;
  query->sum = query->sum * factors[0] +
               V::ReduceAdd(V::Add(V::Load(scores), V::Load(scores + kLanes)));
  return factors[0];
}

// values[at .. at + width - 1] = those * factor + the sum, in ascending order
// of positions, of weight * value; width is at most kLanes. The queries share
// each load of values.
template <typename V, int kQueries, typename T>
void AddValues(const AttentionCall& call, AttentionQuery* queries,
               const float (*weights)[kKvPageTokens], const float* factors,
               int64_t at, int64_t width) {
  const bool whole = width == kLanes;
  V sums[kQueries];
  for (int q = 0; q < kQueries; ++q) {
    const float* values = queries[q].values + at;
    sums[q] = V::Mul(whole ? V::Load(values) : V::LoadPart(values, width),
                     V::Splat(factors[q]));
  }
  const T* values =
      static_cast<const T*>(call.values) + call.begin * call.head_dim + at;
  for (int64_t t = call.begin; t < call.end; ++t, values += call.head_dim) {
    const V value = whole ? V::Load(values) : V::LoadPart(values, width);
    for (int q = 0; q < kQueries; ++q) {
      sums[q] = V::Fma(V::Splat(weights[q][t]), value, sums[q]);
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    float* out = queries[q].values + at;
    if (whole) {
      V::Store(sums[q], out);
    } else {
      V::StorePart(sums[q], width, out);
    }
  }
}

template <typename V, typename T, int kQueries>
void AttendQueries(const AttentionCall& call, AttentionQuery* queries) {
  float weights[kQueries][kKvPageTokens];
  float factors[kQueries];
  ScoreKeys<V, kQueries, T>(call, queries, weights);
  for (int q = 0; q < kQueries; ++q) {
    factors[q] = WeighScores<V>(call, queries + q, weights[q]);
  }
  for (int64_t at = 0; at < call.head_dim; at += kLanes) {
    const int64_t left = call.head_dim - at;
    AddValues<V, kQueries, T>(call, queries, weights, factors, at,
                              left < kLanes ? left : kLanes);
  }
}

// 8, 4, 2 or 1 queries at a time, as many as V has registers for.
template <typename V, typename T>
void AttendBlockVector(const AttentionCall& call) {
  AttentionQuery* query = call.queries;
  int64_t left = call.query_count;
  if constexpr (V::kQueriesAtOnce >= 8) {
    for (; left >= 8; left -= 8, query += 8) {
      AttendQueries<V, T, 8>(call, query);
    }
  }
  for (; left >= 4; left -= 4, query += 4) AttendQueries<V, T, 4>(call, query);
  if (left >= 2) {
    AttendQueries<V, T, 2>(call, query);
    left -= 2;
    query += 2;
  }
  if (left == 1) AttendQueries<V, T, 1>(call, query);
}

}  // namespace
}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_VECTOR_KERNELS_H_
