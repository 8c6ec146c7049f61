// The matmuls over quantised forms and the quantisers of their inputs for AVX2,
// FMA and F16C. A part of avx2.cc, which is compiled for them: everything lies
// in its unnamed namespace.

#ifndef TANDEM_ENGINE_KERNELS_AVX2_MATMUL_H_
#define TANDEM_ENGINE_KERNELS_AVX2_MATMUL_H_

#include <immintrin.h>

#include <cstdint>

#include "engine/kernels/float_math.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/vector_kernels.h"

namespace tandem {
namespace {

constexpr int kRegisterLanes = 8;
constexpr int kTileRegisters = kTileOutputs / kRegisterLanes;
constexpr int kWordBytes = 4 * kTileOutputs;  // one word of every lane

__m128i LoadHalf(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}

__m256i LoadBytes(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// The 4 bytes at `p` in every lane.
__m256i Broadcast(const void* p) {
  int32_t value;
  __builtin_memcpy(&value, p, sizeof(value));
  return _mm256_set1_epi32(value);
}

// Keeps `v` in a register at this point, and loads where they stand. Left to
// itself GCC makes all the products of a group first, stores them, and moves
// broadcasts out of loops onto the stack: 20 GMAC/s a core instead of 28 (Zen
// 1, 4 rows).
inline __attribute__((always_inline)) void Hold(__m256i& v) {
  __asm__ volatile("" : "+x"(v) : : "memory");
}

// The largest of the 8 integers, or their sum.
int32_t ReduceMax(__m256i a) {
  __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtsi128_si32(four);
}
int32_t ReduceAdd(__m256i a) {
  __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtsi128_si32(four);
}

// How the values of one block are rounded to int8 (float_math.h).
struct Rounding {
  bool usable;
  float scale;
  __m256 inverse;

  // Magnitudes as bits: non-negative floats order like them, also as signed
  // integers.
  template <int kCount>
  static Rounding Of(const float* x) {
    const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(kMagnitudeMask));
    __m256i magnitudes = _mm256_setzero_si256();
    for (int i = 0; i < kCount; i += kRegisterLanes) {
      magnitudes = _mm256_max_epi32(
          magnitudes,
          _mm256_castps_si256(_mm256_and_ps(_mm256_loadu_ps(x + i), mask)));
    }
    const int32_t bits = ReduceMax(magnitudes);
    const float largest =
        _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(bits)));
    const bool poisoned = static_cast<uint32_t>(bits) >= kInfinityBits;
    const bool usable = !poisoned && largest >= kQuantizeMin;
    return {.usable = usable,
            .scale = usable     ? largest / kQuantizeMax
                     : poisoned ? __builtin_nanf("")
                                : 0.0f,
            .inverse = _mm256_set1_ps(usable ? kQuantizeMax / largest : 0.0f)};
  }

  // 8 floats to integers in -127 .. 127. The conversion rounds to nearest even,
  // as the team's MXCSR says.
  __m256i Round(const float* x) const {
    if (!usable) return _mm256_setzero_si256();
    const __m256i rounded =
        _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
    return _mm256_max_epi32(_mm256_min_epi32(rounded, _mm256_set1_epi32(127)),
                            _mm256_set1_epi32(-127));
  }

  template <int kCount>
  int32_t Store(const float* x, int8_t* out) const {
    __m256i sum = _mm256_setzero_si256();
    for (int i = 0; i < kCount; i += 16) {
      const __m256i low = Round(x + i);
      const __m256i high = Round(x + i + 8);
      // The packs work within 128-bit halves; the permutation puts words right.
      const __m256i words = _mm256_packs_epi32(low, high);
      const __m256i bytes = _mm256_packs_epi16(words, words);
      const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
      _mm_storeu_si128(
          reinterpret_cast<__m128i*>(out + i),
          _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(bytes, order)));
      sum = _mm256_add_epi32(sum, _mm256_add_epi32(low, high));
    }
    return ReduceAdd(sum);
  }
};

// How codes are had and multiplied. LoadWords gives words 2i and 2i + 1 of the
// 8 lanes of one register; Products the 16-bit sums of two products each with a
// word of x; kWordsPerSum of them are added before they are widened by the
// product with the scale. Nothing saturates: values of x are at most 127, and
// the bound of the largest sum stands at each form (32767 is the most).

// Codes to 15: 8 words, 15 * 127 * 16 = 30480.
struct Nibbles {
  static constexpr int kWordsPerSum = 8;
  static void LoadWords(const uint8_t* codes, int i, int reg, __m256i* words) {
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i bytes = LoadBytes(codes + kWordBytes * i + 32 * reg);
    words[0] = _mm256_and_si256(bytes, nibble);
    words[1] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
  }
  static __m256i Products(__m256i words, __m256i x) {
    return _mm256_maddubs_epi16(words, x);
  }
};

// Codes to 31: 4 words, 31 * 127 * 8 = 31496.
struct Bytes {
  static constexpr int kWordsPerSum = 4;
  static void LoadWords(const uint8_t* codes, int i, int reg, __m256i* words) {
    codes += 2 * kWordBytes * i + 32 * reg;
    words[0] = LoadBytes(codes);
    words[1] = LoadBytes(codes + kWordBytes);
  }
  static __m256i Products(__m256i words, __m256i x) {
    return _mm256_maddubs_epi16(words, x);
  }
};

template <int kRows, int kRegisters>
using Dots = __m256i[kRows][kRegisters];

// Adds to `totals` the products of one group of `kInputs` codes, times the
// scales (both 16-bit halves of each lane). The registers share each broadcast
// word of x.
template <typename Form, int kInputs, int kRows, int kRegisters>
inline __attribute__((always_inline)) void MultiplyGroup(
    const uint8_t* codes, const int8_t* const* values, const __m256i* scales,
    Dots<kRows, kRegisters>& totals) {
  constexpr bool kWiden = Form::kWordsPerSum == 1;
  constexpr int kPairs = kInputs / 8;
  constexpr int kPairsPerSum = kWiden ? 1 : Form::kWordsPerSum / 2;
  static_assert(kPairs % kPairsPerSum == 0);
  for (int begin = 0; begin < kPairs; begin += kPairsPerSum) {
    Dots<kRows, kRegisters> sums;
    for (int row = 0; row < kRows; ++row) {
      for (__m256i& sum : sums[row]) sum = _mm256_setzero_si256();
    }
    for (int i = begin; i < begin + kPairsPerSum; ++i) {
      __m256i words[kRegisters][2];
      for (int reg = 0; reg < kRegisters; ++reg) {
        Form::LoadWords(codes, i, reg, words[reg]);
      }
      for (int row = 0; row < kRows; ++row) {
        const __m256i first = Broadcast(values[row] + 8 * i);
        const __m256i second = Broadcast(values[row] + 8 * i + 4);
        for (int reg = 0; reg < kRegisters; ++reg) {
          const __m256i a = Form::Products(words[reg][0], first);
          const __m256i b = Form::Products(words[reg][1], second);
          if constexpr (kWiden) {
            const __m256i both =
                _mm256_add_epi32(_mm256_madd_epi16(a, scales[reg]),
                                 _mm256_madd_epi16(b, scales[reg]));
            totals[row][reg] = _mm256_add_epi32(totals[row][reg], both);
          } else {
            sums[row][reg] =
                _mm256_add_epi16(sums[row][reg], _mm256_add_epi16(a, b));
          }
        }
        for (int reg = 0; reg < kRegisters; ++reg) {
          Hold(kWiden ? totals[row][reg] : sums[row][reg]);
        }
      }
    }
    if constexpr (kWiden) continue;
    for (int row = 0; row < kRows; ++row) {
      for (int reg = 0; reg < kRegisters; ++reg) {
        totals[row][reg] = _mm256_add_epi32(
            totals[row][reg], _mm256_madd_epi16(sums[row][reg], scales[reg]));
      }
    }
  }
}

// The sums of a tile.
template <int kRows>
using TileSums = __m256[kRows][kTileRegisters];

// sums += float(dots) * (the fp16 at `halves` * factors[row]), for the
// registers from `part` on; `halves` are those of the whole tile.
template <int kRows, int kRegisters>
inline __attribute__((always_inline)) void AddScaled(
    const uint8_t* halves, int part, const float* factors,
    const Dots<kRows, kRegisters>& dots, TileSums<kRows>& sums) {
  for (int reg = 0; reg < kRegisters; ++reg) {
    const __m256 scales =
        _mm256_cvtph_ps(LoadHalf(halves + 2 * kRegisterLanes * (part + reg)));
    for (int row = 0; row < kRows; ++row) {
      sums[row][part + reg] =
          _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[row][reg]),
                          _mm256_mul_ps(scales, _mm256_set1_ps(factors[row])),
                          sums[row][part + reg]);
    }
  }
}

// The forms of groups. Multiply makes the dot products of kRegisters registers
// of a group whose codes begin at `codes`, and Start is added to them: it takes
// the zero point off.
template <typename Words>
struct UnsignedGroup {
  template <int kRows, int kRegisters>
  static inline __attribute__((always_inline)) void Multiply(
      const uint8_t* codes, const int8_t* const* values,
      Dots<kRows, kRegisters>& dots) {
    __m256i ones[kRegisters];
    for (__m256i& one : ones) one = _mm256_set1_epi16(1);
    MultiplyGroup<Words, kGroupInputs, kRows, kRegisters>(codes, values, ones,
                                                          dots);
  }
};

struct Group4 : UnsignedGroup<Nibbles> {
  using Input = ActivationGroup;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::k4Bit>;
  static __m256i Start(const ActivationGroup& x, int row) {
    return _mm256_set1_epi32(x.start4[row]);
  }
};
struct Group8Minimum : UnsignedGroup<Bytes> {
  using Input = ActivationGroup;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::k8BitMinimum>;
  static __m256i Start(const ActivationGroup&, int) {
    return _mm256_setzero_si256();
  }
};

// The weights are made signed again and their signs moved to the values, so
// that the unsigned operand is at most 128: a pair of products is at most
// 2 * 128 * 127 = 32512 and does not saturate. (Codes up to 255 would.) A word
// at a time, since magnitudes and signs take two registers.
struct Group8 {
  using Input = ActivationGroup;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::k8Bit>;
  static __m256i Start(const ActivationGroup&, int) {
    return _mm256_setzero_si256();
  }
  template <int kRows, int kRegisters>
  static inline __attribute__((always_inline)) void Multiply(
      const uint8_t* codes, const int8_t* const* values,
      Dots<kRows, kRegisters>& dots) {
    const __m256i zero_point = _mm256_set1_epi8(static_cast<char>(0x80));
    const __m256i ones = _mm256_set1_epi16(1);
    for (int word = 0; word < kGroupInputs / 4; ++word) {
      __m256i weights[kRegisters];
      __m256i magnitudes[kRegisters];
      for (int reg = 0; reg < kRegisters; ++reg) {
        weights[reg] = _mm256_xor_si256(
            LoadBytes(codes + kWordBytes * word + 32 * reg), zero_point);
        magnitudes[reg] = _mm256_abs_epi8(weights[reg]);
      }
      for (int row = 0; row < kRows; ++row) {
        const __m256i value = Broadcast(values[row] + 4 * word);
        for (int reg = 0; reg < kRegisters; ++reg) {
          const __m256i pairs = _mm256_maddubs_epi16(
              magnitudes[reg], _mm256_sign_epi8(value, weights[reg]));
          dots[row][reg] =
              _mm256_add_epi32(dots[row][reg], _mm256_madd_epi16(pairs, ones));
        }
        for (__m256i& dot : dots[row]) Hold(dot);
      }
    }
  }
};

// The group at `group` of a tile times rows first .. first + kRows - 1 of a
// block of rows, some registers at once: dot products, codes and values fit the
// 16 registers.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void MultiplyBlock(
    const uint8_t* group, const ActivationGroup& x, int first,
    TileSums<kRows>& sums) {
  constexpr BlockLayout kLayout = Form::kLayout;
  constexpr int kRegisters = kRows == 1 ? 4 : 2;
  PrefetchAhead(group, kLayout.bytes);
  const int8_t* values[kRows];
  for (int row = 0; row < kRows; ++row) values[row] = x.values[first + row];
  for (int part = 0; part < kTileRegisters; part += kRegisters) {
    Dots<kRows, kRegisters> dots;
    for (int row = 0; row < kRows; ++row) {
      for (__m256i& dot : dots[row]) dot = _mm256_setzero_si256();
    }
    Form::template Multiply<kRows, kRegisters>(group + 32 * part, values, dots);
    for (int row = 0; row < kRows; ++row) {
      const __m256i start = Form::Start(x, first + row);
      for (__m256i& dot : dots[row]) dot = _mm256_add_epi32(dot, start);
    }
    AddScaled<kRows, kRegisters>(group + kLayout.scale, part, x.scales + first,
                                 dots, sums);
    if constexpr (kLayout.minimum != 0) {
      for (int row = 0; row < kRows; ++row) {
        for (__m256i& values_sum : dots[row]) {
          values_sum = _mm256_set1_epi32(x.start4[first + row] / -kPacked4Zero);
        }
      }
      AddScaled<kRows, kRegisters>(group + kLayout.minimum, part,
                                   x.scales + first, dots, sums);
    }
  }
}

// The forms of super-blocks.
struct Super4 : Nibbles {
  using Input = ActivationSuperBlock;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::kSuper4>;
};
// Values in -127 .. 113, whose signs are moved to x: 1 word, 127 * 127 * 2 =
// 32258.
struct Super4Table {
  using Input = ActivationSuperBlock;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::kSuper4Table>;
  static constexpr int kWordsPerSum = 1;
  static void LoadWords(const uint8_t* codes, int i, int reg, __m256i* words) {
    const __m256i table = _mm256_broadcastsi128_si256(LoadHalf(kSuper4Values));
    Nibbles::LoadWords(codes, i, reg, words);
    words[0] = _mm256_shuffle_epi8(table, words[0]);
    words[1] = _mm256_shuffle_epi8(table, words[1]);
  }
  static __m256i Products(__m256i words, __m256i x) {
    return _mm256_maddubs_epi16(_mm256_abs_epi8(words),
                                _mm256_sign_epi8(x, words));
  }
};
struct Super8 : Bytes {
  using Input = ActivationSuperBlock;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::kSuper8>;
};
// Codes to 63: 2 words, 63 * 127 * 4 = 32004.
struct Super8Zero : Bytes {
  using Input = ActivationSuperBlock;
  static constexpr BlockLayout kLayout = kLayoutOf<PackedForm::kSuper8Zero>;
  static constexpr int kWordsPerSum = 2;
};

// A tile of super-blocks is multiplied in parts of two registers: more sums at
// a time do not fit the 16 registers.
constexpr int kPartRegisters = 2;
constexpr int kParts = kTileRegisters / kPartRegisters;
template <int kRows>
using PartDots = Dots<kRows, kPartRegisters>;

// Integers of two neighbouring groups for the 8 lanes of one register: a pair
// of 16-bit numbers in each lane.
__m256i LoadPairs(const uint8_t* integers, int pair, int reg) {
  return _mm256_cvtepi8_epi16(
      LoadHalf(integers + 2 * kTileOutputs * pair + 2 * kRegisterLanes * reg));
}

// Number `which` of each pair in both places.
__m256i Both(__m256i pairs, int which) {
  const __m256i order = _mm256_add_epi8(
      _mm256_set1_epi8(static_cast<char>(2 * which)),
      _mm256_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13, 0, 1,
                       0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));
  return _mm256_shuffle_epi8(pairs, order);
}

// What two neighbouring groups add to the sums of x times the minimums or, in
// the form with a zero point, the scales.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void AddOffsets(
    const uint8_t* block, int pair, int part, const ActivationSuperBlock& x,
    int first, PartDots<kRows>& offsets) {
  constexpr BlockLayout kLayout = Form::kLayout;
  constexpr int kFactors =
      kLayout.minimums != 0 ? kLayout.minimums : kLayout.scales;
  for (int reg = 0; reg < kPartRegisters; ++reg) {
    const __m256i factors = LoadPairs(block + kFactors, pair, part + reg);
    for (int row = 0; row < kRows; ++row) {
      const int16_t* sums = kLayout.group_inputs == 32 ? x.sums32[first + row]
                                                       : x.sums16[first + row];
      offsets[row][reg] = _mm256_add_epi32(
          offsets[row][reg],
          _mm256_madd_epi16(factors, Broadcast(sums + 2 * pair)));
    }
  }
}

// The registers from `part` on of the super-block at `block` times rows first
// .. first + kRows - 1.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void MultiplyPart(
    const uint8_t* block, int part, const ActivationSuperBlock& x, int first,
    TileSums<kRows>& sums) {
  constexpr BlockLayout kLayout = Form::kLayout;
  constexpr int kPairs = kSuperInputs / kLayout.group_inputs / 2;
  constexpr int kStepBytes = kLayout.bytes / (kPairs * kParts);
  constexpr int kGroupBytes = kLayout.CodeBytes(kLayout.group_inputs);
  PartDots<kRows> totals;
  PartDots<kRows> offsets;  // sums of the minimums or the scales times x
  for (int row = 0; row < kRows; ++row) {
    for (int reg = 0; reg < kPartRegisters; ++reg) {
      totals[row][reg] = _mm256_setzero_si256();
      offsets[row][reg] = _mm256_setzero_si256();
    }
  }
  for (int pair = 0; pair < kPairs; ++pair) {
    PrefetchAhead(block + (part / kPartRegisters * kPairs + pair) * kStepBytes,
                  kStepBytes);
    __m256i pairs[kPartRegisters];
    for (int reg = 0; reg < kPartRegisters; ++reg) {
      pairs[reg] = LoadPairs(block + kLayout.scales, pair, part + reg);
    }
    for (int which = 0; which < 2; ++which) {
      const int group = 2 * pair + which;
      const int8_t* values[kRows];
      for (int row = 0; row < kRows; ++row) {
        values[row] = x.values[first + row] + group * kLayout.group_inputs;
      }
      const __m256i scales[kPartRegisters] = {Both(pairs[0], which),
                                              Both(pairs[1], which)};
      MultiplyGroup<Form, kLayout.group_inputs, kRows, kPartRegisters>(
          block + kLayout.codes + group * kGroupBytes + 32 * part, values,
          scales, totals);
    }
    // The signed values of the table need no offset.
    if constexpr (Form::kWordsPerSum != 1) {
      AddOffsets<Form, kRows>(block, pair, part, x, first, offsets);
    }
  }
  if constexpr (kLayout.minimums == 0 && Form::kWordsPerSum != 1) {
    static_assert(kSuper8ZeroPoint == 1 << 5);
    for (int row = 0; row < kRows; ++row) {
      for (int reg = 0; reg < kPartRegisters; ++reg) {
        totals[row][reg] = _mm256_sub_epi32(
            totals[row][reg], _mm256_slli_epi32(offsets[row][reg], 5));
      }
    }
  }
  AddScaled<kRows, kPartRegisters>(block + kLayout.scale, part,
                                   x.scales + first, totals, sums);
  if constexpr (kLayout.minimums != 0) {
    float factors[kRows];
    for (int row = 0; row < kRows; ++row) factors[row] = -x.scales[first + row];
    AddScaled<kRows, kPartRegisters>(block + kLayout.minimum, part, factors,
                                     offsets, sums);
  }
}

template <typename Form, int kRows>
inline __attribute__((always_inline)) void MultiplyBlock(
    const uint8_t* block, const ActivationSuperBlock& x, int first,
    TileSums<kRows>& sums) {
  for (int part = 0; part < kTileRegisters; part += kPartRegisters) {
    MultiplyPart<Form, kRows>(block, part, x, first, sums);
  }
}

template <typename Form>
struct Tile {
  static constexpr int kRowsAtOnce = 4;  // their dot products fit the registers
  static constexpr int kBlockBytes = Form::kLayout.bytes;
  static_assert(kRowBlock % kRowsAtOnce == 0);

  template <int kRows>
  static __attribute__((noinline)) void MultiplyRows(const MatmulCall& call,
                                                     const uint8_t* tile,
                                                     int64_t first_row,
                                                     int64_t output) {
    const auto* input = static_cast<const typename Form::Input*>(call.input) +
                        first_row / kRowBlock * call.blocks;
    const int first = static_cast<int>(first_row % kRowBlock);
    TileSums<kRows> sums;
    for (int row = 0; row < kRows; ++row) {
      for (__m256& sum : sums[row]) sum = _mm256_setzero_ps();
    }
    for (int64_t b = 0; b < call.blocks; ++b) {
      MultiplyBlock<Form, kRows>(tile + b * kBlockBytes, input[b], first, sums);
    }
    const int64_t lanes = call.outputs - output;
    float* y = call.y + first_row * call.y_stride + output;
    for (int row = 0; row < kRows; ++row, y += call.y_stride) {
      float outputs[kTileOutputs];
      float* to = lanes >= kTileOutputs ? y : outputs;
      for (int reg = 0; reg < kTileRegisters; ++reg) {
        _mm256_storeu_ps(to + reg * kRegisterLanes, sums[row][reg]);
      }
      if (to == y) continue;
      for (int64_t i = 0; i < lanes; ++i) y[i] = outputs[i];
    }
  }
};

}  // namespace
}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_AVX2_MATMUL_H_
