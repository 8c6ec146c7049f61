// The kernels for AVX-512 F, BW, DQ, VL and VNNI. Compiled for them, so it
// includes intrinsics and kernel-local headers only.

#include <immintrin.h>

#include <cstdint>

#include "engine/kernels/avx512_matmul.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/vector_kernels.h"

namespace tandem {
namespace {

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

}  // namespace

const KernelTable kAvx512Kernels =
    MakeKernelTable<Vector, Rounding, Tile<Group4>, Tile<Group8>,
                    Tile<Group8Minimum>, Tile<Super4>, Tile<Super4Table>,
                    Tile<Super8>, Tile<Super8Zero>>();

}  // namespace tandem
