// The weights of one model in one numerics mode, with the forward pass.
// Immutable after Load and shared (shared_ptr: store, engines); what a pass
// changes (KV cache, activations, threads) is the caller's ModelState.

#ifndef TANDEM_ENGINE_MODEL_MODEL_H_
#define TANDEM_ENGINE_MODEL_MODEL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/model/config.h"
#include "engine/model/step.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

struct ModelOptions {
  // Absent: int8 for quantised files, int8+float for those with float matrices
  // among the quantised ones, bf16 for BF16 files on AVX-512, else f32. A mode
  // that rounds a matrix to less than the file holds must be asked for here.
  std::optional<NumericsMode> numerics = {};
  // SHA-256 of the file, as sha256sum prints it, or of each file of a split
  // model in their order; empty: any file will do.
  std::vector<std::string> sha256 = {};
  // Threads for packing; 0: one per CPU.
  int threads = 0;
  // Called now and then on the loading thread with 0 .. 1.
  std::function<void(double fraction)> progress = {};
};

class ModelState;    // engine/model/model_state.h
class ModelWeights;  // engine/model/weights.h

class Model {
 public:
  // Errors: INVALID_ARGUMENT with MALFORMED_FILE or UNSUPPORTED_MODEL (names
  // the key or tensor; or the file has changed meanwhile), FAILED_PRECONDITION
  // with UNSUPPORTED_NUMERICS or DIGEST_MISMATCH.
  static absl::StatusOr<std::shared_ptr<const Model>> Load(
      std::unique_ptr<GgufFile> file, const ModelOptions& options);
  ~Model();

  // One pass over every item: writes their keys and values to the state's KV
  // cache and hands wanted rows to `consumer`. `batch` has passed the state's
  // CheckBatch. Allocates nothing.
  void Step(absl::Span<const StepItem> batch, ModelState* state,
            RowConsumer* consumer) const;

  // Step with one sequence, checked by CheckBatch: logits [tokens.size(),
  // vocab_size], row-major. Errors: those of a row.
  absl::StatusOr<std::vector<float>> Forward(absl::Span<const TokenId> tokens,
                                             Position position,
                                             SequenceId sequence,
                                             ModelState* state) const;

  const ModelConfig& config() const { return config_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  NumericsMode numerics() const { return numerics_; }
  // Memory of all weights, in bytes.
  int64_t weight_bytes() const;
  // What a pass of few rows reads of them, each once, and the multiply-adds of
  // one row with all matrices.
  int64_t weight_bytes_per_pass() const;
  int64_t macs_per_token() const;
  // SHA-256 of weights, tokenizer, numerics mode and version, RoPE settings
  // and, for oneDNN modes, its version and instruction set.
  const std::string& fingerprint() const { return fingerprint_; }
  // The metadata-only GGUF that GetTokenizer hands out.
  const std::string& tokenizer_image() const { return tokenizer_image_; }

 private:
  Model();

  static absl::StatusOr<std::shared_ptr<const Model>> Read(
      const GgufFile& file, const ModelOptions& options);
  std::string ComputeFingerprint() const;

  ModelConfig config_;
  NumericsMode numerics_ = NumericsMode::kF32;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<ModelWeights> weights_;
  std::string tokenizer_image_;
  std::string fingerprint_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_MODEL_H_
