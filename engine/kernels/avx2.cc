// The kernels for AVX2, FMA and F16C. Compiled for them, so it includes
// intrinsics and kernel-local headers only.

#include <immintrin.h>

#include <cstdint>

#include "engine/kernels/avx2_matmul.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/vector_kernels.h"

namespace tandem {
namespace {

struct Vector {
  // Two registers for each query, two for what they share.
  static constexpr int kQueriesAtOnce = 4;
  static constexpr int kPartsAtOnce = 1;

  __m256 low;
  __m256 high;

  // Eight bf16 values, each in the upper half of its lane. One shuffle; a
  // widening move and a shift take three times as long on Zen 1.
  static __m256 Widen(const __m128i* bf16) {
    const __m256i order = _mm256_setr_epi8(
        -1, -1, 0, 1, -1, -1, 2, 3, -1, -1, 4, 5, -1, -1, 6, 7,  //
        -1, -1, 8, 9, -1, -1, 10, 11, -1, -1, 12, 13, -1, -1, 14, 15);
    return _mm256_castsi256_ps(_mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128(bf16)), order));
  }
  // Rounded to bf16, in the low half of each lane.
  static __m256i Narrow(__m256 a) {
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i upper = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_srli_epi32(
        _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)),
                         odd),
        16);
    const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_blendv_epi8(rounded, quiet, nan);
  }

  static Vector Splat(float x) {
    return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
  }
  static Vector Load(const float* p) {
    return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
  }
  static Vector Load(const uint16_t* p) {
    const __m128i* vectors = reinterpret_cast<const __m128i*>(p);
    return {Widen(vectors), Widen(vectors + 1)};
  }
  static Vector LoadHalf(const uint16_t* p) {
    const __m128i* vectors = reinterpret_cast<const __m128i*>(p);
    return {_mm256_cvtph_ps(_mm_loadu_si128(vectors)),
            _mm256_cvtph_ps(_mm_loadu_si128(vectors + 1))};
  }
  template <typename T>
  static Vector LoadPart(const T* p, int64_t count) {
    T part[kLanes] = {};
    for (int64_t i = 0; i < count; ++i) part[i] = p[i];
    return Load(part);
  }
  static void Store(Vector a, float* p) {
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
  }
  static void StorePart(Vector a, int64_t count, float* p) {
    float part[kLanes];
    Store(a, part);
    for (int64_t i = 0; i < count; ++i) p[i] = part[i];
  }
  static void StoreBf16(Vector a, uint16_t* p) {
    // The pack works within 128-bit halves; the permutation puts them right.
    const __m256i packed = _mm256_packus_epi32(Narrow(a.low), Narrow(a.high));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm256_permute4x64_epi64(packed, 0xd8));
  }

  static Vector Add(Vector a, Vector b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static Vector Sub(Vector a, Vector b) {
    return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
  }
  static Vector Mul(Vector a, Vector b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  // a * b + c, rounded once.
  static Vector Fma(Vector a, Vector b, Vector c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low),
            _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  static Vector Div(Vector a, Vector b) {
    return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
  }
  // a > b ? a : b.
  static Vector Max(Vector a, Vector b) {
    return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
  }
  static float SquareRoot(float x) {
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x)));
  }

  static __m256 MulPowerOfTwo(__m256 p, __m256 k) {
    const __m256i exponent = _mm256_slli_epi32(
        _mm256_add_epi32(_mm256_cvtps_epi32(k), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(exponent));
  }
  // p * 2^k for integral k in -126 .. 127.
  static Vector MulPowerOfTwo(Vector p, Vector k) {
    return {MulPowerOfTwo(p.low, k.low), MulPowerOfTwo(p.high, k.high)};
  }
  static __m256 SelectRange(__m256 x, float least, float most, __m256 inside) {
    const __m256 above = _mm256_cmp_ps(x, _mm256_set1_ps(most), _CMP_GT_OQ);
    const __m256 below = _mm256_cmp_ps(x, _mm256_set1_ps(least), _CMP_LT_OQ);
    const __m256 capped =
        _mm256_blendv_ps(inside, _mm256_set1_ps(__builtin_inff()), above);
    return _mm256_andnot_ps(below, capped);
  }
  // 0 where x < least, infinity where x > most, else inside.
  static Vector SelectRange(Vector x, float least, float most, Vector inside) {
    return {SelectRange(x.low, least, most, inside.low),
            SelectRange(x.high, least, most, inside.high)};
  }

  static __m256 SelectBelow(__m256 x, float limit, __m256 below, __m256 other) {
    return _mm256_blendv_ps(
        other, below, _mm256_cmp_ps(x, _mm256_set1_ps(limit), _CMP_LT_OQ));
  }
  // x < limit ? below : other.
  static Vector SelectBelow(Vector x, float limit, Vector below, Vector other) {
    return {SelectBelow(x.low, limit, below.low, other.low),
            SelectBelow(x.high, limit, below.high, other.high)};
  }

  static __m256 RotatePairs(__m256 x, __m256 cos_sin) {
    const __m256 straight = _mm256_mul_ps(x, _mm256_moveldup_ps(cos_sin));
    const __m256 crossed =
        _mm256_mul_ps(_mm256_permute_ps(x, 0xb1), _mm256_movehdup_ps(cos_sin));
    return _mm256_addsub_ps(straight, crossed);
  }
  // (a, b) -> (a * cos - b * sin, b * cos + a * sin) of each pair.
  static Vector RotatePairs(Vector x, Vector cos_sin) {
    return {RotatePairs(x.low, cos_sin.low), RotatePairs(x.high, cos_sin.high)};
  }

  static float ReduceAdd(Vector a) {
    const __m256 eight = _mm256_add_ps(a.low, a.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight),
                                   _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static float ReduceMax(Vector a) {
    const __m256 eight = _mm256_max_ps(a.high, a.low);
    const __m128 four = _mm_max_ps(_mm256_extractf128_ps(eight, 1),
                                   _mm256_castps256_ps128(eight));
    const __m128 two = _mm_max_ps(_mm_movehl_ps(four, four), four);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(two), two));
  }
};

}  // namespace

const KernelTable kAvx2Kernels =
    MakeKernelTable<Vector, Rounding, Tile<Group4>, Tile<Group8>,
                    Tile<Group8Minimum>, Tile<Super4>, Tile<Super4Table>,
                    Tile<Super8>, Tile<Super8Zero>>();

}  // namespace tandem
