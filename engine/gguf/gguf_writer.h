// Builds a GGUF (version 3) image in memory: tests make their files with it,
// and a worker makes the metadata-only file that it hands to coordinators.

#ifndef TANDEM_ENGINE_GGUF_GGUF_WRITER_H_
#define TANDEM_ENGINE_GGUF_GGUF_WRITER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/tensor_type.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

class GgufWriter {
 public:
  void SetUint32(absl::string_view key, uint32_t value) {
    Set(key, GgufValueType::kUint32, uint64_t{value});
  }
  void SetUint64(absl::string_view key, uint64_t value) {
    Set(key, GgufValueType::kUint64, value);
  }
  void SetInt32(absl::string_view key, int32_t value) {
    Set(key, GgufValueType::kInt32, int64_t{value});
  }
  void SetFloat32(absl::string_view key, float value) {
    Set(key, GgufValueType::kFloat32, double{value});
  }
  void SetBool(absl::string_view key, bool value) {
    Set(key, GgufValueType::kBool, value);
  }
  void SetString(absl::string_view key, absl::string_view value) {
    Set(key, GgufValueType::kString, value);
  }
  void SetStringArray(absl::string_view key,
                      absl::Span<const std::string> values) {
    SetArray<absl::string_view>(key, GgufValueType::kString, values);
  }
  void SetFloat32Array(absl::string_view key, absl::Span<const float> values) {
    SetArray<double>(key, GgufValueType::kFloat32, values);
  }
  void SetInt32Array(absl::string_view key, absl::Span<const int32_t> values) {
    SetArray<int64_t>(key, GgufValueType::kInt32, values);
  }
  // Any entry of another file, as it is.
  void CopyEntry(const GgufEntry& entry) {
    Set(entry.key, entry.type, entry.value);
  }

  // dims[0] is the contiguous dimension; data has the size that type and dims
  // give.
  void AddTensor(absl::string_view name, TensorType type,
                 absl::Span<const uint64_t> dims,
                 absl::Span<const uint8_t> data);

  // The same without the data, for files that are too large for memory: the
  // caller writes SerializeHeader and then each tensor's data, in the order in
  // which they were declared, padded with zeros to alignment().
  void DeclareTensor(absl::string_view name, TensorType type,
                     absl::Span<const uint64_t> dims);

  // The whole file image. No tensor is without data.
  std::string Serialize() const;
  // What stands before the tensor data.
  std::string SerializeHeader() const;
  uint64_t alignment() const { return alignment_; }

 private:
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<uint64_t> dims;
    uint64_t bytes;
    std::string data;  // empty where only declared
  };

  void Set(absl::string_view key, GgufValueType type, const GgufValue& value);
  template <typename Widened, typename T>
  void SetArray(absl::string_view key, GgufValueType element_type,
                absl::Span<const T> values) {
    Set(key, GgufValueType::kArray,
        GgufArray{
            .element_type = element_type,
            .values = std::vector<Widened>(values.begin(), values.end())});
  }

  uint64_t entries_ = 0;
  uint64_t alignment_ = 32;  // general.alignment, once that is set
  std::string metadata_;
  std::vector<Tensor> tensors_;
};

// The image of a GGUF that holds `file`'s metadata (general.architecture and
// name, tokenizer.*) and no tensor: what GetTokenizer streams.
std::string TokenizerImage(const GgufFile& file);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GGUF_GGUF_WRITER_H_
