// Stands in for the compiler's <immintrin.h> where the AVX-512 kernels are
// compiled for any x86-64 machine, so that their bits are tested where no
// AVX-512 is: SIMDe carries the intrinsics out, in the SSE2 that every such
// machine has. What SIMDe 0.7.4 lacks, or rounds differently from the hardware
// (fused multiply-adds), is supplied here from Intel's public description of
// the intrinsic, lane by lane.
//
// An intrinsic that is in neither place does not compile: add it below.

#ifndef TANDEM_TESTS_ENGINE_KERNELS_EMULATED_IMMINTRIN_H_
#define TANDEM_TESTS_ENGINE_KERNELS_EMULATED_IMMINTRIN_H_

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>

#include <cstdint>

namespace tandem_emulated {

// a * b + c of each lane, rounded once.
inline simde__m512 FusedMultiplyAdd(simde__m512 a, simde__m512 b,
                                    simde__m512 c) {
  const auto x = simde__m512_to_private(a);
  const auto y = simde__m512_to_private(b);
  auto z = simde__m512_to_private(c);
  for (int lane = 0; lane < 16; ++lane) {
    z.f32[lane] = __builtin_fmaf(x.f32[lane], y.f32[lane], z.f32[lane]);
  }
  return simde__m512_from_private(z);
}

// Conversions go through SSE2, which rounds as AVX-512 does, out of range too.
inline simde__m512i FloatToInt(simde__m512 a) {
  const auto x = simde__m512_to_private(a);
  simde__m512i_private result;
  for (int quarter = 0; quarter < 4; ++quarter) {
    result.m128i[quarter] = simde_mm_cvtps_epi32(x.m128[quarter]);
  }
  return simde__m512i_from_private(result);
}

inline simde__m512 IntToFloat(simde__m512i a) {
  const auto x = simde__m512i_to_private(a);
  simde__m512_private result;
  for (int quarter = 0; quarter < 4; ++quarter) {
    result.m128[quarter] = simde_mm_cvtepi32_ps(x.m128i[quarter]);
  }
  return simde__m512_from_private(result);
}

inline simde__m512 HalfToFloat(simde__m256i a) {
  const auto x = simde__m256i_to_private(a);
  simde__m512_private result;
  for (int half = 0; half < 2; ++half) {
    result.m256[half] = simde_mm256_cvtph_ps(x.m128i[half]);
  }
  return simde__m512_from_private(result);
}

// The low bits of each 32-bit lane.
inline simde__m256i TruncateTo16(simde__m512i a) {
  const auto x = simde__m512i_to_private(a);
  simde__m256i_private result;
  for (int lane = 0; lane < 16; ++lane) {
    result.u16[lane] = static_cast<uint16_t>(x.u32[lane]);
  }
  return simde__m256i_from_private(result);
}

inline simde__m128i TruncateTo8(simde__m512i a) {
  const auto x = simde__m512i_to_private(a);
  simde__m128i_private result;
  for (int lane = 0; lane < 16; ++lane) {
    result.u8[lane] = static_cast<uint8_t>(x.u32[lane]);
  }
  return simde__m128i_from_private(result);
}

inline simde__m512i WidenUnsigned16(simde__m256i a) {
  const auto x = simde__m256i_to_private(a);
  simde__m512i_private result;
  for (int lane = 0; lane < 16; ++lane) result.u32[lane] = x.u16[lane];
  return simde__m512i_from_private(result);
}

// The sign bit moves in.
inline simde__m512i ShiftRight32(simde__m512i a, int count) {
  const auto x = simde__m512i_to_private(a);
  simde__m512i_private result;
  for (int lane = 0; lane < 16; ++lane) result.i32[lane] = x.i32[lane] >> count;
  return simde__m512i_from_private(result);
}

inline simde__m256 Half(simde__m512 a, int half) {
  return simde__m512_to_private(a).m256[half];
}

// Lanes whose bit is not set are neither read nor written.
inline simde__m512 LoadMaskedFloats(uint32_t mask, const float* from) {
  simde__m512_private result = {};
  for (int lane = 0; lane < 16; ++lane) {
    if (mask >> lane & 1) result.f32[lane] = from[lane];
  }
  return simde__m512_from_private(result);
}

inline simde__m256i LoadMasked16(uint32_t mask, const void* from) {
  simde__m256i_private result = {};
  for (int lane = 0; lane < 16; ++lane) {
    if (mask >> lane & 1) {
      result.u16[lane] = static_cast<const uint16_t*>(from)[lane];
    }
  }
  return simde__m256i_from_private(result);
}

inline void StoreMaskedFloats(float* to, uint32_t mask, simde__m512 a) {
  const auto x = simde__m512_to_private(a);
  for (int lane = 0; lane < 16; ++lane) {
    if (mask >> lane & 1) to[lane] = x.f32[lane];
  }
}

// Lane i takes lane 4 * (i / 4) + (control >> 2 * (i % 4) & 3).
inline simde__m512 Permute(simde__m512 a, int control) {
  const auto x = simde__m512_to_private(a);
  simde__m512_private result;
  for (int lane = 0; lane < 16; ++lane) {
    const int from = control >> (2 * (lane % 4)) & 3;
    result.f32[lane] = x.f32[lane / 4 * 4 + from];
  }
  return simde__m512_from_private(result);
}

inline int32_t Sum(simde__m512i a) {
  const auto x = simde__m512i_to_private(a);
  uint32_t sum = 0;
  for (int lane = 0; lane < 16; ++lane) sum += x.u32[lane];
  return static_cast<int32_t>(sum);
}

inline uint32_t Largest(simde__m512i a) {
  const auto x = simde__m512i_to_private(a);
  uint32_t largest = 0;
  for (int lane = 0; lane < 16; ++lane) {
    if (x.u32[lane] > largest) largest = x.u32[lane];
  }
  return largest;
}

}  // namespace tandem_emulated

// SIMDe has no __mmask names of its own below AVX-512.
#if !defined(__mmask16)
#define __mmask8 simde__mmask8
#define __mmask16 simde__mmask16
#define __mmask32 simde__mmask32
#define __mmask64 simde__mmask64
#endif

// SIMDe multiplies and adds, rounding twice.
#undef _mm512_fmadd_ps
#define _mm512_fmadd_ps(a, b, c) tandem_emulated::FusedMultiplyAdd(a, b, c)

// What SIMDe 0.7.4 has not. A later SIMDe's own is passed over, so that every
// machine runs the same.
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(a) tandem_emulated::FloatToInt(a)
#undef _mm512_maskz_cvtps_epi32
#define _mm512_maskz_cvtps_epi32(mask, a) \
  simde_mm512_maskz_mov_epi32(mask, tandem_emulated::FloatToInt(a))
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(a) tandem_emulated::IntToFloat(a)
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps(a) tandem_emulated::HalfToFloat(a)
#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16(a) tandem_emulated::TruncateTo16(a)
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8(a) tandem_emulated::TruncateTo8(a)
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(a) tandem_emulated::WidenUnsigned16(a)
#undef _mm512_srai_epi32
#define _mm512_srai_epi32(a, count) tandem_emulated::ShiftRight32(a, count)
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(a, half) tandem_emulated::Half(a, half)
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps(mask, from) \
  tandem_emulated::LoadMaskedFloats(mask, from)
#undef _mm256_maskz_loadu_epi16
#define _mm256_maskz_loadu_epi16(mask, from) \
  tandem_emulated::LoadMasked16(mask, from)
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps(to, mask, a) \
  tandem_emulated::StoreMaskedFloats(to, mask, a)
#undef _mm512_moveldup_ps
#define _mm512_moveldup_ps(a) tandem_emulated::Permute(a, 0xa0)
#undef _mm512_movehdup_ps
#define _mm512_movehdup_ps(a) tandem_emulated::Permute(a, 0xf5)
#undef _mm512_permute_ps
#define _mm512_permute_ps(a, control) tandem_emulated::Permute(a, control)
#undef _mm512_reduce_add_epi32
#define _mm512_reduce_add_epi32(a) tandem_emulated::Sum(a)
#undef _mm512_reduce_max_epu32
#define _mm512_reduce_max_epu32(a) tandem_emulated::Largest(a)

#endif  // TANDEM_TESTS_ENGINE_KERNELS_EMULATED_IMMINTRIN_H_
