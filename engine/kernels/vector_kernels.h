// What the SIMD levels share: the walk over the tiles of a matrix, and the
// kernels over vectors of 16 floats, written once. V is a level's vector with
// the operations that avx2.cc and avx512.cc define. Everything lies in an
// unnamed namespace: each of the two files must have its own copy, compiled for
// its own instruction set.

#ifndef TANDEM_ENGINE_KERNELS_VECTOR_KERNELS_H_
#define TANDEM_ENGINE_KERNELS_VECTOR_KERNELS_H_

#include <cstdint>

#include "engine/kernels/float_math.h"
#include "engine/kernels/kernel_table.h"

namespace tandem {
namespace {

constexpr int64_t kLanes = 16;
// Bytes ahead of the weights in work that are fetched into the second-level
// cache, which has more misses under way than the first-level one. Measured for
// AVX-512 on Zen 4 at one row of Q4_0, one thread: 28 GB/s, as plain reads;
// 16 GB/s into the first level, 23 GB/s at 4 KiB. The AVX2 kernels and those of
// float matrices use the same distance; it was not measured for them.
constexpr int64_t kPrefetchBytes = 8192;
constexpr int64_t kLineBytes = 64;

// Fetches `bytes` of weights that are kPrefetchBytes after `p`.
inline __attribute__((always_inline)) void PrefetchAhead(const void* p,
                                                         int bytes) {
  const char* ahead = static_cast<const char*>(p) + kPrefetchBytes;
  for (int at = 0; at < bytes; at += kLineBytes) {
    __builtin_prefetch(ahead + at, 0, 2);
  }
}

// Activations to int8. Rounding is a level's way to do so: Of<kCount>(x) finds
// the scale, and Store<kCount> stores the integers and returns their sum.
template <typename Rounding>
void QuantizeGroups(const float* x, int64_t blocks, int row,
                    ActivationGroup* out) {
  for (; blocks > 0; --blocks, x += kGroupInputs, ++out) {
    const auto rounding = Rounding::template Of<kGroupInputs>(x);
    const int32_t sum =
        rounding.template Store<kGroupInputs>(x, out->values[row]);
    out->scales[row] = rounding.scale;
    out->start4[row] = -kPacked4Zero * sum;
    out->start8[row] = -kPacked8Zero * sum;
  }
}

template <typename Rounding>
void QuantizeSuperBlocks(const float* x, int64_t blocks, int row,
                         ActivationSuperBlock* out) {
  for (; blocks > 0; --blocks, x += kSuperInputs, ++out) {
    const auto rounding = Rounding::template Of<kSuperInputs>(x);
    out->scales[row] = rounding.scale;
    for (int g = 0; g < kSuperGroups; ++g) {
      const int at = g * kSuperGroupInputs;
      out->sums16[row][g] =
          static_cast<int16_t>(rounding.template Store<kSuperGroupInputs>(
              x + at, out->values[row] + at));
    }
    for (int g = 0; g < kSuperGroups / 2; ++g) {
      const int sum = out->sums16[row][2 * g] + out->sums16[row][2 * g + 1];
      out->sums32[row][g] = static_cast<int16_t>(sum);
      out->starts32[row][g] = -8 * sum;
    }
  }
}

// One tile, `output` its first output, times the rows from `row` on: kRows at a
// time, then what is left at once.
template <typename Tile, int kRows>
void MultiplyTile(const MatmulCall& call, const uint8_t* tile, int64_t row,
                  int64_t output) {
  for (; row + kRows <= call.rows; row += kRows) {
    Tile::template MultiplyRows<kRows>(call, tile, row, output);
  }
  if constexpr (kRows > 1) {
    if (row < call.rows) {
      MultiplyTile<Tile, kRows - 1>(call, tile, row, output);
    }
  }
}

// Tile says what a level does with a tile of a form: MultiplyRows<kRows>(call,
// tile, first row, first output) for up to kRowsAtOnce rows, and the bytes of a
// block.
template <typename Tile>
void Multiply(const MatmulCall& call) {
  const uint8_t* tile = call.tiles;
  for (int64_t output = 0; output < call.outputs;
       output += kTileOutputs, tile += call.blocks * Tile::kBlockBytes) {
    MultiplyTile<Tile, Tile::kRowsAtOnce>(call, tile, 0, output);
  }
}

// out[i] = operation(in[i]...), a vector at a time.
template <typename V, typename Operation, typename... T>
inline void Map(int64_t count, float* out, const Operation& operation,
                const T*... in) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    V::Store(operation(V::Load(in + i)...), out + i);
  }
  if (i < count) {
    const int64_t left = count - i;
    V::StorePart(operation(V::LoadPart(in + i, left)...), left, out + i);
  }
}

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
  Map<V>(
      count, out, [inverse](V v, V w) { return V::Mul(V::Mul(v, inverse), w); },
      x, weight);
}

template <typename V>
void RopeVector(float* x, int64_t heads, int64_t head_dim, const float* cos_sin,
                int64_t rotary_dims) {
  for (int64_t head = 0; head < heads; ++head, x += head_dim) {
    Map<V>(
        rotary_dims, x, [](V v, V angles) { return V::RotatePairs(v, angles); },
        x, cos_sin);
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
  Map<V>(count, out, Silu<V>, gate, up);
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
  Map<V>(count, out, Gelu<V>, gate, up);
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
  Map<V>(
      count, x, [=](V v) { return V::Mul(Tanh(V::Mul(v, inverse)), scale); },
      x);
}

template <typename V>
void ScaleVector(float* x, int64_t count, float factor) {
  const V scale = V::Splat(factor);
  Map<V>(
      count, x, [scale](V v) { return V::Mul(v, scale); }, x);
}

template <typename V>
void AddInPlaceVector(float* x, const float* y, int64_t count) {
  Map<V>(
      count, x, [](V a, V b) { return V::Add(a, b); }, x, y);
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
  Map<V>(
      count, into,
      [=](V own, V other) { return V::Add(V::Mul(own, a), V::Mul(other, b)); },
      into, next);
}

template <typename V>
void DivideVector(const float* values, float sum, int64_t count, float* out) {
  const V divisor = V::Splat(sum);
  Map<V>(
      count, out, [divisor](V v) { return V::Div(v, divisor); }, values);
}

// How the weights of a float matrix become a vector.
template <typename V>
struct HalfWeights {
  using Element = uint16_t;
  static V Load(const Element* p) { return V::LoadHalf(p); }
};
template <typename V>
struct Bf16Weights {
  using Element = uint16_t;
  static V Load(const Element* p) { return V::Load(p); }
};
template <typename V>
struct FloatWeights {
  using Element = float;
  static V Load(const Element* p) { return V::Load(p); }
};

// Vectors of a tile.
constexpr int kTileParts = kTileOutputs / kLanes;
// Where the registers do not hold a whole tile's sums: inputs that one part of
// the tile goes through before the next part does, which then finds the lines
// in the first-level cache (64 of F32 are 8 KiB).
constexpr int64_t kInputsAtOnce = 64;

// Adds `inputs` inputs to kParts vectors of outputs of kRows rows: `sums` is
// that of the first vector and row, a row has kTileParts of them. `weights` is
// the first weight of the first vector, `x` the first input of the first row.
template <typename V, typename W, int kRows, int kParts>
void AddFloatInputs(const typename W::Element* weights, const float* x,
                    int64_t x_stride, int64_t inputs, V* sums) {
  V own[kRows][kParts];
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < kParts; ++part) {
      own[row][part] = sums[row * kTileParts + part];
    }
  }
  for (int64_t k = 0; k < inputs; ++k, weights += kTileOutputs) {
    V parts[kParts];
    for (int part = 0; part < kParts; ++part) {
      parts[part] = W::Load(weights + part * kLanes);
    }
    PrefetchAhead(weights, kParts * kLanes * sizeof(typename W::Element));
    for (int row = 0; row < kRows; ++row) {
      const V input = V::Splat(x[row * x_stride + k]);
      for (int part = 0; part < kParts; ++part) {
        own[row][part] = V::Fma(parts[part], input, own[row][part]);
      }
    }
  }
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < kParts; ++part) {
      sums[row * kTileParts + part] = own[row][part];
    }
  }
}

template <typename V, typename W>
struct FloatTile {
  using Element = typename W::Element;
  static constexpr int kRowsAtOnce = V::kQueriesAtOnce;
  static constexpr int kBlockBytes = kTileOutputs * sizeof(Element);

  template <int kRows>
  static void MultiplyRows(const MatmulCall& call, const uint8_t* tile,
                           int64_t first_row, int64_t output) {
    constexpr int kSumsAtOnce = V::kQueriesAtOnce * V::kPartsAtOnce;
    constexpr int kParts = kRows * kTileParts <= kSumsAtOnce ? kTileParts : 1;
    const int64_t inputs = call.blocks;
    const auto* weights = reinterpret_cast<const Element*>(tile);
    const float* x = static_cast<const float*>(call.input) + first_row * inputs;
    V sums[kRows * kTileParts];
    for (V& sum : sums) sum = V::Splat(0.0f);
    const int64_t step = kParts == kTileParts ? inputs : kInputsAtOnce;
    for (int64_t k = 0; k < inputs; k += step) {
      const int64_t left = inputs - k;
      for (int part = 0; part < kTileParts; part += kParts) {
        AddFloatInputs<V, W, kRows, kParts>(
            weights + k * kTileOutputs + part * kLanes, x + k, inputs,
            left < step ? left : step, sums + part);
      }
    }
    for (int row = 0; row < kRows; ++row) {
      float* y = call.y + (first_row + row) * call.y_stride + output;
      for (int part = 0; part < kTileParts; ++part) {
        const V sum = sums[row * kTileParts + part];
        const int64_t left = call.outputs - output - part * kLanes;
        if (left >= kLanes) {
          V::Store(sum, y + part * kLanes);
        } else if (left > 0) {
          V::StorePart(sum, left, y + part * kLanes);
        }
      }
    }
  }
};

// Fetches one row of the next block's keys and as many bytes of its values,
// which take as much: the rows of a block's keys bring all of the next block.
template <typename T>
inline void PrefetchRow(const AttentionCall& call, int64_t row) {
  constexpr int64_t kRowBytes = kKvPageTokens * sizeof(T);
  const char* keys = static_cast<const char*>(call.next_keys);
  const char* values = static_cast<const char*>(call.next_values);
  for (int64_t at = row * kRowBytes; at < (row + 1) * kRowBytes;
       at += kLineBytes) {
    __builtin_prefetch(keys + at, 0, 3);
    __builtin_prefetch(values + at, 0, 3);
  }
}

// Scores of kParts vectors of positions of a block, from position `first` on,
// for kQueries queries, which share each load of keys. A lane is a position.
template <typename V, int kQueries, int kParts, typename T>
void ScoreKeys(const AttentionCall& call, const AttentionQuery* queries,
               int first, float (*scores)[kKvPageTokens]) {
  const T* keys = static_cast<const T*>(call.keys) + first;
  V sums[kQueries][kParts];
  for (int q = 0; q < kQueries; ++q) {
    for (int part = 0; part < kParts; ++part) sums[q][part] = V::Splat(0.0f);
  }
  for (int64_t i = 0; i < call.head_dim; ++i, keys += kKvPageTokens) {
    if (first == 0) PrefetchRow<T>(call, i);
    V parts[kParts];
    for (int part = 0; part < kParts; ++part) {
      parts[part] = V::Load(keys + part * kLanes);
    }
    for (int q = 0; q < kQueries; ++q) {
      const V query = V::Splat(queries[q].query[i]);
      for (int part = 0; part < kParts; ++part) {
        sums[q][part] = V::Fma(query, parts[part], sums[q][part]);
      }
    }
  }
  const V scale = V::Splat(call.scale);
  for (int q = 0; q < kQueries; ++q) {
    for (int part = 0; part < kParts; ++part) {
      V::Store(V::Mul(sums[q][part], scale), scores[q] + first + part * kLanes);
    }
  }
}

// Scores to weights, and the queries' maxima and sums with them; `factors` for
// what the queries have gathered so far.
template <typename V, int kQueries>
void WeighScores(const AttentionCall& call, AttentionQuery* queries,
                 float (*scores)[kKvPageTokens], float* factors) {
  static_assert(kQueries <= kLanes);
  float changes[kLanes] = {};
  for (int q = 0; q < kQueries; ++q) {
    float* own = scores[q];
    if (call.soft_cap != 0) SoftCapVector<V>(own, kKvPageTokens, call.soft_cap);
    // Positions that are not seen: never the maximum, and of weight 0.
    for (int64_t t = 0; t < call.begin; ++t) own[t] = -__builtin_inff();
    for (int64_t t = call.end; t < kKvPageTokens; ++t) {
      own[t] = -__builtin_inff();
    }
    const V first =
        V::Max(V::Load(own), V::Splat(-__builtin_inff()));  // no NaN
    const float highest = V::ReduceMax(V::Max(V::Load(own + kLanes), first));
    const float before = queries[q].maximum;
    queries[q].maximum = highest > before ? highest : before;
    changes[q] = before - queries[q].maximum;
  }
  float all_factors[kLanes];
  V::Store(Exp(V::Load(changes)), all_factors);
  for (int q = 0; q < kQueries; ++q) {
    float* own = scores[q];
    const V maximum = V::Splat(queries[q].maximum);
    const V first = Exp(V::Sub(V::Load(own), maximum));
    const V second = Exp(V::Sub(V::Load(own + kLanes), maximum));
    V::Store(first, own);
    V::Store(second, own + kLanes);
    // -infinity - -infinity is NaN.
    for (int64_t t = 0; t < call.begin; ++t) own[t] = 0.0f;
    for (int64_t t = call.end; t < kKvPageTokens; ++t) own[t] = 0.0f;
    factors[q] = all_factors[q];
    queries[q].sum = queries[q].sum * factors[q] +
                     V::ReduceAdd(V::Add(V::Load(own), V::Load(own + kLanes)));
  }
}

// values[at ..] = those * factor + the sum, in ascending order of positions, of
// weight * value, for kParts vectors or, where that is one, the `width`
// elements of it. The queries share each load of values.
template <typename V, int kQueries, int kParts, typename T>
void AddValues(const AttentionCall& call, AttentionQuery* queries,
               const float (*weights)[kKvPageTokens], const float* factors,
               int64_t at, int64_t width) {
  const bool whole = width == kParts * kLanes;
  V sums[kQueries][kParts];
  for (int q = 0; q < kQueries; ++q) {
    const V factor = V::Splat(factors[q]);
    for (int part = 0; part < kParts; ++part) {
      const float* from = queries[q].values + at + part * kLanes;
      sums[q][part] =
          V::Mul(whole ? V::Load(from) : V::LoadPart(from, width), factor);
    }
  }
  const T* values =
      static_cast<const T*>(call.values) + call.begin * call.head_dim + at;
  for (int64_t t = call.begin; t < call.end; ++t, values += call.head_dim) {
    V parts[kParts];
    for (int part = 0; part < kParts; ++part) {
      const T* from = values + part * kLanes;
      parts[part] = whole ? V::Load(from) : V::LoadPart(from, width);
    }
    for (int q = 0; q < kQueries; ++q) {
      const V weight = V::Splat(weights[q][t]);
      for (int part = 0; part < kParts; ++part) {
        sums[q][part] = V::Fma(weight, parts[part], sums[q][part]);
      }
    }
  }
  for (int q = 0; q < kQueries; ++q) {
    for (int part = 0; part < kParts; ++part) {
      float* out = queries[q].values + at + part * kLanes;
      if (whole) {
        V::Store(sums[q][part], out);
      } else {
        V::StorePart(sums[q][part], width, out);
      }
    }
  }
}

template <typename V, typename T, int kQueries>
void AttendQueries(const AttentionCall& call, AttentionQuery* queries) {
  constexpr int kParts = V::kPartsAtOnce;
  float weights[kQueries][kKvPageTokens];
  float factors[kQueries];
  for (int first = 0; first < kKvPageTokens; first += kParts * kLanes) {
    ScoreKeys<V, kQueries, kParts, T>(call, queries, first, weights);
  }
  WeighScores<V, kQueries>(call, queries, weights, factors);
  int64_t at = 0;
  for (; at + kParts * kLanes <= call.head_dim; at += kParts * kLanes) {
    AddValues<V, kQueries, kParts, T>(call, queries, weights, factors, at,
                                      kParts * kLanes);
  }
  for (; at < call.head_dim; at += kLanes) {
    const int64_t left = call.head_dim - at;
    AddValues<V, kQueries, 1, T>(call, queries, weights, factors, at,
                                 left < kLanes ? left : kLanes);
  }
}

// 8, 4, 2 or 1 queries at a time, as many as V has registers for.
template <typename V, typename T>
void AttendBlockVector(const AttentionCall& block) {
  AttentionCall call = block;
  if (call.next_keys == nullptr) {
    call.next_keys = call.keys;
    call.next_values = call.values;
  }
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

// Everything that a level has: Tiles are those of the quantised forms, in the
// order of PackedForm.
template <typename V, typename Rounding, typename... Tiles>
consteval KernelTable MakeKernelTable() {
  return {
      .quantize_groups = QuantizeGroups<Rounding>,
      .quantize_super_blocks = QuantizeSuperBlocks<Rounding>,
      .matmul = {Multiply<Tiles>..., Multiply<FloatTile<V, HalfWeights<V>>>,
                 Multiply<FloatTile<V, Bf16Weights<V>>>,
                 Multiply<FloatTile<V, FloatWeights<V>>>},
      .rms_norm = RmsNormVector<V>,
      .rope_interleaved = RopeVector<V>,
      .rope_half_split = RopeHalfSplitVector<V>,
      .silu_multiply = SiluMultiplyVector<V>,
      .gelu_multiply = GeluMultiplyVector<V>,
      .soft_cap = SoftCapVector<V>,
      .scale = ScaleVector<V>,
      .add_in_place = AddInPlaceVector<V>,
      .float_to_bf16 = FloatToBf16Vector<V>,
      .attend_block_bf16 = AttendBlockVector<V, uint16_t>,
      .attend_block_f32 = AttendBlockVector<V, float>,
      .merge_values = MergeValuesVector<V>,
      .divide = DivideVector<V>,
  };
}

}  // namespace
}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_VECTOR_KERNELS_H_
