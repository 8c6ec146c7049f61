#include "engine/gguf/gguf_output.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem {

GgufOutput::GgufOutput(const std::string& path, uint64_t alignment)
    : path_(path),
      part_(path + ".part"),
      alignment_(alignment),
      file_(fopen(part_.c_str(), "wb")) {}

GgufOutput::~GgufOutput() {
  if (file_ == nullptr) return;
  (void)fclose(file_);
  (void)remove(part_.c_str());
}

absl::StatusOr<std::unique_ptr<GgufOutput>> GgufOutput::Create(
    const std::string& path, const GgufWriter& writer) {
  std::unique_ptr<GgufOutput> output(new GgufOutput(path, writer.alignment()));
  if (output->file_ == nullptr) return output->Failed();
  const std::string header = writer.SerializeHeader();
  if (fwrite(header.data(), 1, header.size(), output->file_) != header.size()) {
    return output->Failed();
  }
  return output;
}

absl::Status GgufOutput::Append(absl::Span<const uint8_t> bytes) {
  tensor_bytes_ += bytes.size();
  if (fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size()) {
    return absl::OkStatus();
  }
  return Failed();
}

absl::Status GgufOutput::EndTensor() {
  const std::string zeros(
      (alignment_ - tensor_bytes_ % alignment_) % alignment_, '\0');
  tensor_bytes_ = 0;
  if (fwrite(zeros.data(), 1, zeros.size(), file_) == zeros.size()) {
    return absl::OkStatus();
  }
  return Failed();
}

absl::Status GgufOutput::Finish() {
  FILE* const file = std::exchange(file_, nullptr);
  if (fclose(file) == 0 && rename(part_.c_str(), path_.c_str()) == 0) {
    return absl::OkStatus();
  }
  const absl::Status status = Failed();
  (void)remove(part_.c_str());
  return status;
}

absl::Status GgufOutput::Failed() const {
  return absl::UnavailableError(
      absl::StrCat(path_, ": cannot be written: ", strerror(errno)));
}

}  // namespace tandem
