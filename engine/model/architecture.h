// The architectures that are known, as data: one table entry each. The reader
// of the config and the loader of the weights follow the entry, the forward
// pass follows the config; nobody else looks at the name. Immutable; any
// thread.

#ifndef TANDEM_ENGINE_MODEL_ARCHITECTURE_H_
#define TANDEM_ENGINE_MODEL_ARCHITECTURE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/types.h"

namespace tandem {

// Which dimensions of a head turn together.
enum class RopePairs {
  kInterleaved,  // 2i and 2i + 1
  kHalfSplit,    // i and i + dims / 2
};

// Of the gate in the feed forward part.
enum class Activation { kSilu, kGelu };

// What a layer has or does beyond the llama layer.
struct ModelFeatures {
  RopePairs rope_pairs = RopePairs::kInterleaved;
  Activation activation = Activation::kSilu;
  // attn_q.bias, attn_k.bias, attn_v.bias.
  bool qkv_biases = false;
  // attn_q_norm, attn_k_norm: RMSNorm of each head before it is rotated.
  bool head_norms = false;
  // post_attention_norm, post_ffw_norm: RMSNorm of what is added.
  bool post_norms = false;
  // attn_qkv is query, key and value, ffn_up is gate and up, one below the
  // other.
  bool fused_inputs = false;
};

struct Architecture {
  absl::string_view name;  // general.architecture; its keys are "<name>.<key>"
  ModelFeatures features = {};

  // Embeddings are multiplied by the square root of their width.
  bool scales_by_root_width = false;
  // Takes embedding_scale, residual_scale, attention.scale and logit_scale.
  bool takes_multipliers = false;

  // rope.scaling.finetuned says whether there is RoPE; elsewhere it says what
  // training was.
  bool finetuned_means_rope = false;

  // Takes attn_logit_softcapping and final_logit_softcapping; where a file
  // has none: these, 0 for no cap.
  bool takes_soft_caps = false;
  double attention_soft_cap = 0;
  double logit_soft_cap = 0;

  // Takes attention.sliding_window. Of each `window_period` layers all but the
  // last have the window; 0: every layer.
  bool takes_window = false;
  int64_t window_period = 0;
  Position window = 0;  // where a file has none; 0: no window
  // RoPE base of layers with a window, which are not scaled then; 0: as the
  // others.
  double local_rope_base = 0;

  // A model of so many layers scales its scores by 1 / sqrt(width / heads)
  // instead of 1 / sqrt(head_dim). Files do not say it.
  int64_t wide_score_layers = 0;
};

// nullptr for a name that is not known.
const Architecture* FindArchitecture(absl::string_view name);

// All names, for messages: "gemma, gemma2, ...".
std::string ArchitectureNames();

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_ARCHITECTURE_H_
