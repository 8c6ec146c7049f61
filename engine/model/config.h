// The shape of a model, read from GGUF metadata. A value; immutable once made.
//
// Architectures are data (architecture.h): the forward pass follows the fields
// here, never the name.

#ifndef TANDEM_ENGINE_MODEL_CONFIG_H_
#define TANDEM_ENGINE_MODEL_CONFIG_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/hash.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"
#include "engine/model/architecture.h"
#include "engine/model/layer_windows.h"
#include "engine/model/rope.h"

namespace tandem {

// Tensors of RoPE factors, which the config holds.
inline constexpr char kRopeFactors[] = "rope_freqs.weight";
inline constexpr char kRopeFactorsShort[] = "rope_factors_short.weight";
inline constexpr char kRopeFactorsLong[] = "rope_factors_long.weight";

struct ModelConfig {
  std::string architecture;        // general.architecture
  ModelFeatures features;          // of the architecture
  int64_t layers = 0;              // block_count
  int64_t width = 0;               // embedding_length
  int64_t feed_forward_width = 0;  // feed_forward_length
  int64_t heads = 0;               // attention.head_count
  int64_t kv_heads = 0;            // attention.head_count_kv; divides heads
  int64_t head_dim = 0;            // even
  RopeConfig rope;
  std::optional<RopeConfig> local_rope;  // of layers with a window; else `rope`
  float norm_epsilon = 0;                // attention.layer_norm_rms_epsilon
  Position context_length = 0;  // positions that the model was made for
  int64_t vocab_size = 0;       // rows of token_embd.weight

  float embedding_scale = 1;
  float residual_scale = 1;      // of what a layer adds
  float attention_scale = 1;     // of query times key
  float attention_soft_cap = 0;  // of the scaled scores; 0: none
  float logit_scale = 1;
  float logit_soft_cap = 0;  // of the scaled logits; 0: none

  LayerWindows windows;

  // Reads and checks every hyper-parameter. Errors: INVALID_ARGUMENT with
  // MALFORMED_FILE (missing, of the wrong type or out of range; names key and
  // offset) or UNSUPPORTED_MODEL (another architecture, or a key under the
  // architecture's name that could change the result and that this build does
  // not know, experts for one).
  static absl::StatusOr<ModelConfig> FromGguf(const GgufFile& file);

  int64_t query_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }

  // The first position that `position` sees in `layer`.
  Position FirstSeen(int64_t layer, Position position) const {
    if (!windows.Has(layer)) return 0;
    return std::max<Position>(0, position + 1 - windows.window);
  }

  // Every field, for the fingerprint.
  void AddTo(Sha256* hash) const;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_CONFIG_H_
