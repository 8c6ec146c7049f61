// The kernels over super-blocks for AVX-512 F, BW, DQ, VL and VNNI. Compiled
// for them, so it includes intrinsics and kernel-local headers only.

#include <immintrin.h>

#include <cstdint>

#include "engine/kernels/kernel_table.h"
#include "engine/kernels/quantize_constants.h"
#include "engine/kernels/super_kernels.h"

namespace tandem {
namespace {

// Outputs of one vector, and the vectors of a tile.
constexpr int kHalfOutputs = 16;
constexpr int kHalves = kTileOutputs / kHalfOutputs;
constexpr int kWordBytes = 4 * kTileOutputs;  // one word of every lane
// Bytes ahead of the work that are fetched into the second-level cache.
constexpr int64_t kPrefetchBytes = 8192;
constexpr int kLineBytes = 64;

// The 4 bytes at `p` in every lane.
__m512i Broadcast(const void* p) {
  int32_t value;
  __builtin_memcpy(&value, p, sizeof(value));
  return _mm512_set1_epi32(value);
}

__m256i LoadHalf(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

void QuantizeBlock(const float* x, int row, ActivationSuperBlock* out) {
  const __m512i mask = _mm512_set1_epi32(kMagnitudeMask);
  __m512i magnitudes = _mm512_setzero_si512();
  for (int i = 0; i < kSuperInputs; i += kHalfOutputs) {
    magnitudes = _mm512_max_epu32(
        magnitudes,
        _mm512_and_si512(_mm512_castps_si512(_mm512_loadu_ps(x + i)), mask));
  }
  const uint32_t magnitude = _mm512_reduce_max_epu32(magnitudes);
  const float largest = _mm_cvtss_f32(
      _mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(magnitude))));
  const bool poisoned = magnitude >= kInfinityBits;
  const bool usable = !poisoned && largest >= kQuantizeMin;
  out->scales[row] = usable     ? largest / kQuantizeMax
                     : poisoned ? __builtin_nanf("")
                                : 0.0f;
  const __mmask16 keep = usable ? 0xffff : 0;
  const __m512 inverse = _mm512_set1_ps(kQuantizeMax / largest);
  for (int g = 0; g < kSuperGroups; ++g) {
    // Conversion rounds to nearest even, as the team's MXCSR says.
    __m512i values = _mm512_maskz_cvtps_epi32(
        keep,
        _mm512_mul_ps(_mm512_loadu_ps(x + g * kSuperGroupInputs), inverse));
    values = _mm512_max_epi32(_mm512_min_epi32(values, _mm512_set1_epi32(127)),
                              _mm512_set1_epi32(-127));
    _mm_store_si128(
        reinterpret_cast<__m128i*>(out->values[row] + g * kSuperGroupInputs),
        _mm512_cvtepi32_epi8(values));
    out->sums16[row][g] = static_cast<int16_t>(_mm512_reduce_add_epi32(values));
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

// How the unsigned codes of words 2i and 2i + 1 are had for the 16 lanes of one
// half. An integer weight is its code minus 2^kZeroShift, or the code itself
// where that is -1. Where kNarrow, dot products start at starts32 and fit 16
// bits: the multiply-add of 16-bit pairs is one operation where a 32-bit
// product and a sum are three on Intel's cores.

struct Form4 {
  using Layout = Super4Layout;
  static constexpr int kZeroShift = -1;
  static constexpr bool kNarrow = true;
  static void LoadWords(const uint8_t* codes, int i, int half, __m512i* words) {
    const __m512i nibble = _mm512_set1_epi8(15);
    const __m512i bytes = _mm512_load_si512(codes + kWordBytes * i + 64 * half);
    words[0] = _mm512_and_si512(bytes, nibble);
    words[1] = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), nibble);
  }
};

struct Form4Table {
  using Layout = Super4TableLayout;
  static constexpr int kZeroShift = 7;
  static constexpr bool kNarrow = false;
  static void LoadWords(const uint8_t* codes, int i, int half, __m512i* words) {
    const __m512i table = _mm512_xor_si512(
        _mm512_broadcast_i32x4(
            _mm_loadu_si128(reinterpret_cast<const __m128i*>(kSuper4Values))),
        _mm512_set1_epi8(static_cast<char>(0x80)));
    Form4::LoadWords(codes, i, half, words);
    words[0] = _mm512_shuffle_epi8(table, words[0]);
    words[1] = _mm512_shuffle_epi8(table, words[1]);
  }
};

struct Form8 {
  using Layout = Super8Layout;
  static constexpr int kZeroShift = -1;
  static constexpr bool kNarrow = false;
  static void LoadWords(const uint8_t* codes, int i, int half, __m512i* words) {
    codes += 2 * kWordBytes * i + 64 * half;
    words[0] = _mm512_load_si512(codes);
    words[1] = _mm512_load_si512(codes + kWordBytes);
  }
};

struct Form8Zero : Form8 {
  using Layout = Super8ZeroLayout;
  static constexpr int kZeroShift = 5;
};
static_assert(kSuper8ZeroPoint == 1 << Form8Zero::kZeroShift);

template <int kRows>
using Dots = __m512i[kRows][kHalves];

// `dots` gains the dot products of one group of kInputs codes with the values
// of kRows rows.
template <typename Form, int kInputs, int kRows>
inline __attribute__((always_inline)) void MultiplyGroup(
    const uint8_t* codes, const int8_t* const* values, Dots<kRows>& dots) {
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

// Group `group` of a super-block: `totals` gains its dot products times its
// scales, of which `pairs` holds those of this and of the neighbouring group.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void AddGroup(
    const uint8_t* block, int group, const ActivationSuperBlock& x,
    const __m512i* pairs, Dots<kRows>& totals) {
  using Layout = typename Form::Layout;
  const int8_t* values[kRows];
  Dots<kRows> dots;
  for (int row = 0; row < kRows; ++row) {
    values[row] = x.values[row] + group * Layout::kScaleInputs;
    for (__m512i& dot : dots[row]) {
      dot = Form::kNarrow ? Broadcast(&x.starts32[row][group])
                          : _mm512_setzero_si512();
    }
  }
  MultiplyGroup<Form, Layout::kScaleInputs, kRows>(
      block + Layout::kCodesAt + group * Layout::kGroupBytes, values, dots);
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
  using Layout = typename Form::Layout;
  for (int half = 0; half < kHalves; ++half) {
    const __m512i factors =
        Layout::kHasMinimums
            ? LoadPairs(block + Layout::kMinimumsAt, pair, half)
            : pairs[half];
    // Scales of 6 bits times 8: 504.
    const __m512i eightfold = _mm512_slli_epi16(pairs[half], 3);
    for (int row = 0; row < kRows; ++row) {
      const int16_t* sums =
          Layout::kScaleInputs == 32 ? x.sums32[row] : x.sums16[row];
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

template <typename Form, int kRows>
inline __attribute__((always_inline)) void MultiplySuperBlock(
    const uint8_t* block, const ActivationSuperBlock& x,
    TileSums<kRows>& sums) {
  using Layout = typename Form::Layout;
  constexpr int kPairs = Layout::kGroups / 2;
  constexpr int kStepBytes = Layout::kBytes / kPairs;
  Dots<kRows> totals;
  Dots<kRows> offsets;
  for (int row = 0; row < kRows; ++row) {
    for (int half = 0; half < kHalves; ++half) {
      totals[row][half] = _mm512_setzero_si512();
      offsets[row][half] = _mm512_setzero_si512();
    }
  }
  for (int pair = 0; pair < kPairs; ++pair) {
    const uint8_t* ahead = block + kPrefetchBytes + pair * kStepBytes;
    for (int at = 0; at < kStepBytes; at += kLineBytes) {
      _mm_prefetch(reinterpret_cast<const char*>(ahead + at), _MM_HINT_T1);
    }
    __m512i pairs[kHalves];
    for (int half = 0; half < kHalves; ++half) {
      pairs[half] = LoadPairs(block + Layout::kScalesAt, pair, half);
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
  AddScaled<kRows>(block, x.scales, totals, sums);
  if constexpr (Layout::kHasMinimums) {
    float factors[kRows];
    for (int row = 0; row < kRows; ++row) factors[row] = -x.scales[row];
    AddScaled<kRows>(block + kScaleBytes, factors, offsets, sums);
  }
}

// A group with minimums.
template <int kRows>
inline __attribute__((always_inline)) void MultiplyMinimumGroup(
    const uint8_t* group, const ActivationGroup& x, TileSums<kRows>& sums) {
  for (int at = 0; at < kPacked8MinimumGroupBytes; at += kLineBytes) {
    _mm_prefetch(reinterpret_cast<const char*>(group + kPrefetchBytes + at),
                 _MM_HINT_T1);
  }
  const int8_t* values[kRows];
  Dots<kRows> dots;
  Dots<kRows> values_sums;
  for (int row = 0; row < kRows; ++row) {
    values[row] = x.values[row];
    for (int half = 0; half < kHalves; ++half) {
      dots[row][half] = _mm512_setzero_si512();
      values_sums[row][half] = _mm512_set1_epi32(x.start4[row] / -kPacked4Zero);
    }
  }
  MultiplyGroup<Form8, kGroupInputs, kRows>(group, values, dots);
  const uint8_t* halves = group + kPacked8CodeBytes;
  AddScaled<kRows>(halves, x.scales, dots, sums);
  AddScaled<kRows>(halves + kScaleBytes, x.scales, values_sums, sums);
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
    for (int64_t b = 0; b < call.blocks; ++b) {
      MultiplySuperBlock<Form, kRows>(tile + b * Form::Layout::kBytes, input[b],
                                      sums);
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
    for (int64_t g = 0; g < call.groups; ++g) {
      MultiplyMinimumGroup<kRows>(tile + g * kPacked8MinimumGroupBytes,
                                  input[g], sums);
    }
  }
};

template <typename Tile, int kRows>
void MultiplyRows(const typename Tile::Call& call, const uint8_t* tile,
                  int64_t first_row, int64_t output) {
  TileSums<kRows> sums;
  for (int row = 0; row < kRows; ++row) {
    for (__m512& sum : sums[row]) sum = _mm512_setzero_ps();
  }
  Tile::template Run<kRows>(call, tile, first_row, sums);
  for (int half = 0; half < kHalves; ++half) {
    const int64_t left = call.outputs - output - half * kHalfOutputs;
    if (left <= 0) break;
    const __mmask16 mask =
        left < kHalfOutputs ? static_cast<__mmask16>((1u << left) - 1) : 0xffff;
    float* y =
        call.y + first_row * call.y_stride + output + half * kHalfOutputs;
    for (int row = 0; row < kRows; ++row, y += call.y_stride) {
      _mm512_mask_storeu_ps(y, mask, sums[row][half]);
    }
  }
}

template <typename Tile>
void Multiply(const typename Tile::Call& call) {
  using Function =
      void (*)(const typename Tile::Call&, const uint8_t*, int64_t, int64_t);
  static constexpr Function kByRows[kRowBlock] = {
      MultiplyRows<Tile, 1>, MultiplyRows<Tile, 2>, MultiplyRows<Tile, 3>,
      MultiplyRows<Tile, 4>, MultiplyRows<Tile, 5>, MultiplyRows<Tile, 6>,
      MultiplyRows<Tile, 7>, MultiplyRows<Tile, 8>,
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

const SuperKernels kAvx512SuperKernels = {
    .quantize_row = QuantizeRow,
    .matmul_super4 = Multiply<SuperTile<Form4>>,
    .matmul_super4_table = Multiply<SuperTile<Form4Table>>,
    .matmul_super8 = Multiply<SuperTile<Form8>>,
    .matmul_super8_zero = Multiply<SuperTile<Form8Zero>>,
    .matmul_packed8_minimum = Multiply<MinimumTile>,
};

}  // namespace tandem
