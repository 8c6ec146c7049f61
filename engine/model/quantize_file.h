// Makes a quantised model file of a float one. Reads the mapped input and
// writes the output piece by piece, so either may be larger than memory. The
// same input gives the same bytes, with any number of threads.

#ifndef TANDEM_ENGINE_MODEL_QUANTIZE_FILE_H_
#define TANDEM_ENGINE_MODEL_QUANTIZE_FILE_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/base/tensor_type.h"
#include "engine/base/thread_team.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

// What a matrix of a model of `layers` layers gets where Q4_K is asked for:
// the usual mix Q4_K_M. Q6_K for the matrices that lose most: the head, and
// attn_v and ffn_down of the first and the last eighth of the layers and of
// every third between them; Q4_K for the others. `tied`: token_embd.weight is
// the head.
TensorType Q4KMediumType(absl::string_view tensor, int64_t layers, bool tied);

struct QuantizeOptions {
  // Q8_0, Q4_0 (with a head of Q6_K), or Q4_K (which stands for the mix).
  TensorType type = TensorType::kQ8_0;
  ThreadTeam* team = nullptr;
  std::function<void(double fraction)> progress = {};  // may be empty
};

// Writes `input` to `path` as one file, also where it is several: matrices of
// floats in the asked type, vectors in F32, metadata copied (but for split.*),
// general.file_type set. A matrix whose rows are no multiple of its type's
// block is Q8_0, or F16 where they are no multiple of 32 either. Errors:
// INVALID_ARGUMENT with UNSUPPORTED_MODEL (a matrix that is quantised already)
// or MALFORMED_FILE (NaN, infinity or a number above 65504, the largest fp16),
// naming the tensor; those of OutputFile. Nothing is left of a file that
// failed.
absl::Status QuantizeFile(const GgufFile& input, const std::string& path,
                          const QuantizeOptions& options);

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_QUANTIZE_FILE_H_
