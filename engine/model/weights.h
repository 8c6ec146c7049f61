// The weights of one model, ready to multiply: every tensor that the config
// asks for, found, shape-checked, searched for NaN and packed. Owned by a
// Model; immutable after Load.

#ifndef TANDEM_ENGINE_MODEL_WEIGHTS_H_
#define TANDEM_ENGINE_MODEL_WEIGHTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/base/status.h"
#include "engine/base/thread_team.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/model/config.h"

namespace tandem {

// Vectors that the architecture does not have are empty.
struct LayerWeights {
  AlignedBuffer<float> attention_norm;          // [width]
  Linear query;                                 // [query_width, width]
  Linear key;                                   // [kv_width, width]
  Linear value;                                 // [kv_width, width]
  AlignedBuffer<float> query_bias;              // [query_width]
  AlignedBuffer<float> key_bias;                // [kv_width]
  AlignedBuffer<float> value_bias;              // [kv_width]
  AlignedBuffer<float> query_norm;              // [head_dim]
  AlignedBuffer<float> key_norm;                // [head_dim]
  Linear attention_output;                      // [width, query_width]
  AlignedBuffer<float> post_attention_norm;     // [width]
  AlignedBuffer<float> feed_forward_norm;       // [width]
  Linear gate;                                  // [feed_forward_width, width]
  Linear up;                                    // [feed_forward_width, width]
  Linear down;                                  // [width, feed_forward_width]
  AlignedBuffer<float> post_feed_forward_norm;  // [width]
};

// What a file is loaded in when nobody says: int8 where every multiplied
// matrix is quantised, int8+float where some are, bf16 where every one is BF16
// and the machine multiplies those, else f32. So no file is rounded to less
// than it holds unasked.
NumericsMode DefaultNumericsMode(const GgufFile& file);

// What a matrix of the file takes in memory when it is loaded in `mode`:
// packed, or, of a table of embeddings that is only looked up, as it is in the
// file. Nothing for a vector, and for a matrix that Load refuses by its type or
// its row length.
std::optional<int64_t> MatrixMemoryBytes(const GgufFile& file,
                                         const GgufTensor& tensor,
                                         NumericsMode mode);

// What ModelWeights::bytes() will be for the file in that mode, or a little
// more, as the tensor table alone tells: RoPE factors are counted, and for a
// matrix that Load cuts into parts one tile of rows each but one.
int64_t PlannedWeightBytes(const GgufFile& file, NumericsMode mode);

struct WeightsOptions {
  NumericsMode mode = NumericsMode::kF32;
  ThreadTeam* team = nullptr;
  std::function<void(double fraction)> progress = {};  // may be empty
};

class ModelWeights {
 public:
  // Errors: INVALID_ARGUMENT with MALFORMED_FILE (a tensor missing or of
  // another shape, NaN or infinity in it; a file that has become too short) or
  // UNSUPPORTED_MODEL (a tensor type,
  // or a tensor that is no part of the architecture), each naming the tensor;
  // FAILED_PRECONDITION with UNSUPPORTED_NUMERICS.
  static absl::StatusOr<std::unique_ptr<ModelWeights>> Load(
      const GgufFile& file, const ModelConfig& config,
      const WeightsOptions& options);

  const LayerWeights& layer(int64_t index) const { return layers_[index]; }
  const AlignedBuffer<float>& output_norm() const { return output_norm_; }
  // [vocab_size, width]
  const Linear& head() const { return head_; }

  // out [width] = the embedding of `token`, which is in the vocabulary.
  void EmbeddingRow(TokenId token, float* out) const;

  // Memory of the packed matrices, of a separate embedding table and of
  // vectors.
  int64_t bytes() const { return bytes_; }
  // Of the matrices that a pass multiplies: memory, and multiply-adds for one
  // row.
  int64_t matrix_bytes() const { return matrix_bytes_; }
  int64_t matrix_macs() const { return matrix_macs_; }

  // SHA-256 over name, type, dims and data of every tensor.
  const std::string& hash() const { return hash_; }

 private:
  friend class WeightsLoader;

  ModelWeights() = default;

  std::vector<LayerWeights> layers_;
  AlignedBuffer<float> output_norm_;
  Linear head_;
  // The table as the file holds it, where the head is a matrix of its own; a
  // tied head gives its rows itself.
  AlignedBuffer<uint8_t> embeddings_;
  TensorType embeddings_type_ = TensorType::kF32;
  int64_t embedding_row_bytes_ = 0;
  int64_t width_ = 0;
  int64_t bytes_ = 0;
  int64_t matrix_bytes_ = 0;
  int64_t matrix_macs_ = 0;
  std::string hash_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_WEIGHTS_H_
