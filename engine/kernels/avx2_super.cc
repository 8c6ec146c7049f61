// The kernels over super-blocks for AVX2, FMA and F16C. Compiled for them, so
// it includes intrinsics and kernel-local headers only.

#include <immintrin.h>

#include <cstdint>

#include "engine/kernels/kernel_table.h"
#include "engine/kernels/quantize_constants.h"
#include "engine/kernels/super_kernels.h"

namespace tandem {
namespace {

// A tile is multiplied in parts of 16 outputs, of two registers each: more sums
// at a time do not fit the 16 registers.
constexpr int kHalves = 2;
constexpr int kHalfLanes = 8;
constexpr int kPartOutputs = kHalves * kHalfLanes;
constexpr int kParts = kTileOutputs / kPartOutputs;
constexpr int kWordBytes = 4 * kTileOutputs;  // one word of every lane
// Bytes ahead of the work that are fetched into the second-level cache.
constexpr int64_t kPrefetchBytes = 8192;
constexpr int kLineBytes = 64;

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

// The bits of the largest magnitude in 8 vectors of floats, in every 32-bit
// lane its own; non-negative floats order like their bits.
__m256i LargestMagnitudes(const float* x, __m256i largest) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(kMagnitudeMask));
  for (int i = 0; i < 64; i += 8) {
    largest = _mm256_max_epi32(largest, _mm256_castps_si256(_mm256_and_ps(
                                            _mm256_loadu_ps(x + i), mask)));
  }
  return largest;
}

uint32_t ReduceMax(__m256i a) {
  __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(four));
}

// 8 floats to integers in -127 .. 127. The conversion rounds to nearest even,
// as the team's MXCSR says.
__m256i Round(const float* x, __m256 inverse) {
  const __m256i rounded =
      _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), inverse));
  return _mm256_max_epi32(_mm256_min_epi32(rounded, _mm256_set1_epi32(127)),
                          _mm256_set1_epi32(-127));
}

int32_t ReduceAdd(__m256i a) {
  __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtsi128_si32(four);
}

void QuantizeBlock(const float* x, int row, ActivationSuperBlock* out) {
  __m256i magnitudes = _mm256_setzero_si256();
  for (int i = 0; i < kSuperInputs; i += 64) {
    magnitudes = LargestMagnitudes(x + i, magnitudes);
  }
  const uint32_t magnitude = ReduceMax(magnitudes);
  const float largest = _mm_cvtss_f32(
      _mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(magnitude))));
  const bool poisoned = magnitude >= kInfinityBits;
  const bool usable = !poisoned && largest >= kQuantizeMin;
  out->scales[row] = usable     ? largest / kQuantizeMax
                     : poisoned ? __builtin_nanf("")
                                : 0.0f;
  const __m256 inverse = _mm256_set1_ps(usable ? kQuantizeMax / largest : 0.0f);
  for (int g = 0; g < kSuperGroups; ++g) {
    __m256i low = _mm256_setzero_si256();
    __m256i high = _mm256_setzero_si256();
    if (usable) {
      low = Round(x + g * kSuperGroupInputs, inverse);
      high = Round(x + g * kSuperGroupInputs + 8, inverse);
    }
    // The packs work within 128-bit halves; the permutation puts words right.
    const __m256i words = _mm256_packs_epi32(low, high);
    const __m256i bytes = _mm256_packs_epi16(words, words);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(out->values[row] + g * kSuperGroupInputs),
        _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(bytes, order)));
    out->sums16[row][g] =
        static_cast<int16_t>(ReduceAdd(_mm256_add_epi32(low, high)));
  }
  for (int g = 0; g < kSuperGroups / 2; ++g) {
    const int sum = out->sums16[row][2 * g] + out->sums16[row][2 * g + 1];
    out->sums32[row][g] = static_cast<int16_t>(sum);
    out->starts32[row][g] = -8 * sum;
  }
}

void QuantizeRow(const float* x, int64_t blocks, int row,
                 ActivationSuperBlock* out) {
  for (int64_t block = 0; block < blocks; ++block) {
    QuantizeBlock(x + block * kSuperInputs, row, out + block);
  }
}

// How the codes of a form are had and multiplied. LoadWords gives words 2i and
// 2i + 1 of the 8 lanes of one half; Products the 16-bit sums of two products
// each with a word of x; kWordsPerSum of them are added before they are widened
// by the product with the scale. Nothing saturates: values of x are at most
// 127, and the bound of the largest sum stands at each form (32767 is the
// most).

// Codes to 15: 8 words, 15 * 127 * 16 = 30480.
struct Form4 {
  using Layout = Super4Layout;
  static constexpr int kWordsPerSum = 8;
  static void LoadWords(const uint8_t* codes, int i, int half, __m256i* words) {
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i bytes = LoadBytes(codes + kWordBytes * i + 32 * half);
    words[0] = _mm256_and_si256(bytes, nibble);
    words[1] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
  }
  static __m256i Products(__m256i words, __m256i x) {
    return _mm256_maddubs_epi16(words, x);
  }
};

// Values in -127 .. 113, whose signs are moved to x: 1 word, 127 * 127 * 2 =
// 32258.
struct Form4Table {
  using Layout = Super4TableLayout;
  static constexpr int kWordsPerSum = 1;
  static void LoadWords(const uint8_t* codes, int i, int half, __m256i* words) {
    const __m256i table = _mm256_broadcastsi128_si256(LoadHalf(kSuper4Values));
    Form4::LoadWords(codes, i, half, words);
    words[0] = _mm256_shuffle_epi8(table, words[0]);
    words[1] = _mm256_shuffle_epi8(table, words[1]);
  }
  static __m256i Products(__m256i words, __m256i x) {
    return _mm256_maddubs_epi16(_mm256_abs_epi8(words),
                                _mm256_sign_epi8(x, words));
  }
};

// Codes to 31: 4 words, 31 * 127 * 8 = 31496.
struct Form8 {
  using Layout = Super8Layout;
  static constexpr int kWordsPerSum = 4;
  static void LoadWords(const uint8_t* codes, int i, int half, __m256i* words) {
    codes += 2 * kWordBytes * i + 32 * half;
    words[0] = LoadBytes(codes);
    words[1] = LoadBytes(codes + kWordBytes);
  }
  static __m256i Products(__m256i words, __m256i x) {
    return _mm256_maddubs_epi16(words, x);
  }
};

// Codes to 63: 2 words, 63 * 127 * 4 = 32004.
struct Form8Zero : Form8 {
  using Layout = Super8ZeroLayout;
  static constexpr int kWordsPerSum = 2;
};

template <int kRows>
using Dots = __m256i[kRows][kHalves];

// Keeps `v` in a register at this point, as in avx2.cc.
inline __attribute__((always_inline)) void Hold(__m256i& v) {
  __asm__ volatile("" : "+x"(v) : : "memory");
}

// Adds to `totals` the products of one group of `kInputs` codes, times the
// scales (both 16-bit halves of each lane).
template <typename Form, int kInputs, int kRows>
inline __attribute__((always_inline)) void MultiplyGroup(
    const uint8_t* codes, const int8_t* const* values, const __m256i* scales,
    Dots<kRows>& totals) {
  constexpr bool kWiden = Form::kWordsPerSum == 1;
  constexpr int kPairs = kInputs / 8;
  constexpr int kPairsPerSum = kWiden ? 1 : Form::kWordsPerSum / 2;
  static_assert(kPairs % kPairsPerSum == 0);
  for (int begin = 0; begin < kPairs; begin += kPairsPerSum) {
    Dots<kRows> sums;
    for (int row = 0; row < kRows; ++row) {
      for (__m256i& sum : sums[row]) sum = _mm256_setzero_si256();
    }
    for (int i = begin; i < begin + kPairsPerSum; ++i) {
      __m256i words[kHalves][2];
      for (int half = 0; half < kHalves; ++half) {
        Form::LoadWords(codes, i, half, words[half]);
      }
      for (int row = 0; row < kRows; ++row) {
        const __m256i first = Broadcast(values[row] + 8 * i);
        const __m256i second = Broadcast(values[row] + 8 * i + 4);
        for (int half = 0; half < kHalves; ++half) {
          const __m256i a = Form::Products(words[half][0], first);
          const __m256i b = Form::Products(words[half][1], second);
          if constexpr (kWiden) {
            const __m256i both =
                _mm256_add_epi32(_mm256_madd_epi16(a, scales[half]),
                                 _mm256_madd_epi16(b, scales[half]));
            totals[row][half] = _mm256_add_epi32(totals[row][half], both);
          } else {
            sums[row][half] =
                _mm256_add_epi16(sums[row][half], _mm256_add_epi16(a, b));
          }
        }
        for (int half = 0; half < kHalves; ++half) {
          Hold(kWiden ? totals[row][half] : sums[row][half]);
        }
      }
    }
    if constexpr (kWiden) continue;
    for (int row = 0; row < kRows; ++row) {
      for (int half = 0; half < kHalves; ++half) {
        totals[row][half] =
            _mm256_add_epi32(totals[row][half],
                             _mm256_madd_epi16(sums[row][half], scales[half]));
      }
    }
  }
}

// Integers of two neighbouring groups for the 8 lanes of one half: a pair of
// 16-bit numbers in each lane.
__m256i LoadPairs(const uint8_t* integers, int pair, int part, int half) {
  return _mm256_cvtepi8_epi16(LoadHalf(integers + 2 * kTileOutputs * pair +
                                       2 * kPartOutputs * part + 16 * half));
}

// Number `which` of each pair in both places.
__m256i Both(__m256i pairs, int which) {
  const __m256i order = _mm256_add_epi8(
      _mm256_set1_epi8(static_cast<char>(2 * which)),
      _mm256_setr_epi8(0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13, 0, 1,
                       0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13));
  return _mm256_shuffle_epi8(pairs, order);
}

template <int kRows>
using TileSums = __m256[kRows][kParts][kHalves];

// sums += float(dots) * (the fp16 at `halves` * factors[row]).
template <int kRows>
inline __attribute__((always_inline)) void AddScaled(const uint8_t* halves,
                                                     int part,
                                                     const float* factors,
                                                     const Dots<kRows>& dots,
                                                     TileSums<kRows>& sums) {
  for (int half = 0; half < kHalves; ++half) {
    const __m256 scales = _mm256_cvtph_ps(
        LoadHalf(halves + 2 * kPartOutputs * part + 2 * kHalfLanes * half));
    for (int row = 0; row < kRows; ++row) {
      sums[row][part][half] =
          _mm256_fmadd_ps(_mm256_cvtepi32_ps(dots[row][half]),
                          _mm256_mul_ps(scales, _mm256_set1_ps(factors[row])),
                          sums[row][part][half]);
    }
  }
}

// What two neighbouring groups add to the sums of x times the minimums or, in
// the form with a zero point, the scales.
template <typename Layout, int kRows>
inline __attribute__((always_inline)) void AddOffsets(
    const uint8_t* block, int pair, int part, const ActivationSuperBlock& x,
    int first, Dots<kRows>& offsets) {
  constexpr int kFactorsAt =
      Layout::kHasMinimums ? Layout::kMinimumsAt : Layout::kScalesAt;
  for (int half = 0; half < kHalves; ++half) {
    const __m256i factors = LoadPairs(block + kFactorsAt, pair, part, half);
    for (int row = 0; row < kRows; ++row) {
      const int16_t* sums = Layout::kScaleInputs == 32 ? x.sums32[first + row]
                                                       : x.sums16[first + row];
      offsets[row][half] = _mm256_add_epi32(
          offsets[row][half],
          _mm256_madd_epi16(factors, Broadcast(sums + 2 * pair)));
    }
  }
}

// Part `part` of the super-block at `block` times rows first .. first + kRows
// - 1.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void MultiplyPart(
    const uint8_t* block, int part, const ActivationSuperBlock& x, int first,
    TileSums<kRows>& sums) {
  using Layout = typename Form::Layout;
  constexpr int kPairs = Layout::kGroups / 2;
  constexpr int kStepBytes = Layout::kBytes / (kPairs * kParts);
  Dots<kRows> totals;
  Dots<kRows> offsets;  // sums of the minimums or the scales times x
  for (int row = 0; row < kRows; ++row) {
    for (int half = 0; half < kHalves; ++half) {
      totals[row][half] = _mm256_setzero_si256();
      offsets[row][half] = _mm256_setzero_si256();
    }
  }
  for (int pair = 0; pair < kPairs; ++pair) {
    const uint8_t* ahead =
        block + kPrefetchBytes + (part * kPairs + pair) * kStepBytes;
    for (int at = 0; at < kStepBytes; at += kLineBytes) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead + at), _MM_HINT_T1);
    }
    __m256i pairs[kHalves];
    for (int half = 0; half < kHalves; ++half) {
      pairs[half] = LoadPairs(block + Layout::kScalesAt, pair, part, half);
    }
    for (int which = 0; which < 2; ++which) {
      const int group = 2 * pair + which;
      const int8_t* values[kRows];
      for (int row = 0; row < kRows; ++row) {
        values[row] = x.values[first + row] + group * Layout::kScaleInputs;
      }
      const __m256i scales[kHalves] = {Both(pairs[0], which),
                                       Both(pairs[1], which)};
      MultiplyGroup<Form, Layout::kScaleInputs, kRows>(
          block + Layout::kCodesAt + group * Layout::kGroupBytes +
              4 * kPartOutputs * part,
          values, scales, totals);
    }
    // The signed values of the table need no offset.
    if constexpr (Form::kWordsPerSum != 1) {
      AddOffsets<Layout, kRows>(block, pair, part, x, first, offsets);
    }
  }
  if constexpr (!Layout::kHasMinimums && Form::kWordsPerSum != 1) {
    static_assert(kSuper8ZeroPoint == 1 << 5);
    for (int row = 0; row < kRows; ++row) {
      for (int half = 0; half < kHalves; ++half) {
        totals[row][half] = _mm256_sub_epi32(
            totals[row][half], _mm256_slli_epi32(offsets[row][half], 5));
      }
    }
  }
  AddScaled<kRows>(block, part, x.scales + first, totals, sums);
  if constexpr (Layout::kHasMinimums) {
    float factors[kRows];
    for (int row = 0; row < kRows; ++row) factors[row] = -x.scales[first + row];
    AddScaled<kRows>(block + kScaleBytes, part, factors, offsets, sums);
  }
}

// Part `part` of a group with minimums.
template <int kRows>
inline __attribute__((always_inline)) void MultiplyMinimumPart(
    const uint8_t* group, int part, const ActivationGroup& x, int first,
    TileSums<kRows>& sums) {
  Dots<kRows> dots;
  Dots<kRows> values_sums;
  const int8_t* values[kRows];
  for (int row = 0; row < kRows; ++row) {
    values[row] = x.values[first + row];
    for (int half = 0; half < kHalves; ++half) {
      dots[row][half] = _mm256_setzero_si256();
      values_sums[row][half] =
          _mm256_set1_epi32(x.start4[first + row] / -kPacked4Zero);
    }
  }
  const __m256i ones[kHalves] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
  MultiplyGroup<Form8, kGroupInputs, kRows>(group + 4 * kPartOutputs * part,
                                            values, ones, dots);
  const uint8_t* halves = group + kPacked8CodeBytes;
  AddScaled<kRows>(halves, part, x.scales + first, dots, sums);
  AddScaled<kRows>(halves + kScaleBytes, part, x.scales + first, values_sums,
                   sums);
}

// One tile times kRows rows of a block, by the kind of matrix.
template <typename Form>
struct SuperTile {
  using Call = SuperMatmul;
  template <int kRows>
  static void Run(const Call& call, const uint8_t* tile, int64_t first_row,
                  TileSums<kRows>& sums) {
    const ActivationSuperBlock* input =
        call.input + first_row / kRowBlock * call.blocks;
    const int first = static_cast<int>(first_row % kRowBlock);
    for (int64_t b = 0; b < call.blocks; ++b) {
      for (int part = 0; part < kParts; ++part) {
        MultiplyPart<Form, kRows>(tile + b * Form::Layout::kBytes, part,
                                  input[b], first, sums);
      }
    }
  }
};

struct MinimumTile {
  using Call = PackedMatmul;
  template <int kRows>
  static void Run(const Call& call, const uint8_t* tile, int64_t first_row,
                  TileSums<kRows>& sums) {
    const ActivationGroup* input =
        call.input + first_row / kRowBlock * call.groups;
    const int first = static_cast<int>(first_row % kRowBlock);
    for (int64_t g = 0; g < call.groups; ++g) {
      const uint8_t* group = tile + g * kPacked8MinimumGroupBytes;
      for (int at = 0; at < kPacked8MinimumGroupBytes; at += kLineBytes) {
        _mm_prefetch(reinterpret_cast<const char*>(group + kPrefetchBytes + at),
                     _MM_HINT_T1);
      }
      for (int part = 0; part < kParts; ++part) {
        MultiplyMinimumPart<kRows>(group, part, input[g], first, sums);
      }
    }
  }
};

template <typename Tile, int kRows>
void MultiplyRows(const typename Tile::Call& call, const uint8_t* tile,
                  int64_t first_row, int64_t output) {
  TileSums<kRows> sums;
  for (int row = 0; row < kRows; ++row) {
    for (int part = 0; part < kParts; ++part) {
      for (__m256& sum : sums[row][part]) sum = _mm256_setzero_ps();
    }
  }
  Tile::template Run<kRows>(call, tile, first_row, sums);
  float* y = call.y + first_row * call.y_stride + output;
  for (int row = 0; row < kRows; ++row, y += call.y_stride) {
    float outputs[kTileOutputs];
    float* to = call.outputs - output >= kTileOutputs ? y : outputs;
    for (int part = 0; part < kParts; ++part) {
      for (int half = 0; half < kHalves; ++half) {
        _mm256_storeu_ps(to + part * kPartOutputs + half * kHalfLanes,
                         sums[row][part][half]);
      }
    }
    if (to == y) continue;
    for (int64_t i = 0; i < call.outputs - output; ++i) y[i] = outputs[i];
  }
}

// Rows at a time, as in avx2.cc.
constexpr int kRowsAtOnce = 4;
static_assert(kRowBlock % kRowsAtOnce == 0);

template <typename Tile>
void Multiply(const typename Tile::Call& call) {
  using Function =
      void (*)(const typename Tile::Call&, const uint8_t*, int64_t, int64_t);
  static constexpr Function kByRows[kRowsAtOnce] = {
      MultiplyRows<Tile, 1>,
      MultiplyRows<Tile, 2>,
      MultiplyRows<Tile, 3>,
      MultiplyRows<Tile, 4>,
  };
  const uint8_t* tile = call.tiles;
  for (int64_t output = 0; output < call.outputs;
       output += kTileOutputs, tile += call.tile_stride) {
    for (int64_t row = 0; row < call.rows; row += kRowsAtOnce) {
      const int64_t left = call.rows - row;
      kByRows[(left < kRowsAtOnce ? left : kRowsAtOnce) - 1](call, tile, row,
                                                             output);
    }
  }
}

}  // namespace

const SuperKernels kAvx2SuperKernels = {
    .quantize_row = QuantizeRow,
    .matmul_super4 = Multiply<SuperTile<Form4>>,
    .matmul_super4_table = Multiply<SuperTile<Form4Table>>,
    .matmul_super8 = Multiply<SuperTile<Form8>>,
    .matmul_super8_zero = Multiply<SuperTile<Form8Zero>>,
    .matmul_packed8_minimum = Multiply<MinimumTile>,
};

}  // namespace tandem
