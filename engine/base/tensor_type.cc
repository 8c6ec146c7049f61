#include "engine/base/tensor_type.h"

#include "engine/base/check.h"

namespace tandem {

std::optional<TensorTypeInfo> FindTensorType(uint32_t number) {
  switch (static_cast<TensorType>(number)) {
    case TensorType::kF32:
      return TensorTypeInfo{"F32", 1, 4};
    case TensorType::kF16:
      return TensorTypeInfo{"F16", 1, 2};
    case TensorType::kQ4_0:
      return TensorTypeInfo{"Q4_0", 32, 18};
    case TensorType::kQ4_1:
      return TensorTypeInfo{"Q4_1", 32, 20};
    case TensorType::kQ5_0:
      return TensorTypeInfo{"Q5_0", 32, 22};
    case TensorType::kQ5_1:
      return TensorTypeInfo{"Q5_1", 32, 24};
    case TensorType::kQ8_0:
      return TensorTypeInfo{"Q8_0", 32, 34};
    case TensorType::kQ8_1:
      return TensorTypeInfo{"Q8_1", 32, 36};
    case TensorType::kQ2_K:
      return TensorTypeInfo{"Q2_K", 256, 84};
    case TensorType::kQ3_K:
      return TensorTypeInfo{"Q3_K", 256, 110};
    case TensorType::kQ4_K:
      return TensorTypeInfo{"Q4_K", 256, 144};
    case TensorType::kQ5_K:
      return TensorTypeInfo{"Q5_K", 256, 176};
    case TensorType::kQ6_K:
      return TensorTypeInfo{"Q6_K", 256, 210};
    case TensorType::kQ8_K:
      return TensorTypeInfo{"Q8_K", 256, 292};
    case TensorType::kIQ4_NL:
      return TensorTypeInfo{"IQ4_NL", 32, 18};
    case TensorType::kIQ4_XS:
      return TensorTypeInfo{"IQ4_XS", 256, 136};
    case TensorType::kI8:
      return TensorTypeInfo{"I8", 1, 1};
    case TensorType::kI16:
      return TensorTypeInfo{"I16", 1, 2};
    case TensorType::kI32:
      return TensorTypeInfo{"I32", 1, 4};
    case TensorType::kI64:
      return TensorTypeInfo{"I64", 1, 8};
    case TensorType::kF64:
      return TensorTypeInfo{"F64", 1, 8};
    case TensorType::kBF16:
      return TensorTypeInfo{"BF16", 1, 2};
  }
  return std::nullopt;
}

TensorTypeInfo GetTensorTypeInfo(TensorType type) {
  const std::optional<TensorTypeInfo> info =
      FindTensorType(static_cast<uint32_t>(type));
  TANDEM_CHECK(info.has_value());
  return *info;
}

}  // namespace tandem
