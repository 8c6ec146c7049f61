// A GGUF file (version 2 or 3, little endian), open or held in memory, or the
// several files of a split model. Owned by one holder; immutable after Open, so
// any thread may read. Tensor data are read when they are asked for
// (gguf_bytes.h), so a file that changes meanwhile is an error.
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
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/tensor_type.h"
#include "engine/gguf/gguf_bytes.h"

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

// An array entry. Strings point into what the GgufFile holds; numbers of any
// type are widened.
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
  // Opens the regular file at `path` and, where it is the first of several
  // files of one model, the others. Errors: NOT_FOUND, PERMISSION_DENIED,
  // INVALID_ARGUMENT (a directory, FIFO or device; or malformed).
  static absl::StatusOr<std::unique_ptr<GgufFile>> Open(
      const std::string& path);
  // Parses a copy in memory, a whole model; `name` stands for the path in
  // messages.
  static absl::StatusOr<std::unique_ptr<GgufFile>> FromBytes(
      std::string bytes, const std::string& name);

  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  // Of the first file, as are version, alignment and entries.
  const std::string& name() const { return bytes_->name(); }
  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }

  // The files of a split model, else 1; each one's path and size in bytes.
  size_t shards() const { return 1 + shards_.size(); }
  const std::string& shard_name(size_t shard) const {
    return Shard(shard).name();
  }
  uint64_t shard_size(size_t shard) const {
    return Shard(shard).bytes_->size();
  }
  // SHA-256 of the file, as sha256sum prints it. Errors: as ReadTensor.
  absl::StatusOr<std::string> ShardSha256(size_t shard) const {
    return Shard(shard).bytes_->Sha256Digest();
  }

  // In file order.
  const std::vector<GgufEntry>& entries() const { return entries_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  // Null where there is none.
  const GgufEntry* FindEntry(absl::string_view key) const;
  const GgufTensor* FindTensor(absl::string_view name) const;

  // Reads out.size() of the tensor's bytes from number `begin` on. Errors:
  // INVALID_ARGUMENT with MALFORMED_FILE where the file has become too short;
  // the system's reason.
  absl::Status ReadTensor(const GgufTensor& tensor, uint64_t begin,
                          absl::Span<uint8_t> out) const;
  // All of them, for small tensors: [tensor.bytes].
  absl::StatusOr<std::vector<uint8_t>> ReadTensor(
      const GgufTensor& tensor) const;

  // OK while every file has the size and the time of its last change that it
  // had when it was opened. Whoever has read a file asks before it uses what it
  // has read. Errors: as ReadTensor.
  absl::Status CheckUnchanged() const;

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

  explicit GgufFile(std::unique_ptr<GgufBytes> bytes)
      : bytes_(std::move(bytes)) {}

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

  const std::unique_ptr<GgufBytes> bytes_;
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
