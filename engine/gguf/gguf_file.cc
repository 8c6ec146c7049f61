#include "engine/gguf/gguf_file.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_error.h"
#include "engine/gguf/gguf_parser.h"
#include "engine/gguf/gguf_split.h"

namespace tandem {

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
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<GgufBytes> bytes,
                          GgufBytes::Open(path));
  std::unique_ptr<GgufFile> file(new GgufFile(std::move(bytes)));
  TANDEM_RETURN_IF_ERROR(GgufParser::Parse(file.get()));
  return file;
}

absl::StatusOr<std::unique_ptr<GgufFile>> GgufFile::FromBytes(
    std::string bytes, const std::string& name) {
  std::unique_ptr<GgufFile> file(
      new GgufFile(GgufBytes::FromString(std::move(bytes), name)));
  TANDEM_RETURN_IF_ERROR(GgufParser::Parse(file.get()));
  TANDEM_RETURN_IF_ERROR(GgufSplit::CheckWhole(*file));
  return file;
}

absl::Status GgufFile::CheckUnchanged() const {
  for (size_t shard = 0; shard < shards(); ++shard) {
    TANDEM_RETURN_IF_ERROR(Shard(shard).bytes_->CheckUnchanged());
  }
  return absl::OkStatus();
}

const GgufEntry* GgufFile::FindEntry(absl::string_view key) const {
  const auto found = entry_index_.find(std::string(key));
  return found == entry_index_.end() ? nullptr : &entries_[found->second];
}

const GgufTensor* GgufFile::FindTensor(absl::string_view name) const {
  const auto found = tensor_index_.find(std::string(name));
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

absl::Status GgufFile::ReadTensor(const GgufTensor& tensor, uint64_t begin,
                                  absl::Span<uint8_t> out) const {
  TANDEM_CHECK(tensor.shard < shards() && begin <= tensor.bytes &&
               out.size() <= tensor.bytes - begin);
  return Shard(tensor.shard).bytes_->Read(tensor.offset + begin, out);
}

absl::StatusOr<std::vector<uint8_t>> GgufFile::ReadTensor(
    const GgufTensor& tensor) const {
  std::vector<uint8_t> bytes(tensor.bytes);
  TANDEM_RETURN_IF_ERROR(ReadTensor(tensor, 0, absl::MakeSpan(bytes)));
  return bytes;
}

absl::Status GgufFile::MalformedEntry(absl::string_view key,
                                      absl::string_view what) const {
  const GgufEntry* entry = FindEntry(key);
  if (entry != nullptr) {
    return GgufError(name(), entry->offset,
                     absl::StrCat("key ", QuoteForError(key)), what);
  }
  return MalformedFile(
      absl::StrCat(name(), ": key ", QuoteForError(key), ": ", what));
}

absl::StatusOr<const GgufEntry*> GgufFile::GetEntry(
    absl::string_view key) const {
  const GgufEntry* entry = FindEntry(key);
  if (entry != nullptr) return entry;
  return MakeError(
      absl::StatusCode::kNotFound, {.reason = kReasonMalformedFile},
      absl::StrCat(name(), ": key ", QuoteForError(key), " is missing"));
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
