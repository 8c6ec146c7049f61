// The kernels for AVX-512 F, BW, DQ, VL and VNNI. Compiled for them, so it
// includes intrinsics and kernel-local headers only.

#include <immintrin.h>

#include <cstdint>

#include "engine/kernels/kernel_table.h"
#include "engine/kernels/quantize_constants.h"
#include "engine/kernels/super_kernels.h"
#include "engine/kernels/vector_kernels.h"

namespace tandem {
namespace {

constexpr int kWords = kGroupInputs / 4;  // 32-bit words of one row's group
// Outputs of one vector, and the vectors of a tile.
constexpr int kHalfOutputs = 16;
constexpr int kHalves = kTileOutputs / kHalfOutputs;
constexpr int kWordBytes = 4 * kTileOutputs;  // one word of every lane

struct Vector {
  static constexpr int kQueriesAtOnce = 8;
  static constexpr int kPartsAtOnce = 2;

  __m512 v;

  static __mmask16 Part(int64_t count) {
    return static_cast<__mmask16>((1u << count) - 1);
  }
  static Vector Widen(__m256i bf16) {
    return {_mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16))};
  }

  static Vector Splat(float x) { return {_mm512_set1_ps(x)}; }
  static Vector Load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Vector Load(const uint16_t* p) {
    return Widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Vector LoadHalf(const uint16_t* p) {
    return {_mm512_cvtph_ps(
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static Vector LoadPart(const float* p, int64_t count) {
    return {_mm512_maskz_loadu_ps(Part(count), p)};
  }
  static Vector LoadPart(const uint16_t* p, int64_t count) {
    return Widen(_mm256_maskz_loadu_epi16(Part(count), p));
  }
  static void Store(Vector a, float* p) { _mm512_storeu_ps(p, a.v); }
  static void StorePart(Vector a, int64_t count, float* p) {
    _mm512_mask_storeu_ps(p, Part(count), a.v);
  }
  static void StoreBf16(Vector a, uint16_t* p) {
    const __m512i bits = _mm512_castps_si512(a.v);
    const __m512i high = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(high, _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_srli_epi32(
        _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)),
                         odd),
        16);
    const __mmask16 nan = _mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q);
    const __m512i result =
        _mm512_mask_or_epi32(rounded, nan, high, _mm512_set1_epi32(0x40));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtepi32_epi16(result));
  }

  static Vector Add(Vector a, Vector b) { return {_mm512_add_ps(a.v, b.v)}; }
  static Vector Sub(Vector a, Vector b) { return {_mm512_sub_ps(a.v, b.v)}; }
  static Vector Mul(Vector a, Vector b) { return {_mm512_mul_ps(a.v, b.v)}; }
  // a * b + c, rounded once.
  static Vector Fma(Vector a, Vector b, Vector c) {
    return {_mm512_fmadd_ps(a.v, b.v, c.v)};
  }
  static Vector Div(Vector a, Vector b) { return {_mm512_div_ps(a.v, b.v)}; }
  // a > b ? a : b.
  static Vector Max(Vector a, Vector b) { return {_mm512_max_ps(a.v, b.v)}; }
  static float SquareRoot(float x) {
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
  }

  // p * 2^k for integral k in -126 .. 127.
  static Vector MulPowerOfTwo(Vector p, Vector k) {
    const __m512i exponent = _mm512_slli_epi32(
        _mm512_add_epi32(_mm512_cvtps_epi32(k.v), _mm512_set1_epi32(127)), 23);
    return {_mm512_mul_ps(p.v, _mm512_castsi512_ps(exponent))};
  }
  // 0 where x < low, infinity where x > high, else inside.
  static Vector SelectRange(Vector x, float low, float high, Vector inside) {
    const __mmask16 above =
        _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(high), _CMP_GT_OQ);
    const __mmask16 below =
        _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(low), _CMP_LT_OQ);
    const __m512 capped =
        _mm512_mask_mov_ps(inside.v, above, _mm512_set1_ps(__builtin_inff()));
    return {_mm512_mask_mov_ps(capped, below, _mm512_setzero_ps())};
  }

  // x < limit ? below : other.
  static Vector SelectBelow(Vector x, float limit, Vector below, Vector other) {
    const __mmask16 mask =
        _mm512_cmp_ps_mask(x.v, _mm512_set1_ps(limit), _CMP_LT_OQ);
    return {_mm512_mask_mov_ps(other.v, mask, below.v)};
  }

  // (a, b) -> (a * cos - b * sin, b * cos + a * sin) of each pair.
  static Vector RotatePairs(Vector x, Vector cos_sin) {
    const __m512 cosine = _mm512_moveldup_ps(cos_sin.v);
    const __m512 sine = _mm512_movehdup_ps(cos_sin.v);
    const __m512 straight = _mm512_mul_ps(x.v, cosine);
    const __m512 crossed = _mm512_mul_ps(_mm512_permute_ps(x.v, 0xb1), sine);
    const __m512 sum = _mm512_add_ps(straight, crossed);
    return {_mm512_mask_sub_ps(sum, 0x5555, straight, crossed)};
  }

  static float ReduceAdd(Vector a) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v),
                                       _mm512_extractf32x8_ps(a.v, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight),
                                   _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float ReduceMax(Vector a) {
    const __m256 eight = _mm256_max_ps(_mm512_extractf32x8_ps(a.v, 1),
                                       _mm512_castps512_ps256(a.v));
    const __m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1),
                                   _mm256_castps256_ps128(eight));
    const __m128 two = _mm_max_ps(_mm_movehl_ps(four, four), four);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(two), two));
  }
};

void QuantizeGroup(const float* x, int row, ActivationGroup* out) {
  const __m512 low = _mm512_loadu_ps(x);
  const __m512 high = _mm512_loadu_ps(x + 16);
  const __m512i mask = _mm512_set1_epi32(kMagnitudeMask);
  const uint32_t magnitude = _mm512_reduce_max_epu32(
      _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(low), mask),
                       _mm512_and_si512(_mm512_castps_si512(high), mask)));
  const float largest = _mm_cvtss_f32(
      _mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(magnitude))));
  const bool poisoned = magnitude >= kInfinityBits;
  const bool usable = !poisoned && largest >= kQuantizeMin;
  const __mmask16 keep = usable ? 0xffff : 0;
  const __m512 inverse = _mm512_set1_ps(kQuantizeMax / largest);
  const __m512i limit = _mm512_set1_epi32(127);
  const __m512i floor = _mm512_set1_epi32(-127);
  // Conversion rounds to nearest even, as the team's MXCSR says.
  __m512i a = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(low, inverse));
  __m512i b = _mm512_maskz_cvtps_epi32(keep, _mm512_mul_ps(high, inverse));
  a = _mm512_max_epi32(_mm512_min_epi32(a, limit), floor);
  b = _mm512_max_epi32(_mm512_min_epi32(b, limit), floor);
  __m128i* values = reinterpret_cast<__m128i*>(out->values[row]);
  _mm_store_si128(values, _mm512_cvtepi32_epi8(a));
  _mm_store_si128(values + 1, _mm512_cvtepi32_epi8(b));
  const int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
  out->scales[row] = usable     ? largest / kQuantizeMax
                     : poisoned ? __builtin_nanf("")
                                : 0.0f;
  out->start4[row] = -kPacked4Zero * sum;
  out->start8[row] = -kPacked8Zero * sum;
}

void QuantizeRow(const float* x, int64_t groups, int row,
                 ActivationGroup* out) {
  for (int64_t g = 0; g < groups; ++g) {
    QuantizeGroup(x + g * kGroupInputs, row, out + g);
  }
}

// Word `word` of a row's values in every lane.
__m512i Word(const ActivationGroup& x, int row, int word) {
  int32_t value;
  __builtin_memcpy(&value, x.values[row] + 4 * word, sizeof(value));
  return _mm512_set1_epi32(value);
}

// What the two packed forms do differently: how the codes of words 2i and
// 2i + 1 are had, for the 16 lanes of one half of the tile.
struct Form4 {
  static constexpr int kGroupBytes = kPacked4GroupBytes;
  static constexpr int kCodeBytes = kPacked4CodeBytes;
  static void LoadWords(const uint8_t* group, int i, int half, __m512i* words) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i bytes = _mm512_load_si512(group + kWordBytes * i + 64 * half);
    words[0] = _mm512_and_si512(bytes, nibble);
    words[1] = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
  }
  static const int32_t* Start(const ActivationGroup& group) {
    return group.start4;
  }
};

struct Form8 {
  static constexpr int kGroupBytes = kPacked8GroupBytes;
  static constexpr int kCodeBytes = kPacked8CodeBytes;
  static void LoadWords(const uint8_t* group, int i, int half, __m512i* words) {
    const uint8_t* codes = group + 2 * kWordBytes * i + 64 * half;
    words[0] = _mm512_load_si512(codes);
    words[1] = _mm512_load_si512(codes + kWordBytes);
  }
  static const int32_t* Start(const ActivationGroup& group) {
    return group.start8;
  }
};

// The group at `group` of a tile times kRows rows of a block. The halves share
// each broadcast word of x: with one of them the loads, two a cycle, would be
// what limits it. All rows at once: for 8 of them the dot products fill half of
// the registers and the sums live in the first-level cache, which costs less
// than unpacking the codes twice (187 against 174 GMAC/s a core).
template <typename Form, int kRows>
inline __attribute__((always_inline)) void MultiplyGroup(
    const uint8_t* group, const ActivationGroup& x, __m512 (*sums)[kHalves]) {
  __m512i dots[kRows][kHalves];
  for (int row = 0; row < kRows; ++row) {
    const __m512i start = _mm512_set1_epi32(Form::Start(x)[row]);
    for (int half = 0; half < kHalves; ++half) dots[row][half] = start;
  }
  for (int i = 0; i < kWords / 2; ++i) {
    __m512i words[kHalves][2];
    for (int half = 0; half < kHalves; ++half) {
      Form::LoadWords(group, i, half, words[half]);
    }
    for (int row = 0; row < kRows; ++row) {
      for (int word = 0; word < 2; ++word) {
        const __m512i value = Word(x, row, 2 * i + word);
        for (int half = 0; half < kHalves; ++half) {
          dots[row][half] =
              _mm512_dpbusd_epi32(dots[row][half], words[half][word], value);
        }
      }
    }
  }
  __m512 scales[kHalves];
  for (int half = 0; half < kHalves; ++half) {
    scales[half] = _mm512_cvtph_ps(_mm256_load_si256(
        reinterpret_cast<const __m256i*>(group + Form::kCodeBytes) + half));
  }
  for (int row = 0; row < kRows; ++row) {
    for (int half = 0; half < kHalves; ++half) {
      const __m512 scale =
          _mm512_mul_ps(scales[half], _mm512_set1_ps(x.scales[row]));
      sums[row][half] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[row][half]),
                                        scale, sums[row][half]);
    }
  }
}

// One tile, `output` its first output, times one block of kRows rows.
template <typename Form, int kRows>
void MultiplyTile(const PackedMatmul& call, const uint8_t* tile,
                  int64_t first_row, int64_t output) {
  const ActivationGroup* input =
      call.input + first_row / kRowBlock * call.groups;
  __m512 sums[kRows][kHalves];
  for (int row = 0; row < kRows; ++row) {
    for (int half = 0; half < kHalves; ++half) {
      sums[row][half] = _mm512_setzero_ps();
    }
  }
  for (int64_t g = 0; g < call.groups; ++g) {
    const uint8_t* group = tile + g * Form::kGroupBytes;
    for (int at = 0; at < Form::kGroupBytes; at += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(group + kPrefetchBytes + at),
                   _MM_HINT_T1);
    }
    MultiplyGroup<Form, kRows>(group, input[g], sums);
  }
  for (int half = 0; half < kHalves; ++half) {
    const int64_t left = call.outputs - output - half * kHalfOutputs;
    if (left <= 0) break;
    const __mmask16 mask =
        Vector::Part(left < kHalfOutputs ? left : kHalfOutputs);
    float* y =
        call.y + first_row * call.y_stride + output + half * kHalfOutputs;
    for (int row = 0; row < kRows; ++row, y += call.y_stride) {
      _mm512_mask_storeu_ps(y, mask, sums[row][half]);
    }
  }
}

template <typename Form>
void MultiplyPacked(const PackedMatmul& call) {
  using Function =
      void (*)(const PackedMatmul&, const uint8_t*, int64_t, int64_t);
  static constexpr Function kByRows[kRowBlock] = {
      MultiplyTile<Form, 1>, MultiplyTile<Form, 2>, MultiplyTile<Form, 3>,
      MultiplyTile<Form, 4>, MultiplyTile<Form, 5>, MultiplyTile<Form, 6>,
      MultiplyTile<Form, 7>, MultiplyTile<Form, 8>,
  };
  const uint8_t* tile = call.tiles;
  for (int64_t output = 0; output < call.outputs;
       output += kTileOutputs, tile += call.tile_stride) {
    for (int64_t row = 0; row < call.rows; row += kRowBlock) {
      const int64_t left = call.rows - row;
      kByRows[(left < kRowBlock ? left : kRowBlock) - 1](call, tile, row,
                                                         output);
    }
  }
}

}  // namespace

const KernelTable kAvx512Kernels = {
    .quantize_row = QuantizeRow,
    .matmul_packed4 = MultiplyPacked<Form4>,
    .matmul_packed8 = MultiplyPacked<Form8>,
    .matmul_f16 = MatmulFloatVector<Vector, HalfWeights<Vector>>,
    .matmul_bf16 = MatmulFloatVector<Vector, Bf16Weights<Vector>>,
    .matmul_f32 = MatmulFloatVector<Vector, FloatWeights<Vector>>,
    .super = &kAvx512SuperKernels,
    .rms_norm = RmsNormVector<Vector>,
    .rope_interleaved = RopeVector<Vector>,
    .rope_half_split = RopeHalfSplitVector<Vector>,
    .silu_multiply = SiluMultiplyVector<Vector>,
    .gelu_multiply = GeluMultiplyVector<Vector>,
    .soft_cap = SoftCapVector<Vector>,
    .scale = ScaleVector<Vector>,
    .add_in_place = AddInPlaceVector<Vector>,
    .float_to_bf16 = FloatToBf16Vector<Vector>,
    .attend_block_bf16 = AttendBlockVector<Vector, uint16_t>,
    .attend_block_f32 = AttendBlockVector<Vector, float>,
    .merge_values = MergeValuesVector<Vector>,
    .divide = DivideVector<Vector>,
};

}  // namespace tandem
