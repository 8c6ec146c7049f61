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
  WithNumberType(
      type, [&]<typename T>(T) { AppendNumber(static_cast<T>(value), out); });
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

void GgufWriter::Set(absl::string_view key, GgufValueType type,
                     const GgufValue& value) {
  ++entries_;
  AppendString(key, &metadata_);
  AppendNumber(static_cast<uint32_t>(type), &metadata_);
  std::visit(
      [&](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, GgufArray>) {
          AppendArray(held, &metadata_);
        } else if constexpr (std::is_same_v<Held, absl::string_view>) {
          AppendString(held, &metadata_);
        } else {
          AppendNarrowed(type, held, &metadata_);
        }
      },
      value);
  const auto* number = std::get_if<uint64_t>(&value);
  if (key == "general.alignment" && number != nullptr &&
      IsGgufAlignment(*number)) {
    alignment_ = *number;
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
