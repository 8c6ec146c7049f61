// The functions that one SIMD level provides, and the memory layouts that they
// share. Included by files compiled for AVX2 and AVX-512, so it includes
// nothing but <cstdint> and defines no inline function.
//
// Every function is pure, may be called from any thread, and gives the same
// bits at every level (README.md has the order of operations of each).

#ifndef TANDEM_ENGINE_KERNELS_KERNEL_TABLE_H_
#define TANDEM_ENGINE_KERNELS_KERNEL_TABLE_H_

#include <cstdint>

namespace tandem {

// Elements of K that share one weight scale and one activation scale.
inline constexpr int kGroupInputs = 32;
// Output rows of one packed tile, one per 32-bit SIMD lane: two vectors of the
// widest level, whose groups make one stream of whole cache lines.
inline constexpr int kTileOutputs = 32;
// Rows of x whose quantised groups lie side by side.
inline constexpr int kRowBlock = 8;

// Bytes of one group of one tile: codes, then 32 fp16 scales.
inline constexpr int kScaleBytes = 2 * kTileOutputs;
inline constexpr int kPacked4CodeBytes = kGroupInputs * kTileOutputs / 2;
inline constexpr int kPacked8CodeBytes = kGroupInputs * kTileOutputs;
inline constexpr int kPacked4GroupBytes = kPacked4CodeBytes + kScaleBytes;
inline constexpr int kPacked8GroupBytes = kPacked8CodeBytes + kScaleBytes;
// With 32 fp16 minimums after the scales.
inline constexpr int kPacked8MinimumGroupBytes =
    kPacked8CodeBytes + 2 * kScaleBytes;

// A code minus its zero is the integer weight.
inline constexpr int kPacked4Zero = 8;
inline constexpr int kPacked8Zero = 128;

// One group of up to kRowBlock rows of x, quantised to int8 in -127 .. 127.
struct alignas(32) ActivationGroup {
  int8_t values[kRowBlock][kGroupInputs];
  float scales[kRowBlock];
  // -zero * sum(values): where the dot products of unsigned codes start.
  int32_t start4[kRowBlock];
  int32_t start8[kRowBlock];
};

// Consecutive tiles of one packed matrix times all rows of one input.
struct PackedMatmul {
  const uint8_t* tiles = nullptr;  // the first one
  int64_t tile_stride = 0;         // bytes from tile to tile
  int64_t outputs = 0;             // covered; the last tile may be partial
  int64_t groups = 0;              // K / kGroupInputs
  // [ceil(rows / kRowBlock)][groups]
  const ActivationGroup* input = nullptr;
  int64_t rows = 0;
  float* y = nullptr;  // [rows, outputs]
  int64_t y_stride = 0;
};

// Consecutive tiles of a float matrix times all rows of x. A tile holds, input
// by input, the weights of its kTileOutputs rows side by side.
struct FloatMatmul {
  const void* tiles = nullptr;  // the first one: [tiles][inputs][kTileOutputs]
  int64_t outputs = 0;          // covered; the last tile may be partial
  int64_t inputs = 0;           // K
  const float* x = nullptr;     // [rows, inputs]
  int64_t rows = 0;
  float* y = nullptr;  // [rows, outputs]
  int64_t y_stride = 0;
};

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
  // one. Nothing is said about the others.
  int64_t begin = 0;
  int64_t end = 0;
  int64_t head_dim = 0;
  float scale = 0;
  float soft_cap = 0;                 // of the scores; 0: none
  AttentionQuery* queries = nullptr;  // [query_count]
  int64_t query_count = 0;
};

struct SuperKernels;  // super_kernels.h

struct KernelTable {
  // Quantises x[groups * kGroupInputs] into row `row` of `out[groups]`.
  void (*quantize_row)(const float* x, int64_t groups, int row,
                       ActivationGroup* out);
  void (*matmul_packed4)(const PackedMatmul& call);
  void (*matmul_packed8)(const PackedMatmul& call);
  // Weights of fp16, bf16 and float32.
  void (*matmul_f16)(const FloatMatmul& call);
  void (*matmul_bf16)(const FloatMatmul& call);
  void (*matmul_f32)(const FloatMatmul& call);
  const SuperKernels* super;

  void (*rms_norm)(const float* x, const float* weight, int64_t count,
                   float epsilon, float* out);
  void (*rope_interleaved)(float* x, int64_t heads, int64_t head_dim,
                           const float* cos_sin, int64_t rotary_dims);
  void (*rope_half_split)(float* x, int64_t heads, int64_t head_dim,
                          const float* cos_sin, int64_t rotary_dims);
  void (*silu_multiply)(const float* gate, const float* up, int64_t count,
                        float* out);
  void (*gelu_multiply)(const float* gate, const float* up, int64_t count,
                        float* out);
  void (*soft_cap)(float* x, int64_t count, float cap);
  void (*scale)(float* x, int64_t count, float factor);
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
// Only for a machine that has the level (KernelsFor, kernels.h).
extern const KernelTable kAvx2Kernels;
extern const KernelTable kAvx512Kernels;

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_KERNEL_TABLE_H_
