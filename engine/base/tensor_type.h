// The element types of tensors in GGUF files, with their numbers there. In
// base because both the reader (gguf) and the packer (kernels) name them.

#ifndef TANDEM_ENGINE_BASE_TENSOR_TYPE_H_
#define TANDEM_ENGINE_BASE_TENSOR_TYPE_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace tandem {

enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ8_1 = 9,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kQ8_K = 15,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kBF16 = 30,
};

struct TensorTypeInfo {
  absl::string_view name;   // as GGUF tools print it: "Q8_0"
  uint32_t block_elements;  // elements of one block along dims[0]
  uint32_t block_bytes;
};

// Nothing for a number that is not a type above (removed and newer ones).
std::optional<TensorTypeInfo> FindTensorType(uint32_t number);

// Of a known type.
TensorTypeInfo GetTensorTypeInfo(TensorType type);

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_TENSOR_TYPE_H_
