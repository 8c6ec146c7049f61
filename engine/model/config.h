// The shape of a model, read from GGUF metadata. A value; immutable once made.
//
// Architectures are data: a table in config.cc names each one that is known
// and the forward pass follows the fields here, never the name.

#ifndef TANDEM_ENGINE_MODEL_CONFIG_H_
#define TANDEM_ENGINE_MODEL_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/hash.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

struct ModelConfig {
  std::string architecture;        // general.architecture
  int64_t layers = 0;              // block_count
  int64_t width = 0;               // embedding_length
  int64_t feed_forward_width = 0;  // feed_forward_length
  int64_t heads = 0;               // attention.head_count
  int64_t kv_heads = 0;            // attention.head_count_kv; divides heads
  int64_t head_dim = 0;            // even
  int64_t rotary_dims = 0;         // even, at most head_dim
  double rope_base = 0;            // rope.freq_base
  float norm_epsilon = 0;          // attention.layer_norm_rms_epsilon
  Position context_length = 0;     // positions that the model was made for
  int64_t vocab_size = 0;          // rows of token_embd.weight

  // Reads and checks every hyper-parameter. Errors: INVALID_ARGUMENT with
  // MALFORMED_FILE (missing, of the wrong type or out of range; names key and
  // offset) or UNSUPPORTED_MODEL (another architecture, or a key under the
  // architecture's name that could change the result and that this build does
  // not know: rope scaling, experts, sliding windows).
  static absl::StatusOr<ModelConfig> FromGguf(const GgufFile& file);

  int64_t query_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }

  // Every field, for the fingerprint.
  void AddTo(Sha256* hash) const;
};

// A MALFORMED_FILE or an UNSUPPORTED_MODEL error: `what` is wrong in `file`.
absl::Status MalformedModel(const GgufFile& file, absl::string_view what);
absl::Status UnsupportedModel(const GgufFile& file, absl::string_view what);

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_CONFIG_H_
