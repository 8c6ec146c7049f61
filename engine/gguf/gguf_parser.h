// Reads the bytes of a GGUF file into a GgufFile. Private to engine/gguf; made
// and used up inside GgufFile::Open and GgufFile::FromBytes.
//
// One cursor walks header, metadata and tensor directory; then the layout of
// the tensor data is checked. `subject_` says in every error what was being
// read.

#ifndef TANDEM_ENGINE_GGUF_GGUF_PARSER_H_
#define TANDEM_ENGINE_GGUF_GGUF_PARSER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "engine/base/status.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

// Limits on what a file may hold. What is read from a file takes more memory
// than it takes in the file (an array of bytes eight times as much), so these
// bound memory independently of the file's size. Real files: under 100 entries,
// under 50,000 tensors (unpacked experts), about 1.5 million array elements
// (tokens, scores, types and merges of a vocabulary of 262,144).
inline constexpr uint64_t kGgufEntriesMax = 65536;
inline constexpr uint64_t kGgufTensorsMax = 262144;
inline constexpr uint64_t kGgufArrayElementsMax = 4194304;  // of all arrays
// The format's own limits.
inline constexpr uint64_t kGgufKeyBytesMax = 65535;
inline constexpr uint64_t kGgufTensorNameBytesMax = 64;
inline constexpr uint32_t kGgufDimensionsMax = 4;
// The format asks for a multiple of 8; real files use 32.
inline constexpr uint64_t kGgufAlignmentMin = 8;
inline constexpr uint64_t kGgufAlignmentMax = 1048576;

// True for an alignment that a file may have.
bool IsGgufAlignment(uint64_t alignment);

// Calls body(T{}) with the C++ type T that a number or a bool of `type` has in
// a file.
template <typename Body>
auto WithNumberType(GgufValueType type, const Body& body) {
  switch (type) {
    case GgufValueType::kUint8:
      return body(uint8_t{});
    case GgufValueType::kInt8:
      return body(int8_t{});
    case GgufValueType::kUint16:
      return body(uint16_t{});
    case GgufValueType::kInt16:
      return body(int16_t{});
    case GgufValueType::kUint32:
      return body(uint32_t{});
    case GgufValueType::kInt32:
      return body(int32_t{});
    case GgufValueType::kFloat32:
      return body(float{});
    case GgufValueType::kBool:
      return body(bool{});
    case GgufValueType::kUint64:
      return body(uint64_t{});
    case GgufValueType::kInt64:
      return body(int64_t{});
    default:
      TANDEM_CHECK(type == GgufValueType::kFloat64);
      return body(double{});
  }
}

class GgufParser {
 public:
  // Fills `file`, whose bytes_ are set.
  static absl::Status Parse(GgufFile* file);

 private:
  explicit GgufParser(GgufFile* file) : file_(file) {}

  absl::Status ParseHeader();
  absl::Status CheckMagic();
  absl::Status CheckCount(absl::string_view what, uint64_t count,
                          uint64_t bytes_each, uint64_t most);
  absl::Status ParseEntry(uint64_t index);
  absl::Status ParseValue(GgufEntry* entry);
  absl::Status ParseArray(GgufArray* array);
  template <typename T>
  absl::Status ParseNumbers(uint64_t count, GgufArray* array);
  absl::Status ParseStrings(uint64_t count, GgufArray* array);
  absl::Status ReadAlignment();
  absl::Status ParseTensor(uint64_t index);
  absl::Status ParseDimensions(GgufTensor* tensor);
  absl::Status ComputeBytes(uint64_t type_offset, GgufTensor* tensor);
  // Turns offsets into the data section into offsets into the file.
  absl::Status PlaceTensors();
  absl::Status PlaceTensor(uint64_t data_begin, uint64_t offset_at,
                           GgufTensor* tensor);

  uint64_t remaining() const { return file_->bytes_->size() - cursor_; }
  // Has the next `bytes` in memory, which are at most the remaining ones.
  absl::Status Hold(uint64_t bytes) {
    return bytes <= file_->bytes_->held() - cursor_ ? absl::OkStatus()
                                                    : HoldMore(bytes);
  }
  absl::Status HoldMore(uint64_t bytes);
  // A number at the cursor, which moves past it; `what` names it in errors.
  template <typename T>
  absl::StatusOr<T> Read(absl::string_view what);
  absl::StatusOr<bool> ReadBool();
  absl::StatusOr<absl::string_view> ReadString(absl::string_view what);
  // A string that names something: not empty, at most `most` bytes, UTF-8
  // without NUL.
  absl::StatusOr<absl::string_view> ReadName(absl::string_view what,
                                             uint64_t most);
  absl::Status Error(uint64_t offset, absl::string_view what) const;

  GgufFile* file_;
  uint64_t cursor_ = 0;
  uint64_t entry_count_ = 0;
  uint64_t tensor_count_ = 0;
  uint64_t array_elements_ = 0;              // of all arrays so far
  std::vector<uint64_t> tensor_offsets_at_;  // where each offset field stands
  std::string subject_ = "header";
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GGUF_GGUF_PARSER_H_
