#include "engine/gguf/gguf_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/descriptor.h"
#include "engine/base/error_reason.h"
#include "engine/base/file_kind.h"
#include "engine/gguf/gguf_error.h"
#include "engine/gguf/gguf_parser.h"
#include "engine/gguf/gguf_split.h"

namespace tandem {
namespace {

// The status for a system call on `path` that failed with `error`.
absl::Status FileError(const std::string& path, int error) {
  const std::string message = absl::StrCat(path, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL:
    case ENXIO:
      return absl::InvalidArgumentError(message);
    default:
      return absl::UnavailableError(message);
  }
}

absl::Status NotRegular(const std::string& path, mode_t mode) {
  return MalformedFile(
      absl::StrCat(path, ": is ", FileKindName(mode),
                   S_ISDIR(mode) ? ", not a GGUF file: name the .gguf file in "
                                   "it; a checkpoint of several files is made "
                                   "one by llama.cpp's convert_hf_to_gguf.py"
                                 : ", not a regular file"));
}

}  // namespace

absl::string_view GgufValueTypeName(GgufValueType type) {
  constexpr absl::string_view kNames[] = {
      "uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
      "bool",  "string", "array",  "uint64", "int64",  "float64"};
  const auto number = static_cast<size_t>(type);
  return number < std::size(kNames) ? kNames[number] : "unknown";
}

size_t GgufArray::size() const {
  return std::visit([](const auto& elements) { return elements.size(); },
                    values);
}

uint64_t GgufTensor::elements() const {
  uint64_t product = 1;  // the parser has checked that this fits
  for (const uint64_t dim : dims) product *= dim;
  return product;
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::Open(
    const std::string& path) {
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<GgufFile> file, OpenOne(path));
  TANDEM_RETURN_IF_ERROR(GgufSplit::AddShards(file.get()));
  return file;
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::OpenOne(
    const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("the path of a GGUF file holds a NUL");
  }
  // Non-blocking: opening a FIFO must not wait for its writer.
  const Descriptor descriptor(
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.number() < 0) return FileError(path, errno);
  struct stat info;
  if (fstat(descriptor.number(), &info) != 0) return FileError(path, errno);
  if (!S_ISREG(info.st_mode)) return NotRegular(path, info.st_mode);

  std::unique_ptr<GgufFile> file(new GgufFile());
  file->name_ = path;
  const auto size = static_cast<size_t>(info.st_size);
  if (size > 0) {
    void* const mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE,
                               descriptor.number(), /*offset=*/0);
    if (mapping == MAP_FAILED) return FileError(path, errno);
    file->mapping_ = mapping;
    file->bytes_ =
        absl::MakeConstSpan(static_cast<const uint8_t*>(mapping), size);
  }
  TANDEM_RETURN_IF_ERROR(GgufParser::Parse(file.get()));
  return file;
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::FromBytes(
    std::string bytes, const std::string& name) {
  std::unique_ptr<GgufFile> file(new GgufFile());
  file->name_ = name;
  file->owned_ = std::move(bytes);
  file->bytes_ =
      absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(file->owned_.data()),
                          file->owned_.size());
  TANDEM_RETURN_IF_ERROR(GgufParser::Parse(file.get()));
  TANDEM_RETURN_IF_ERROR(GgufSplit::CheckWhole(*file));
  return file;
}

void GgufFile::ReleaseTensorData(const GgufTensor& tensor) const {
  void* const mapping = Shard(tensor.shard).mapping_;
  if (mapping == nullptr) return;
  // Whole pages only: their neighbours may still be in use.
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t begin = (tensor.offset + page - 1) / page * page;
  const uint64_t end = (tensor.offset + tensor.bytes) / page * page;
  if (begin >= end) return;
  // Advice: where it is refused, the pages stay until the file is closed.
  (void)madvise(static_cast<uint8_t*>(mapping) + begin, end - begin,
                MADV_DONTNEED);
}

GgufFile::~GgufFile() {
  if (mapping_ != nullptr) munmap(mapping_, bytes_.size());
}

const GgufEntry* GgufFile::FindEntry(absl::string_view key) const {
  const auto found = entry_index_.find(std::string(key));
  return found == entry_index_.end() ? nullptr : &entries_[found->second];
}

const GgufTensor* GgufFile::FindTensor(absl::string_view name) const {
  const auto found = tensor_index_.find(std::string(name));
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

absl::Span<const uint8_t> GgufFile::TensorData(const GgufTensor& tensor) const {
  TANDEM_CHECK(tensor.shard < shards());
  const absl::Span<const uint8_t> bytes = shard_bytes(tensor.shard);
  TANDEM_CHECK(tensor.offset <= bytes.size() &&
               tensor.bytes <= bytes.size() - tensor.offset);
  return bytes.subspan(tensor.offset, tensor.bytes);
}

absl::Status GgufFile::MalformedEntry(absl::string_view key,
                                      absl::string_view what) const {
  const GgufEntry* entry = FindEntry(key);
  if (entry != nullptr) {
    return GgufError(name_, entry->offset,
                     absl::StrCat("key ", QuoteForError(key)), what);
  }
  return MalformedFile(
      absl::StrCat(name_, ": key ", QuoteForError(key), ": ", what));
}

absl::StatusOr<const GgufEntry*> GgufFile::GetEntry(
    absl::string_view key) const {
  const GgufEntry* entry = FindEntry(key);
  if (entry != nullptr) return entry;
  return MakeError(
      absl::StatusCode::kNotFound, {.reason = kReasonMalformedFile},
      absl::StrCat(name_, ": key ", QuoteForError(key), " is missing"));
}

absl::Status GgufFile::WrongType(const GgufEntry& entry,
                                 absl::string_view expected) const {
  return MalformedEntry(entry.key,
                        absl::StrCat("has type ", GgufValueTypeName(entry.type),
                                     ", must be ", expected));
}

absl::StatusOr<uint64_t> GgufFile::GetUint(absl::string_view key) const {
  TANDEM_ASSIGN_OR_RETURN(const GgufEntry* entry, GetEntry(key));
  if (const auto* value = std::get_if<uint64_t>(&entry->value)) return *value;
  const auto* value = std::get_if<int64_t>(&entry->value);
  if (value == nullptr) return WrongType(*entry, "an integer");
  if (*value < 0) {
    return MalformedEntry(
        key, absl::StrCat("is ", *value, ", must not be negative"));
  }
  return static_cast<uint64_t>(*value);
}

absl::StatusOr<double> GgufFile::GetFloat(absl::string_view key) const {
  TANDEM_ASSIGN_OR_RETURN(const GgufEntry* entry, GetEntry(key));
  const auto* value = std::get_if<double>(&entry->value);
  if (value == nullptr) return WrongType(*entry, "a float");
  return *value;
}

absl::StatusOr<bool> GgufFile::GetBool(absl::string_view key) const {
  TANDEM_ASSIGN_OR_RETURN(const GgufEntry* entry, GetEntry(key));
  const auto* value = std::get_if<bool>(&entry->value);
  if (value == nullptr) return WrongType(*entry, "a bool");
  return *value;
}

absl::StatusOr<absl::string_view> GgufFile::GetString(
    absl::string_view key) const {
  TANDEM_ASSIGN_OR_RETURN(const GgufEntry* entry, GetEntry(key));
  const auto* value = std::get_if<absl::string_view>(&entry->value);
  if (value == nullptr) return WrongType(*entry, "a string");
  return *value;
}

absl::StatusOr<const GgufArray*> GgufFile::GetArray(
    absl::string_view key) const {
  TANDEM_ASSIGN_OR_RETURN(const GgufEntry* entry, GetEntry(key));
  const auto* value = std::get_if<GgufArray>(&entry->value);
  if (value == nullptr) return WrongType(*entry, "an array");
  return value;
}

absl::StatusOr<uint64_t> GgufFile::GetUintOr(absl::string_view key,
                                             uint64_t absent) const {
  return FindEntry(key) == nullptr ? absent : GetUint(key);
}

absl::StatusOr<double> GgufFile::GetFloatOr(absl::string_view key,
                                            double absent) const {
  return FindEntry(key) == nullptr ? absent : GetFloat(key);
}

absl::StatusOr<bool> GgufFile::GetBoolOr(absl::string_view key,
                                         bool absent) const {
  return FindEntry(key) == nullptr ? absent : GetBool(key);
}

}  // namespace tandem
