// The kernels for AVX2, FMA and F16C. Compiled for them, so it includes
// intrinsics and kernel-local headers only.

#include <immintrin.h>

#include <cstdint>

#include "engine/kernels/kernel_table.h"
#include "engine/kernels/quantize_constants.h"
#include "engine/kernels/super_kernels.h"
#include "engine/kernels/vector_kernels.h"

namespace tandem {
namespace {

constexpr int kWords = kGroupInputs / 4;  // 32-bit words of one row's group
constexpr int kRegisterLanes = 8;
constexpr int kTileRegisters = kTileOutputs / kRegisterLanes;
constexpr int kWordBytes = 4 * kTileOutputs;  // one word of every lane

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

// The largest magnitude's bits in 32 floats; non-negative floats order like
// their bits, also as signed integers.
uint32_t LargestMagnitude(const float* x) {
  const __m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(kMagnitudeMask));
  __m256i largest = _mm256_setzero_si256();
  for (int i = 0; i < kGroupInputs; i += 8) {
    largest = _mm256_max_epi32(largest, _mm256_castps_si256(_mm256_and_ps(
                                            _mm256_loadu_ps(x + i), mask)));
  }
  __m128i four = _mm_max_epi32(_mm256_castsi256_si128(largest),
                               _mm256_extracti128_si256(largest, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(four));
}

int32_t ReduceAddInt(__m256i a) {
  __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtsi128_si32(four);
}

void QuantizeGroup(const float* x, int row, ActivationGroup* out) {
  const uint32_t magnitude = LargestMagnitude(x);
  const float largest = _mm_cvtss_f32(
      _mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(magnitude))));
  const bool poisoned = magnitude >= kInfinityBits;
  const bool usable = !poisoned && largest >= kQuantizeMin;
  __m256i integers[4] = {};
  if (usable) {
    const __m256 inverse = _mm256_set1_ps(kQuantizeMax / largest);
    for (int i = 0; i < 4; ++i) {
      // Conversion rounds to nearest even, as the team's MXCSR says.
      const __m256i rounded = _mm256_cvtps_epi32(
          _mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse));
      integers[i] =
          _mm256_max_epi32(_mm256_min_epi32(rounded, _mm256_set1_epi32(127)),
                           _mm256_set1_epi32(-127));
    }
  }
  // Both packs work within 128-bit halves: words come out as 0 4 1 5 2 6 3 7.
  const __m256i bytes =
      _mm256_packs_epi16(_mm256_packs_epi32(integers[0], integers[1]),
                         _mm256_packs_epi32(integers[2], integers[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_store_si256(reinterpret_cast<__m256i*>(out->values[row]),
                     _mm256_permutevar8x32_epi32(bytes, order));
  const int32_t sum = ReduceAddInt(
      _mm256_add_epi32(_mm256_add_epi32(integers[0], integers[1]),
                       _mm256_add_epi32(integers[2], integers[3])));
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

__m256i LoadBytes(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// Word `word` of a row's values in every lane.
__m256i Word(const ActivationGroup& x, int row, int word) {
  int32_t value;
  __builtin_memcpy(&value, x.values[row] + 4 * word, sizeof(value));
  return _mm256_set1_epi32(value);
}

// Keeps `v` in a register at this point, and loads where they stand. Left to
// itself GCC makes all the products of a group first, stores them, and moves
// broadcasts out of loops onto the stack: 20 GMAC/s a core instead of 28 (Zen
// 1, 4 rows).
inline __attribute__((always_inline)) void Hold(__m256i& v) {
  __asm__ volatile("" : "+x"(v) : : "memory");
}

// Registers of a tile that are multiplied at once: dot products, codes and
// values fit the 16 registers.
constexpr int RegistersAtOnce(int rows) { return rows == 1 ? 4 : 2; }

// The dot products of kRegisters registers of a tile's group, whose codes begin
// at `codes`, with rows first .. first + kRows - 1 of a block. The registers
// share each broadcast word of x.
template <int kRows>
using Dots = __m256i[kRows][RegistersAtOnce(kRows)];

// Nothing saturates: codes are at most 15 and values 127, so the 16 products
// that meet in one 16-bit sum stay below 15 * 127 * 16 = 30480.
struct Form4 {
  static constexpr int kGroupBytes = kPacked4GroupBytes;
  static constexpr int kCodeBytes = kPacked4CodeBytes;
  template <int kRows>
  static inline __attribute__((always_inline)) void Multiply(
      const uint8_t* codes, const ActivationGroup& x, int first,
      Dots<kRows>& dots) {
    constexpr int kRegisters = RegistersAtOnce(kRows);
    const __m256i nibble = _mm256_set1_epi8(15);
    for (int row = 0; row < kRows; ++row) {
      for (__m256i& sum : dots[row]) sum = _mm256_setzero_si256();
    }
    for (int i = 0; i < kWords / 2; ++i) {
      __m256i even[kRegisters];
      __m256i odd[kRegisters];
      for (int r = 0; r < kRegisters; ++r) {
        const __m256i bytes = LoadBytes(codes + kWordBytes * i + 32 * r);
        even[r] = _mm256_and_si256(bytes, nibble);
        odd[r] = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
      }
      for (int row = 0; row < kRows; ++row) {
        const __m256i a = Word(x, first + row, 2 * i);
        const __m256i b = Word(x, first + row, 2 * i + 1);
        for (int r = 0; r < kRegisters; ++r) {
          const __m256i products =
              _mm256_add_epi16(_mm256_maddubs_epi16(even[r], a),
                               _mm256_maddubs_epi16(odd[r], b));
          dots[row][r] = _mm256_add_epi16(dots[row][r], products);
        }
        for (__m256i& sum : dots[row]) Hold(sum);
      }
    }
    for (int row = 0; row < kRows; ++row) {
      const __m256i start = _mm256_set1_epi32(x.start4[first + row]);
      for (__m256i& sum : dots[row]) {
        sum = _mm256_add_epi32(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)),
                               start);
      }
    }
  }
};

// The weights are made signed again and their signs moved to the values, so
// that the unsigned operand is at most 128: a pair of products is at most
// 2 * 128 * 127 = 32512 and does not saturate. (Codes up to 255 would.)
struct Form8 {
  static constexpr int kGroupBytes = kPacked8GroupBytes;
  static constexpr int kCodeBytes = kPacked8CodeBytes;
  template <int kRows>
  static inline __attribute__((always_inline)) void Multiply(
      const uint8_t* codes, const ActivationGroup& x, int first,
      Dots<kRows>& dots) {
    constexpr int kRegisters = RegistersAtOnce(kRows);
    const __m256i zero_point = _mm256_set1_epi8(static_cast<char>(0x80));
    const __m256i ones = _mm256_set1_epi16(1);
    for (int row = 0; row < kRows; ++row) {
      for (__m256i& dot : dots[row]) dot = _mm256_setzero_si256();
    }
    for (int word = 0; word < kWords; ++word) {
      __m256i weights[kRegisters];
      __m256i magnitudes[kRegisters];
      for (int r = 0; r < kRegisters; ++r) {
        weights[r] = _mm256_xor_si256(
            LoadBytes(codes + kWordBytes * word + 32 * r), zero_point);
        magnitudes[r] = _mm256_abs_epi8(weights[r]);
      }
      for (int row = 0; row < kRows; ++row) {
        const __m256i value = Word(x, first + row, word);
        for (int r = 0; r < kRegisters; ++r) {
          const __m256i pairs = _mm256_maddubs_epi16(
              magnitudes[r], _mm256_sign_epi8(value, weights[r]));
          dots[row][r] =
              _mm256_add_epi32(dots[row][r], _mm256_madd_epi16(pairs, ones));
        }
        for (__m256i& dot : dots[row]) Hold(dot);
      }
    }
  }
};

// Sums of a tile: [row][register].
template <int kRows>
using TileSums = __m256[kRows][kTileRegisters];

// Registers from number `part` on of the group at `group`, as many as go at
// once, times rows first .. first + kRows - 1.
template <typename Form, int kRows>
inline __attribute__((always_inline)) void MultiplyPart(
    const uint8_t* group, int part, const ActivationGroup& x, int first,
    TileSums<kRows>& sums) {
  constexpr int kRegisters = RegistersAtOnce(kRows);
  Dots<kRows> dots;
  Form::template Multiply<kRows>(group + 32 * part, x, first, dots);
  const uint8_t* halves = group + Form::kCodeBytes + 2 * kRegisterLanes * part;
  for (int r = 0; r < kRegisters; ++r) {
    const __m256 scales = _mm256_cvtph_ps(_mm_load_si128(
        reinterpret_cast<const __m128i*>(halves + 2 * kRegisterLanes * r)));
    for (int row = 0; row < kRows; ++row) {
      sums[row][part + r] = _mm256_fmadd_ps(
          _mm256_cvtepi32_ps(dots[row][r]),
          _mm256_mul_ps(scales, _mm256_set1_ps(x.scales[first + row])),
          sums[row][part + r]);
    }
  }
}

// One tile times rows first .. first + kRows - 1 of one block.
template <typename Form, int kRows>
void MultiplyTile(const uint8_t* tile, int64_t groups, int first,
                  const ActivationGroup* input, TileSums<kRows>& sums) {
  for (int64_t g = 0; g < groups; ++g, tile += Form::kGroupBytes) {
    for (int at = 0; at < Form::kGroupBytes; at += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(tile + kPrefetchBytes + at),
                   _MM_HINT_T1);
    }
    for (int part = 0; part < kTileRegisters; part += RegistersAtOnce(kRows)) {
      MultiplyPart<Form, kRows>(tile, part, input[g], first, sums);
    }
  }
}

void StoreRegister(__m256 sum, int64_t count, float* y) {
  if (count >= kRegisterLanes) {
    _mm256_storeu_ps(y, sum);
    return;
  }
  float part[kRegisterLanes];
  _mm256_storeu_ps(part, sum);
  for (int64_t i = 0; i < count; ++i) y[i] = part[i];
}

template <typename Form, int kRows>
void MultiplyRows(const PackedMatmul& call, const uint8_t* tile,
                  int64_t first_row, int64_t output) {
  TileSums<kRows> sums;
  for (int row = 0; row < kRows; ++row) {
    for (__m256& sum : sums[row]) sum = _mm256_setzero_ps();
  }
  MultiplyTile<Form, kRows>(
      tile, call.groups, static_cast<int>(first_row % kRowBlock),
      call.input + first_row / kRowBlock * call.groups, sums);
  float* y = call.y + first_row * call.y_stride + output;
  for (int row = 0; row < kRows; ++row, y += call.y_stride) {
    for (int r = 0; r < kTileRegisters; ++r) {
      StoreRegister(sums[row][r], call.outputs - output - r * kRegisterLanes,
                    y + r * kRegisterLanes);
    }
  }
}

// Rows at a time: their dot products fit the registers.
constexpr int kRowsAtOnce = 4;
static_assert(kRowBlock % kRowsAtOnce == 0);

template <typename Form>
void MultiplyPacked(const PackedMatmul& call) {
  using Function =
      void (*)(const PackedMatmul&, const uint8_t*, int64_t, int64_t);
  static constexpr Function kByRows[kRowsAtOnce] = {
      MultiplyRows<Form, 1>,
      MultiplyRows<Form, 2>,
      MultiplyRows<Form, 3>,
      MultiplyRows<Form, 4>,
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

const KernelTable kAvx2Kernels = {
    .quantize_row = QuantizeRow,
    .matmul_packed4 = MultiplyPacked<Form4>,
    .matmul_packed8 = MultiplyPacked<Form8>,
    .matmul_f16 = MatmulFloatVector<Vector, HalfWeights<Vector>>,
    .matmul_bf16 = MatmulFloatVector<Vector, Bf16Weights<Vector>>,
    .matmul_f32 = MatmulFloatVector<Vector, FloatWeights<Vector>>,
    .super = &kAvx2SuperKernels,
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
