// Fuzz target: bytes to GgufFile. A file that is taken must give out nothing
// outside its bytes, and its tokenizer image must be a good file again.

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "engine/base/check.h"
#include "engine/gguf/gguf_file.h"
#include "engine/gguf/gguf_writer.h"

namespace tandem {
namespace {

// Reads all that the file gives out, so that a sanitizer sees it.
uint64_t SumOf(const GgufFile& file) {
  uint64_t sum = 0;
  for (const GgufEntry& entry : file.entries()) {
    const auto* text = std::get_if<absl::string_view>(&entry.value);
    if (text != nullptr) {
      for (const char byte : *text) sum += static_cast<uint8_t>(byte);
    }
    const auto* array = std::get_if<GgufArray>(&entry.value);
    if (array == nullptr) continue;
    const auto* strings =
        std::get_if<std::vector<absl::string_view>>(&array->values);
    if (strings == nullptr) continue;
    for (const absl::string_view string : *strings) {
      for (const char byte : string) sum += static_cast<uint8_t>(byte);
    }
  }
  for (const GgufTensor& tensor : file.tensors()) {
    const std::vector<uint8_t> data = *file.ReadTensor(tensor);
    for (const uint8_t byte : data) sum += byte;
  }
  return sum;
}

void TryFile(absl::string_view bytes) {
  const auto file = GgufFile::FromBytes(std::string(bytes), "fuzz");
  if (!file.ok()) return;
  // Kept from the optimiser.
  volatile uint64_t sum = SumOf(**file);
  (void)sum;
  const auto image = GgufFile::FromBytes(TokenizerImage(**file), "image");
  TANDEM_CHECK(image.ok());
  for (const GgufEntry& entry : (*image)->entries()) {
    const GgufEntry* original = (*file)->FindEntry(entry.key);
    TANDEM_CHECK(original != nullptr && original->type == entry.type);
  }
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tandem::TryFile({reinterpret_cast<const char*>(data), size});
  return 0;
}
