// Writes a GGUF file to disk piece by piece, so it may be larger than memory.
// The file appears under its name when it is whole; what was not finished is
// removed. Used by one thread.

#ifndef TANDEM_ENGINE_GGUF_GGUF_OUTPUT_H_
#define TANDEM_ENGINE_GGUF_GGUF_OUTPUT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/types/span.h"
#include "engine/base/output_file.h"
#include "engine/base/status.h"
#include "engine/gguf/gguf_writer.h"

namespace tandem {

class GgufOutput {
 public:
  // Begins `path` with the header of `writer`, whose tensors are declared.
  // Errors of this and of all that follow: those of OutputFile.
  static absl::StatusOr<std::unique_ptr<GgufOutput>> Create(
      const std::string& path, const GgufWriter& writer);

  // The next bytes of the tensor in turn; tensors go in the order in which they
  // were declared.
  absl::Status Append(absl::Span<const uint8_t> bytes);
  // The tensor is whole: pads to the alignment.
  absl::Status EndTensor();
  // Gives the file its name, over one that may be there. Once, at the end.
  absl::Status Finish() { return file_->Commit(); }

 private:
  GgufOutput(std::unique_ptr<OutputFile> file, uint64_t alignment);

  const std::unique_ptr<OutputFile> file_;
  const uint64_t alignment_;
  uint64_t tensor_bytes_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GGUF_GGUF_OUTPUT_H_
