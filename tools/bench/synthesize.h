// Makes GGUF files of Llama shape with random weights, for benchmarks: no
// model can be downloaded where tandem is built, and speed does not depend on
// what the weights say. Written in pieces, so a file may be larger than memory.

#ifndef TANDEM_TOOLS_BENCH_SYNTHESIZE_H_
#define TANDEM_TOOLS_BENCH_SYNTHESIZE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/tensor_type.h"

namespace tandem::bench {

// What a Llama model is, in the words of its file's metadata.
struct ModelShape {
  int64_t layers = 0;
  int64_t width = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t feed_forward = 0;
  int64_t vocab = 0;
  int64_t context = 0;
};

struct NamedShape {
  absl::string_view name;
  ModelShape shape;
};
// "llama-1.1b" and the like.
const std::vector<NamedShape>& NamedShapes();
std::optional<ModelShape> FindShape(absl::string_view name);

struct SynthesizeOptions {
  ModelShape shape = {};
  // Of the matrices: F32, F16, BF16, Q8_0, Q4_0, Q6_K, or Q4_K, which stands
  // for the mix Q4_K_M (Q4KMediumType); norms are F32.
  TensorType type = TensorType::kQ4_0;
  // Layers of the model whose mix is taken, so that a draft has its layers in
  // the target's types; 0: the shape's.
  int64_t mix_layers = 0;
  uint64_t seed = 1;
  // Layers that count in full. What the later ones add to the residual stream
  // is scaled by tail_scale, so a model of the first `full_layers` layers
  // guesses what the whole one says: the smaller the scale, the better.
  int64_t full_layers = 0;
  double tail_scale = 1;
  // Called now and then with 0 .. 1.
  std::function<void(double fraction)> progress = {};
};

// Writes the model to `path`, over a file that may be there; nothing is left
// of a file that could not be finished. The same options give the same bytes,
// and a tensor's bytes depend on its name, its shape and the seed, so a draft
// of fewer layers shares its layers with the target. Errors: INVALID_ARGUMENT
// (a shape that no model can have, a type that can not be made), UNAVAILABLE
// (the file can not be written; names it).
absl::Status SynthesizeModel(const SynthesizeOptions& options,
                             const std::string& path);

}  // namespace tandem::bench

#endif  // TANDEM_TOOLS_BENCH_SYNTHESIZE_H_
