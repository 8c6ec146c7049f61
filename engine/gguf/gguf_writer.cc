#include "engine/gguf/gguf_writer.h"

#include <type_traits>
#include <utility>

#include "absl/strings/match.h"
#include "engine/base/check.h"
#include "engine/gguf/gguf_parser.h"

namespace tandem {
namespace {

constexpr uint32_t kVersion = 3;

template <typename T>
void AppendNumber(T value, std::string* out) {
  static_assert(std::is_arithmetic_v<T>);
  out->append(reinterpret_cast<const char*>(&value), sizeof(T));
}

void AppendString(absl::string_view text, std::string* out) {
  AppendNumber<uint64_t>(text.size(), out);
  out->append(text.data(), text.size());
}

// A widened number as type `type` has it in the file.
template <typename Widened>
void AppendNarrowed(GgufValueType type, Widened value, std::string* out) {
  switch (type) {
    case GgufValueType::kUint8:
    case GgufValueType::kBool:
      return AppendNumber(static_cast<uint8_t>(value), out);
    case GgufValueType::kInt8:
      return AppendNumber(static_cast<int8_t>(value), out);
    case GgufValueType::kUint16:
      return AppendNumber(static_cast<uint16_t>(value), out);
    case GgufValueType::kInt16:
      return AppendNumber(static_cast<int16_t>(value), out);
    case GgufValueType::kUint32:
      return AppendNumber(static_cast<uint32_t>(value), out);
    case GgufValueType::kInt32:
      return AppendNumber(static_cast<int32_t>(value), out);
    case GgufValueType::kFloat32:
      return AppendNumber(static_cast<float>(value), out);
    case GgufValueType::kUint64:
      return AppendNumber(static_cast<uint64_t>(value), out);
    case GgufValueType::kInt64:
      return AppendNumber(static_cast<int64_t>(value), out);
    case GgufValueType::kFloat64:
      return AppendNumber(static_cast<double>(value), out);
    case GgufValueType::kString:
    case GgufValueType::kArray:
      break;
  }
  TANDEM_CHECK(false);
}

void AppendArray(const GgufArray& array, std::string* out) {
  AppendNumber(static_cast<uint32_t>(array.element_type), out);
  AppendNumber<uint64_t>(array.size(), out);
  std::visit(
      [&](const auto& values) {
        for (const auto& value : values) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>,
                                       absl::string_view>) {
            AppendString(value, out);
          } else {
            AppendNarrowed(array.element_type, value, out);
          }
        }
      },
      array.values);
}

void PadTo(uint64_t alignment, std::string* out) {
  out->resize((out->size() + alignment - 1) / alignment * alignment, '\0');
}

}  // namespace

void GgufWriter::AppendKey(absl::string_view key, GgufValueType type) {
  ++entries_;
  AppendString(key, &metadata_);
  AppendNumber(static_cast<uint32_t>(type), &metadata_);
}

void GgufWriter::SetUint32(absl::string_view key, uint32_t value) {
  AppendKey(key, GgufValueType::kUint32);
  AppendNumber(value, &metadata_);
  if (key == "general.alignment" && IsGgufAlignment(value)) alignment_ = value;
}

void GgufWriter::SetUint64(absl::string_view key, uint64_t value) {
  AppendKey(key, GgufValueType::kUint64);
  AppendNumber(value, &metadata_);
}

void GgufWriter::SetInt32(absl::string_view key, int32_t value) {
  AppendKey(key, GgufValueType::kInt32);
  AppendNumber(value, &metadata_);
}

void GgufWriter::SetFloat32(absl::string_view key, float value) {
  AppendKey(key, GgufValueType::kFloat32);
  AppendNumber(value, &metadata_);
}

void GgufWriter::SetBool(absl::string_view key, bool value) {
  AppendKey(key, GgufValueType::kBool);
  AppendNumber<uint8_t>(value ? 1 : 0, &metadata_);
}

void GgufWriter::SetString(absl::string_view key, absl::string_view value) {
  AppendKey(key, GgufValueType::kString);
  AppendString(value, &metadata_);
}

void GgufWriter::SetStringArray(absl::string_view key,
                                absl::Span<const std::string> values) {
  AppendKey(key, GgufValueType::kArray);
  GgufArray array{.element_type = GgufValueType::kString, .values = {}};
  array.values = std::vector<absl::string_view>(values.begin(), values.end());
  AppendArray(array, &metadata_);
}

void GgufWriter::SetFloat32Array(absl::string_view key,
                                 absl::Span<const float> values) {
  AppendKey(key, GgufValueType::kArray);
  GgufArray array{.element_type = GgufValueType::kFloat32, .values = {}};
  array.values = std::vector<double>(values.begin(), values.end());
  AppendArray(array, &metadata_);
}

void GgufWriter::SetInt32Array(absl::string_view key,
                               absl::Span<const int32_t> values) {
  AppendKey(key, GgufValueType::kArray);
  GgufArray array{.element_type = GgufValueType::kInt32, .values = {}};
  array.values = std::vector<int64_t>(values.begin(), values.end());
  AppendArray(array, &metadata_);
}

void GgufWriter::CopyEntry(const GgufEntry& entry) {
  AppendKey(entry.key, entry.type);
  std::visit(
      [&](const auto& value) {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, GgufArray>) {
          AppendArray(value, &metadata_);
        } else if constexpr (std::is_same_v<Value, absl::string_view>) {
          AppendString(value, &metadata_);
        } else {
          AppendNarrowed(entry.type, value, &metadata_);
        }
      },
      entry.value);
  const auto* number = std::get_if<uint64_t>(&entry.value);
  if (entry.key == "general.alignment" && number != nullptr) {
    alignment_ = *number;  // of a file that was read, so it is a right one
  }
}

void GgufWriter::AddTensor(absl::string_view name, TensorType type,
                           absl::Span<const uint64_t> dims,
                           absl::Span<const uint8_t> data) {
  DeclareTensor(name, type, dims);
  Tensor& tensor = tensors_.back();
  TANDEM_CHECK(data.size() == tensor.bytes);
  tensor.data.assign(data.begin(), data.end());
}

void GgufWriter::DeclareTensor(absl::string_view name, TensorType type,
                               absl::Span<const uint64_t> dims) {
  const TensorTypeInfo info = GetTensorTypeInfo(type);
  uint64_t elements = 1;
  for (const uint64_t dim : dims) elements *= dim;
  TANDEM_CHECK(elements % info.block_elements == 0);
  tensors_.push_back(
      {.name = std::string(name),
       .type = type,
       .dims = {dims.begin(), dims.end()},
       .bytes = elements / info.block_elements * info.block_bytes,
       .data = {}});
}

std::string GgufWriter::SerializeHeader() const {
  std::string image = "GGUF";
  AppendNumber(kVersion, &image);
  AppendNumber<uint64_t>(tensors_.size(), &image);
  AppendNumber(entries_, &image);
  image += metadata_;
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    AppendString(tensor.name, &image);
    AppendNumber(static_cast<uint32_t>(tensor.dims.size()), &image);
    for (const uint64_t dim : tensor.dims) AppendNumber(dim, &image);
    AppendNumber(static_cast<uint32_t>(tensor.type), &image);
    AppendNumber(offset, &image);
    offset += (tensor.bytes + alignment_ - 1) / alignment_ * alignment_;
  }
  PadTo(alignment_, &image);
  return image;
}

std::string GgufWriter::Serialize() const {
  std::string image = SerializeHeader();
  for (const Tensor& tensor : tensors_) {
    TANDEM_CHECK(tensor.data.size() == tensor.bytes);
    image += tensor.data;
    PadTo(alignment_, &image);
  }
  return image;
}

std::string TokenizerImage(const GgufFile& file) {
  GgufWriter writer;
  for (const GgufEntry& entry : file.entries()) {
    if (entry.key == "general.architecture" || entry.key == "general.name" ||
        absl::StartsWith(entry.key, "tokenizer.")) {
      writer.CopyEntry(entry);
    }
  }
  return writer.Serialize();
}

}  // namespace tandem
