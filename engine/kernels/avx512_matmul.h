// The matmuls over quantised forms and the quantisers of their inputs for
// AVX-512 F, BW, DQ, VL and VNNI. A part of avx512.cc, which is compiled for
// them: everything lies in its unnamed namespace.

#ifndef TANDEM_ENGINE_KERNELS_AVX512_MATMUL_H_
#define TANDEM_ENGINE_KERNELS_AVX512_MATMUL_H_

#include <immintrin.h>

#include <cstdint>

#include "engine/kernels/float_math.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/vector_kernels.h"

namespace tandem {
namespace {

// Outputs of one vector, and the vectors of a tile.
constexpr int kHalfOutputs = 16;
constexpr int kHalves = kTileOutputs / kHalfOutputs;
constexpr int kWordBytes = 4 * kTileOutputs;  // one word of every lane

// The 4 bytes at `p` in every lane.
__m512i Broadcast(const void* p) {
  int32_t value;
  __builtin_memcpy(&value, p, sizeof(value));
  return _mm512_set1_epi32(value);
}

__m256i LoadHalf(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// How the values of one block are rounded to int8 (float_math.h).
struct Rounding {
  float scale;
  __mmask16 keep;
  __m512 inverse;

  template <int kCount>
  static Rounding Of(const float* x) {
    const __m512i mask = _mm512_set1_epi32(kMagnitudeMask);
    __m512i magnitudes = _mm512_setzero_si512();
    for (int i = 0; i < kCount; i += 16) {
      magnitudes = _mm512_max_epu32(
          magnitudes,
          _mm512_and_si512(_mm512_castps_si512(_mm512_loadu_ps(x + i)), mask));
    }
    const uint32_t magnitude = _mm512_reduce_max_epu32(magnitudes);
    const float largest = _mm_cvtss_f32(
        _mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(magnitude))));
    const bool poisoned = magnitude >= kInfinityBits;
    const bool usable = !poisoned && largest >= kQuantizeMin;
    return {.scale = usable     ? largest / kQuantizeMax
                     : poisoned ? __builtin_nanf("")
                                : 0.0f,
            .keep = static_cast<__mmask16>(usable ? 0xffff : 0),
            .inverse = _mm512_set1_ps(kQuantizeMax / largest)};
  }

  // The conversion rounds to nearest even, as the team's MXCSR says.
  template <int kCount>
  int32_t Store(const float* x, int8_t* out) const {
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < kCount; i += 16) {
      __m512i values = _mm512_maskz_cvtps_epi32(
          keep, _mm512_mul_ps(_mm512_loadu_ps(x + i), inverse));
      values =
          _mm512_max_epi32(_mm512_min_epi32(values, _mm512_set1_epi32(127)),
                           _mm512_set1_epi32(-127));
      _mm_store_si128(reinterpret_cast<__m128i*>(out + i),
                      _mm512_cvtepi32_epi8(values));
      sum = _mm512_add_epi32(sum, values);
    }
    return _mm512_reduce_add_epi32(sum);
  }
};

// How the unsigned codes of words 2i and 2i + 1 are had for the 16 lanes of one
// half.
struct Nibbles {
  static void LoadWords(const uint8_t* codes, int i, int half, __m512i* words) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i bytes = _mm512_load_si512(codes + kWordBytes * i + 64 * half);
    words[0] = _mm512_and_si512(bytes, nibble);
    words[1] = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
  }
};

struct Bytes {
  static void LoadWords(const uint8_t* codes, int i, int half, __m512i* words) {
    codes += 2 * kWordBytes * i + 64 * half;
    words[0] = _mm512_load_si512(codes);
    words[1] = _mm512_load_si512(codes + kWordBytes);
  }
};

// The forms of groups: where dot products of unsigned codes start, which takes
// the zero point off.
struct Group4 : Nibbles {
  using Input = ActivationGroup;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::k4Bit>;
  static __m512i Start(const ActivationGroup& x, int row) {
    return _mm512_set1_epi32(x.start4[row]);
  }
};
struct Group8 : Bytes {
  using Input = ActivationGroup;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::k8Bit>;
  static __m512i Start(const ActivationGroup& x, int row) {
    return _mm512_set1_epi32(x.start8[row]);
  }
};
struct Group8Minimum : Bytes {
  using Input = ActivationGroup;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::k8BitMinimum>;
  static __m512i Start(const ActivationGroup&, int) {
    return _mm512_setzero_si512();
  }
};

// The forms of super-blocks. An integer weight is its code minus 2^kZeroShift,
// or the code itself where that is -1. Where kNarrow, dot products start at
// starts32 and fit 16 bits: the multiply-add of 16-bit pairs is one operation
// where a 32-bit product and a sum are three on Intel's cores.
struct Super4 : Nibbles {
  using Input = ActivationSuperBlock;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::kSuper4>;
  static constexpr int kZeroShift = -1;
  static constexpr bool kNarrow = true;
};
struct Super4Table {
  using Input = ActivationSuperBlock;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::kSuper4Table>;
  static constexpr int kZeroShift = 7;
  static constexpr bool kNarrow = false;
  static void LoadWords(const uint8_t* codes, int i, int half, __m512i* words) {
    const __m512i table = _mm512_xor_si512(
        _mm512_broadcast_i32x4(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(kSuper4Values))),
        _mm512_set1_epi8(static_cast<char>(0x80)));
    Nibbles::LoadWords(codes, i, half, words);
    words[0] = _mm512_shuffle_epi8(table, words[0]);
    words[1] = _mm512_shuffle_epi8(table, words[1]);
  }
};
struct Super8 : Bytes {
  using Input = ActivationSuperBlock;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::kSuper8>;
  static constexpr int kZeroShift = -1;
  static constexpr bool kNarrow = false;
};
struct Super8Zero : Bytes {
  using Input = ActivationSuperBlock;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::kSuper8Zero>;
  static constexpr int kZeroShift = 5;
  static constexpr bool kNarrow = false;
};
static_assert(kSuper8ZeroPoint == 1 << Super8Zero::kZeroShift);

template <int kRows>
using Dots = __m512i[kRows][kHalves];

// `dots` gains the dot products of one group of kInputs codes with the values
// of kRows rows. The halves share each broadcast word of x: with one of them
// the loads, two a cycle, would be what limits it. All rows at once: for 8 of
// them the dot products fill half of the registers and the sums live in the
// first-level cache, which costs less than unpacking the codes twice (187
// against 174 GMAC/s a core).
template <typename Form, int kInputs, int kRows>
inline __attribute__((always_inline)) void AddDots(const uint8_t* codes,
                                                   const int8_t* const* values,
                                                   Dots<kRows>& dots) {
  for (int i = 0; i < kInputs / 8; ++i) {
    __m512i words[kHalves][2];
    for (int half = 0; half < kHalves; ++half) {
      Form::LoadWords(codes, i, half, words[half]);
    }
    for (int row = 0; row < kRows; ++row) {
      for (int word = 0; word < 2; ++word) {
        const __m512i x = Broadcast(values[row] + 8 * i + 4 * word);
        for (int half = 0; half < kHalves; ++half) {
          dots[row][half] =
              _mm512_dpbusd_epi32(dots[row][half], words[half][word], x);
        }
      }
    }
  }
}

template <int kRows>
using TileSums = __m512[kRows][kHalves];

// sums += float(dots) * (the fp16 at `halves` * factors[row]).
template <int kRows>
inline __attribute__((always_inline)) void AddScaled(const uint8_t* halves,
                                                     const float* factors,
                                                     const Dots<kRows>& dots,
                                                     TileSums<kRows>& sums) {
  for (int half = 0; half < kHalves; ++half) {
    const __m512 scales =
        _mm512_cvtph_ps(LoadHalf(halves + 2 * kHalfOutputs * half));
    for (int row = 0; row < kRows; ++row) {
      sums[row][half] = _mm512_fmadd_ps(
          _mm512_cvtepi32_ps(dots[row][half]),
          _mm512_mul_ps(scales, _mm512_set1_ps(factors[row])), sums[row][half]);
    }
  }
}

// The group at `group` of a tile times kRows rows.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void MultiplyBlock(
    const uint8_t* group, const ActivationGroup& x, TileSums<kRows>& sums) {
  constexpr BlockLayout kLayout = Form::kLayout;
  PrefetchAhead(group, kLayout.bytes);
  const int8_t* values[kRows];
  Dots<kRows> dots;
  for (int row = 0; row < kRows; ++row) {
    values[row] = x.values[row];
    for (__m512i& dot : dots[row]) dot = Form::Start(x, row);
  }
  AddDots<Form, kGroupInputs, kRows>(group, values, dots);
  AddScaled<kRows>(group + kLayout.scale, x.scales, dots, sums);
  if constexpr (kLayout.minimum != 0) {
    for (int row = 0; row < kRows; ++row) {
      for (__m512i& values_sum : dots[row]) {
        values_sum = _mm512_set1_epi32(x.start4[row] / -kPacked4Zero);
      }
    }
    AddScaled<kRows>(group + kLayout.minimum, x.scales, dots, sums);
  }
}

// Integers of two neighbouring groups for the 16 lanes of one half: a pair of
// 16-bit numbers in each lane.
__m512i LoadPairs(const uint8_t* integers, int pair, int half) {
  return _mm512_cvtepi8_epi16(
      LoadHalf(integers + 2 * kTileOutputs * pair + 2 * kHalfOutputs * half));
}

// Number `which` of each pair as 32 bits.
__m512i Widen(__m512i pairs, int which) {
  return _mm512_srai_epi32(which == 0 ? _mm512_slli_epi32(pairs, 16) : pairs,
                           16);
}

// Number `which` of each pair in the low half, 0 in the high one.
__m512i Low(__m512i pairs, int which) {
  return which == 0 ? _mm512_and_si512(pairs, _mm512_set1_epi32(0xffff))
                    : _mm512_srli_epi32(pairs, 16);
}

// Group `group` of a super-block: `totals` gains its dot products times its
// scales, of which `pairs` holds those of this and of the neighbouring group.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void AddGroup(
    const uint8_t* block, int group, const ActivationSuperBlock& x,
    const __m512i* pairs, Dots<kRows>& totals) {
  constexpr BlockLayout kLayout = Form::kLayout;
  constexpr int kGroupBytes = kLayout.CodeBytes(kLayout.group_inputs);
  const int8_t* values[kRows];
  Dots<kRows> dots;
  for (int row = 0; row < kRows; ++row) {
    values[row] = x.values[row] + group * kLayout.group_inputs;
    for (__m512i& dot : dots[row]) {
      dot = Form::kNarrow ? Broadcast(&x.starts32[row][group])
                          : _mm512_setzero_si512();
    }
  }
  AddDots<Form, kLayout.group_inputs, kRows>(
      block + kLayout.codes + group * kGroupBytes, values, dots);
  for (int half = 0; half < kHalves; ++half) {
    if constexpr (Form::kNarrow) {
      const __m512i scales = Low(pairs[half], group % 2);
      for (int row = 0; row < kRows; ++row) {
        totals[row][half] =
            _mm512_dpwssd_epi32(totals[row][half], dots[row][half], scales);
      }
    } else {
      const __m512i scales = Widen(pairs[half], group % 2);
      for (int row = 0; row < kRows; ++row) {
        totals[row][half] = _mm512_add_epi32(
            totals[row][half], _mm512_mullo_epi32(dots[row][half], scales));
      }
    }
  }
}

// What the sums of x in two neighbouring groups add: to `offsets` their
// products with the minimums or, in a form with a zero point, the scales; to
// narrow totals what the dot products lack by their start.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void AddOffsets(
    const uint8_t* block, int pair, const ActivationSuperBlock& x,
    const __m512i* pairs, Dots<kRows>& totals, Dots<kRows>& offsets) {
  constexpr BlockLayout kLayout = Form::kLayout;
  for (int half = 0; half < kHalves; ++half) {
    const __m512i factors =
        kLayout.minimums != 0 ? LoadPairs(block + kLayout.minimums, pair, half)
                              : pairs[half];
    // Scales of 6 bits times 8: 504.
    const __m512i eightfold = _mm512_slli_epi16(pairs[half], 3);
    for (int row = 0; row < kRows; ++row) {
      const int16_t* sums =
          kLayout.group_inputs == 32 ? x.sums32[row] : x.sums16[row];
      const __m512i both = Broadcast(sums + 2 * pair);
      offsets[row][half] =
          _mm512_dpwssd_epi32(offsets[row][half], factors, both);
      if constexpr (Form::kNarrow) {
        totals[row][half] =
            _mm512_dpwssd_epi32(totals[row][half], eightfold, both);
      }
    }
  }
}

// The super-block at `block` of a tile times kRows rows.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void MultiplyBlock(
    const uint8_t* block, const ActivationSuperBlock& x,
    TileSums<kRows>& sums) {
  constexpr BlockLayout kLayout = Form::kLayout;
  constexpr int kPairs = kSuperInputs / kLayout.group_inputs / 2;
  constexpr int kStepBytes = kLayout.bytes / kPairs;
  Dots<kRows> totals;
  Dots<kRows> offsets;
  for (int row = 0; row < kRows; ++row) {
    for (int half = 0; half < kHalves; ++half) {
      totals[row][half] = _mm512_setzero_si512();
      offsets[row][half] = _mm512_setzero_si512();
    }
  }
  for (int pair = 0; pair < kPairs; ++pair) {
    PrefetchAhead(block + pair * kStepBytes, kStepBytes);
    __m512i pairs[kHalves];
    for (int half = 0; half < kHalves; ++half) {
      pairs[half] = LoadPairs(block + kLayout.scales, pair, half);
    }
    AddGroup<Form, kRows>(block, 2 * pair, x, pairs, totals);
    AddGroup<Form, kRows>(block, 2 * pair + 1, x, pairs, totals);
    AddOffsets<Form, kRows>(block, pair, x, pairs, totals, offsets);
  }
  if constexpr (Form::kZeroShift >= 0) {
    for (int row = 0; row < kRows; ++row) {
      for (int half = 0; half < kHalves; ++half) {
        totals[row][half] = _mm512_sub_epi32(
            totals[row][half],
            _mm512_slli_epi32(offsets[row][half], Form::kZeroShift));
      }
    }
  }
  AddScaled<kRows>(block + kLayout.scale, x.scales, totals, sums);
  if constexpr (kLayout.minimums != 0) {
    float factors[kRows];
    for (int row = 0; row < kRows; ++row) factors[row] = -x.scales[row];
    AddScaled<kRows>(block + kLayout.minimum, factors, offsets, sums);
  }
}

template <typename Form>
struct Tile {
  static constexpr int kRowsAtOnce = kRowBlock;
  static constexpr int kBlockBytes = Form::kLayout.bytes;

  template <int kRows>
  static __attribute__((noinline)) void MultiplyRows(const MatmulCall& call,
                                                     const uint8_t* tile,
                                                     int64_t first_row,
                                                     int64_t output) {
    const auto* input = static_cast<const typename Form::Input*>(call.input) +
                        first_row / kRowBlock * call.blocks;
    TileSums<kRows> sums;
    for (int row = 0; row < kRows; ++row) {
      for (__m512& sum : sums[row]) sum = _mm512_setzero_ps();
    }
    for (int64_t b = 0; b < call.blocks; ++b) {
      MultiplyBlock<Form, kRows>(tile + b * kBlockBytes, input[b], sums);
    }
    for (int half = 0; half < kHalves; ++half) {
      const int64_t left = call.outputs - output - half * kHalfOutputs;
      if (left <= 0) break;
      const __mmask16 mask = left < kHalfOutputs
                                 ? static_cast<__mmask16>((1u << left) - 1)
                                 : 0xffff;
      float* y =
          call.y + first_row * call.y_stride + output + half * kHalfOutputs;
      for (int row = 0; row < kRows; ++row, y += call.y_stride) {
        _mm512_mask_storeu_ps(y, mask, sums[row][half]);
      }
    }
  }
};

}  // namespace
}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_AVX512_MATMUL_H_
