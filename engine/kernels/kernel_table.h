// The functions that one SIMD level provides, and the memory layouts that they
// share. Included by files compiled for AVX2 and AVX-512, so it includes
// nothing but <cstdint> and defines no function that exists at run time.
//
// Every function is pure, may be called from any thread, and gives the same
// bits at every level (README.md has the layouts and the order of operations).

#ifndef TANDEM_ENGINE_KERNELS_KERNEL_TABLE_H_
#define TANDEM_ENGINE_KERNELS_KERNEL_TABLE_H_

#include <cstdint>

namespace tandem {

enum class SimdLevel;  // engine/base/cpu_features.h

// Output rows of one packed tile, one per 32-bit SIMD lane: two vectors of the
// widest level, whose groups make one stream of whole cache lines.
inline constexpr int kTileOutputs = 32;
// Rows of x whose quantised blocks lie side by side.
inline constexpr int kRowBlock = 8;

// Inputs of a block: of a group, which has one fp16 scale in each row, and of a
// super-block, which has integer scales for parts of it besides.
inline constexpr int kGroupInputs = 32;
inline constexpr int kSuperInputs = 256;
// The finest grain of integer scales.
inline constexpr int kSuperGroupInputs = 16;
inline constexpr int kSuperGroups = kSuperInputs / kSuperGroupInputs;

// How a matrix lies in memory where own kernels multiply it.
enum class PackedForm {
  // Groups of kGroupInputs.
  k4Bit,         // codes 0 .. 15, integer weight = code - kPacked4Zero
  k8Bit,         // codes 0 .. 255, integer weight = code - kPacked8Zero
  k8BitMinimum,  // codes 0 .. 31, and an fp16 minimum that is added
  // Super-blocks of kSuperInputs.
  kSuper4,       // codes 0 .. 15, scales and minimums of groups of 32
  kSuper4Table,  // codes 0 .. 15 into kSuper4Values, scales of groups of 32
  kSuper8,       // codes 0 .. 31, scales and minimums of groups of 16
  kSuper8Zero,  // codes 0 .. 63, weight = code - kSuper8ZeroPoint; scales of 16
  // Floats as the file has them; a block is one input.
  kF16,
  kBf16,
  kF32,
};
inline constexpr int kPackedForms = 10;

// A code minus the zero of its form is the integer weight.
inline constexpr int kPacked4Zero = 8;
inline constexpr int kPacked8Zero = 128;
inline constexpr int kSuper8ZeroPoint = 32;
// What the codes of the 4-bit form with a table stand for (IQ4_NL's values).
inline constexpr int8_t kSuper4Values[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// Bytes of the fp16 numbers of a tile's rows.
inline constexpr int kScaleBytes = 2 * kTileOutputs;

// One block of one tile: its parts as offsets in bytes from its beginning.
struct BlockLayout {
  int inputs = 0;
  int code_bits = 0;
  int group_inputs = 0;  // of one integer scale; 0: no integer scales
  int scale = 0;         // kTileOutputs fp16 scales
  int minimum = 0;       // kTileOutputs fp16 minimums; 0: none
  int scales = 0;        // integer scales
  int minimums = 0;      // integer minimums; 0: none
  int codes = 0;
  int bytes = 0;  // of the whole block

  // Bytes of `count` inputs' codes. At compile time only: not consteval, which
  // clang 14 does not take in templates.
  constexpr int CodeBytes(int count) const {
    return count * kTileOutputs * code_bits / 8;
  }
};

consteval BlockLayout GroupLayout(int code_bits, bool has_minimum) {
  BlockLayout layout = {.inputs = kGroupInputs, .code_bits = code_bits};
  layout.scale = layout.CodeBytes(kGroupInputs);
  layout.bytes = layout.scale + kScaleBytes;
  if (has_minimum) {
    layout.minimum = layout.bytes;
    layout.bytes += kScaleBytes;
  }
  return layout;
}

consteval BlockLayout SuperLayout(int code_bits, bool has_minimums) {
  BlockLayout layout = {.inputs = kSuperInputs, .code_bits = code_bits};
  layout.group_inputs = code_bits == 4 ? 32 : 16;
  const int integers = kSuperInputs / layout.group_inputs * kTileOutputs;
  layout.minimum = kScaleBytes;
  layout.scales = 2 * kScaleBytes;
  layout.codes = layout.scales + integers;
  if (has_minimums) {
    layout.minimums = layout.codes;
    layout.codes += integers;
  }
  layout.bytes = layout.codes + layout.CodeBytes(kSuperInputs);
  return layout;
}

consteval BlockLayout FloatLayout(int bits) {
  BlockLayout layout = {.inputs = 1, .code_bits = bits};
  layout.bytes = layout.CodeBytes(1);
  return layout;
}

// By PackedForm.
inline constexpr BlockLayout kBlockLayouts[kPackedForms] = {
    GroupLayout(4, false), GroupLayout(8, false), GroupLayout(8, true),
    SuperLayout(4, true),  SuperLayout(4, false), SuperLayout(8, true),
    SuperLayout(8, false), FloatLayout(16),       FloatLayout(16),
    FloatLayout(32),
};
template <PackedForm kForm>
inline constexpr BlockLayout kLayoutOf = kBlockLayouts[static_cast<int>(kForm)];

// One group of up to kRowBlock rows of x, quantised to int8 in -127 .. 127.
struct alignas(32) ActivationGroup {
  int8_t values[kRowBlock][kGroupInputs];
  float scales[kRowBlock];
  // -zero * sum(values): where the dot products of unsigned codes start.
  int32_t start4[kRowBlock];
  int32_t start8[kRowBlock];
};

// kSuperInputs inputs of up to kRowBlock rows of x, quantised to int8 in
// -127 .. 127 with one scale a row.
struct alignas(64) ActivationSuperBlock {
  int8_t values[kRowBlock][kSuperInputs];
  // Sums of 16 and of 32 consecutive values; two of them are one 32-bit word of
  // the kernels.
  int16_t sums16[kRowBlock][kSuperGroups];
  int16_t sums32[kRowBlock][kSuperGroups / 2];
  // -8 * sums32: a dot product of 32 4-bit codes that starts here is that of
  // the codes less 8 and fits 16 bits (8 * 127 * 32 = 32512).
  int32_t starts32[kRowBlock][kSuperGroups / 2];
  float scales[kRowBlock];
};

// Consecutive tiles of one packed matrix times all rows of one input.
struct MatmulCall {
  const uint8_t* tiles = nullptr;  // the first one
  int64_t outputs = 0;             // covered; the last tile may be partial
  int64_t blocks = 0;              // of a tile: K / the inputs of a block
  // Forms of groups and of super-blocks: ActivationGroup and
  // ActivationSuperBlock [ceil(rows / kRowBlock)][blocks]. Forms of floats:
  // float [rows, blocks].
  const void* input = nullptr;
  int64_t rows = 0;
  float* y = nullptr;  // [rows, outputs]
  int64_t y_stride = 0;
};

// Partial sums of a reduction: lane i takes elements i, i + 16, ...; they are
// joined by one fixed tree: 8 apart, 4 apart, 2 apart, 1 apart.
inline constexpr int kReductionLanes = 16;

// Positions of one KV page; also attention's block.
inline constexpr int kKvPageTokens = 32;

// One query and what it has gathered from the positions before: with the
// largest score so far as the maximum, the sum of e^(score - maximum), and that
// of e^(score - maximum) * value.
struct AttentionQuery {
  const float* query = nullptr;  // [head_dim]
  float* values = nullptr;       // [head_dim]
  float maximum = 0;
  float sum = 0;
};

// One block of keys and values of one KV head for the queries that see the same
// positions of it.
struct AttentionCall {
  const void* keys = nullptr;    // [head_dim, kKvPageTokens]
  const void* values = nullptr;  // [kKvPageTokens, head_dim]
  // The block that will be asked for next, to be fetched meanwhile; or null.
  const void* next_keys = nullptr;
  const void* next_values = nullptr;
  // Positions of the block that the queries see, begin .. end - 1; at least
  // one. The others may hold anything.
  int64_t begin = 0;
  int64_t end = 0;
  int64_t head_dim = 0;
  float scale = 0;
  float soft_cap = 0;                 // of the scores; 0: none
  AttentionQuery* queries = nullptr;  // [query_count]
  int64_t query_count = 0;
};

struct KernelTable {
  // Quantise the groups or super-blocks of x into row `row` of out[blocks].
  void (*quantize_groups)(const float* x, int64_t blocks, int row,
                          ActivationGroup* out);
  void (*quantize_super_blocks)(const float* x, int64_t blocks, int row,
                                ActivationSuperBlock* out);
  // By PackedForm.
  void (*matmul[kPackedForms])(const MatmulCall& call);

  // out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i].
  void (*rms_norm)(const float* x, const float* weight, int64_t count,
                   float epsilon, float* out);
  // Rotates the pairs (x[2i], x[2i+1]) of each head by the angles of one
  // position: cos_sin [rotary_dims] = cos, sin, cos, sin, ... Dimensions past
  // rotary_dims are left. Interleaved pairs are the Llama order of GGUF files.
  void (*rope_interleaved)(float* x, int64_t heads, int64_t head_dim,
                           const float* cos_sin, int64_t rotary_dims);
  // The same for the pairs (x[i], x[i + rotary_dims / 2]), the order of
  // GPT-NeoX: cos_sin [rotary_dims] = all cosines, then all sines.
  void (*rope_half_split)(float* x, int64_t heads, int64_t head_dim,
                          const float* cos_sin, int64_t rotary_dims);
  // out[i] = silu(gate[i]) * up[i], silu(v) = v / (1 + e^-v).
  void (*silu_multiply)(const float* gate, const float* up, int64_t count,
                        float* out);
  // out[i] = gelu(gate[i]) * up[i], GELU in its form by tanh.
  void (*gelu_multiply)(const float* gate, const float* up, int64_t count,
                        float* out);
  // x[i] = cap * tanh(x[i] / cap), cap above 0.
  void (*soft_cap)(float* x, int64_t count, float cap);
  // x[i] *= factor.
  void (*scale)(float* x, int64_t count, float factor);
  // x[i] += y[i].
  void (*add_in_place)(float* x, const float* y, int64_t count);
  void (*float_to_bf16)(const float* x, int64_t count, uint16_t* out);

  void (*attend_block_bf16)(const AttentionCall& call);
  void (*attend_block_f32)(const AttentionCall& call);
  // into = into * into_factor + next * next_factor.
  void (*merge_values)(const float* next, float next_factor, float into_factor,
                       int64_t count, float* into);
  // out = values / sum.
  void (*divide)(const float* values, float sum, int64_t count, float* out);
};

// The oracle: plain C++, any machine.
extern const KernelTable kScalarKernels;
// Only for a machine that has the level.
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;

// The table of a level that the machine has.
const KernelTable& KernelsFor(SimdLevel level);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_KERNEL_TABLE_H_
