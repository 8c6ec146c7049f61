// A GGUF file (version 2 or 3, little endian), mapped read-only or held in
// memory, or the several files of a split model. Owned by one holder; immutable
// after Open, so any thread may read.
//
// Every count, length and offset is checked with overflow-safe arithmetic
// before use; what is allocated is bounded by the file's size and by fixed
// limits on counts (gguf_parser.h). Errors are INVALID_ARGUMENT with reason
// MALFORMED_FILE and name the file offset and the key or tensor. Format:
// github.com/ggml-org/ggml, docs/gguf.md, and this folder's README.

#ifndef TANDEM_ENGINE_GGUF_GGUF_FILE_H_
#define TANDEM_ENGINE_GGUF_GGUF_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/tensor_type.h"

namespace tandem {

// The value types of a metadata entry, with their numbers in the file.
enum class GgufValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

absl::string_view GgufValueTypeName(GgufValueType type);

// An array entry. Strings point into the file; numbers of any type are
// widened.
struct GgufArray {
  GgufValueType element_type = GgufValueType::kUint8;
  std::variant<std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>,
               std::vector<absl::string_view>>
      values;
  size_t size() const;
};

// uint64_t for unsigned types, int64_t for signed ones.
using GgufValue =
    std::variant<uint64_t, int64_t, double, bool, absl::string_view, GgufArray>;

// One metadata entry.
struct GgufEntry {
  std::string key;
  GgufValueType type = GgufValueType::kUint8;
  uint64_t offset = 0;  // of the key, from the start of the file
  GgufValue value;
};

// One tensor of the directory. dims[0] is the contiguous dimension: a weight
// of N outputs and K inputs has dims {K, N}.
struct GgufTensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::vector<uint64_t> dims;  // 1 to 4
  uint64_t offset = 0;         // of the data, from the start of its file
  uint64_t bytes = 0;
  uint64_t shard = 0;  // the file of a split model that has the data, from 0
  uint64_t elements() const;
};

class GgufFile {
 public:
  // Maps the regular file at `path` and, where it is the first of several
  // files of one model, the others. Errors: NOT_FOUND, PERMISSION_DENIED,
  // INVALID_ARGUMENT (a directory, FIFO or device; or malformed).
  static absl::StatusOr<std::unique_ptr<GgufFile>> Open(
      const std::string& path);
  // Parses a copy in memory, a whole model; `name` stands for the path in
  // messages.
  static absl::StatusOr<std::unique_ptr<GgufFile>> FromBytes(
      std::string bytes, const std::string& name);
  ~GgufFile();

  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  // Of the first file, as are version, alignment, bytes and entries.
  const std::string& name() const { return name_; }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  absl::Span<const uint8_t> bytes() const { return bytes_; }

  // The files of a split model, else 1; each one's path and bytes.
  size_t shards() const { return 1 + shards_.size(); }
  const std::string& shard_name(size_t shard) const {
    return Shard(shard).name_;
  }
  absl::Span<const uint8_t> shard_bytes(size_t shard) const {
    return Shard(shard).bytes_;
  }

  // In file order.
  const std::vector<GgufEntry>& entries() const { return entries_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  // Null where there is none.
  const GgufEntry* FindEntry(absl::string_view key) const;
  const GgufTensor* FindTensor(absl::string_view name) const;

  // The tensor's bytes, inside the file: [tensor.bytes]. They begin at a
  // multiple of 8 in memory.
  absl::Span<const uint8_t> TensorData(const GgufTensor& tensor) const;

  // The tensor's data is not needed any more: a mapped file's pages leave the
  // process's memory. What is read later is mapped again.
  void ReleaseTensorData(const GgufTensor& tensor) const;

  // Typed reads. NOT_FOUND where the key is absent; INVALID_ARGUMENT
  // (MALFORMED_FILE, key and offset) where it has another type or does not
  // fit. Any unsigned or signed integer type is taken for an integer, any
  // float type for a float.
  absl::StatusOr<uint64_t> GetUint(absl::string_view key) const;
  absl::StatusOr<double> GetFloat(absl::string_view key) const;
  absl::StatusOr<bool> GetBool(absl::string_view key) const;
  absl::StatusOr<absl::string_view> GetString(absl::string_view key) const;
  absl::StatusOr<const GgufArray*> GetArray(absl::string_view key) const;

  // The same with a value for an absent key; a wrong type is still an error.
  absl::StatusOr<uint64_t> GetUintOr(absl::string_view key,
                                     uint64_t absent) const;
  absl::StatusOr<double> GetFloatOr(absl::string_view key, double absent) const;
  absl::StatusOr<bool> GetBoolOr(absl::string_view key, bool absent) const;

  // A MALFORMED_FILE error about `key` of this file, with its offset.
  absl::Status MalformedEntry(absl::string_view key,
                              absl::string_view what) const;

 private:
  friend class GgufParser;
  friend class GgufSplit;

  GgufFile() = default;

  // The file at `path` alone.
  static absl::StatusOr<std::unique_ptr<GgufFile>> OpenOne(
      const std::string& path);
  const GgufFile& Shard(size_t shard) const {
    return shard == 0 ? *this : *shards_[shard - 1];
  }
  // The entry, or NOT_FOUND (reason MALFORMED_FILE).
  absl::StatusOr<const GgufEntry*> GetEntry(absl::string_view key) const;
  absl::Status WrongType(const GgufEntry& entry,
                         absl::string_view expected) const;

  std::string name_;
  std::string owned_;        // FromBytes
  void* mapping_ = nullptr;  // Open
  absl::Span<const uint8_t> bytes_;
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
  std::vector<GgufEntry> entries_;
  std::vector<GgufTensor> tensors_;
  std::unordered_map<std::string, size_t> entry_index_;
  std::unordered_map<std::string, size_t> tensor_index_;
  // Files after the first; their tensors are among those above.
  std::vector<std::unique_ptr<GgufFile>> shards_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GGUF_GGUF_FILE_H_
