#include "engine/gguf/gguf_output.h"

#include <utility>

namespace tandem {

GgufOutput::GgufOutput(std::unique_ptr<OutputFile> file, uint64_t alignment)
    : file_(std::move(file)), alignment_(alignment) {}

absl::StatusOr<std::unique_ptr<GgufOutput>> GgufOutput::Create(
    const std::string& path, const GgufWriter& writer) {
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<OutputFile> file,
                          OutputFile::Create(path));
  TANDEM_RETURN_IF_ERROR(file->Append(writer.SerializeHeader()));
  return std::unique_ptr<GgufOutput>(
      new GgufOutput(std::move(file), writer.alignment()));
}

absl::Status GgufOutput::Append(absl::Span<const uint8_t> bytes) {
  tensor_bytes_ += bytes.size();
  return file_->Append(bytes);
}

absl::Status GgufOutput::EndTensor() {
  const std::string zeros(
      (alignment_ - tensor_bytes_ % alignment_) % alignment_, '\0');
  tensor_bytes_ = 0;
  return file_->Append(zeros);
}

}  // namespace tandem
