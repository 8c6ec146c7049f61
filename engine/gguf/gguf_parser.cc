#include "engine/gguf/gguf_parser.h"

#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/checked_math.h"
#include "engine/gguf/foreign_format.h"
#include "engine/gguf/gguf_error.h"

namespace tandem {
namespace {

static_assert(std::endian::native == std::endian::little,
              "GGUF files are read in place");
constexpr char kMagic[] = "GGUF";
constexpr uint32_t kVersionOldest = 2;
constexpr uint32_t kVersionNewest = 3;
// The least that one of them takes in a file: a length, a byte of name, and
// type and value of one byte; or dimension count, one dimension, type, offset.
constexpr uint64_t kEntryBytesMin = 8 + 1 + 4 + 1;
constexpr uint64_t kTensorBytesMin = 8 + 1 + 4 + 8 + 4 + 8;

// How entries and arrays hold a number of type T.
template <typename T>
using Widened = std::conditional_t<
    std::is_floating_point_v<T>, double,
    std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>;

bool IsUtf8(absl::string_view text) {
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t code_point;
    const utf8proc_ssize_t length = utf8proc_iterate(at, left, &code_point);
    if (length <= 0) return false;
    at += length;
    left -= length;
  }
  return true;
}

// Tensor types that the format once had or has, but that no file of today may
// use or this build does not know; for the error alone.
absl::string_view UnreadableTensorType(uint32_t type) {
  if (type == 4) return "Q4_2, which was removed from the format";
  if (type == 5) return "Q4_3, which was removed from the format";
  if (type >= 31 && type <= 33) {
    return "a repacked Q4_0, which was removed from the format";
  }
  if (type >= 36 && type <= 38) {
    return "a repacked IQ4_NL, which was removed from the format";
  }
  return "not a type that this build knows";
}

}  // namespace

bool IsGgufAlignment(uint64_t alignment) {
  return std::has_single_bit(alignment) && alignment >= kGgufAlignmentMin &&
         alignment <= kGgufAlignmentMax;
}

absl::Status GgufParser::Error(uint64_t offset, absl::string_view what) const {
  return GgufError(file_->name(), offset, subject_, what);
}

absl::Status GgufParser::Parse(GgufFile* file) {
  GgufParser parser(file);
  TANDEM_RETURN_IF_ERROR(parser.ParseHeader());
  file->entries_.reserve(parser.entry_count_);
  for (uint64_t i = 0; i < parser.entry_count_; ++i) {
    TANDEM_RETURN_IF_ERROR(parser.ParseEntry(i));
  }
  TANDEM_RETURN_IF_ERROR(parser.ReadAlignment());
  file->tensors_.reserve(parser.tensor_count_);
  parser.tensor_offsets_at_.reserve(parser.tensor_count_);
  for (uint64_t i = 0; i < parser.tensor_count_; ++i) {
    TANDEM_RETURN_IF_ERROR(parser.ParseTensor(i));
  }
  return parser.PlaceTensors();
}

absl::Status GgufParser::HoldMore(uint64_t bytes) {
  if (bytes > kGgufHeadBytesMax || cursor_ > kGgufHeadBytesMax - bytes) {
    return Error(cursor_,
                 absl::StrCat("metadata and tensor directory take "
                              "more than the ",
                              kGgufHeadBytesMax, " bytes that are supported"));
  }
  return file_->bytes_->Hold(cursor_ + bytes);
}

template <typename T>
absl::StatusOr<T> GgufParser::Read(absl::string_view what) {
  if (remaining() < sizeof(T)) {
    return Error(cursor_,
                 absl::StrCat("the file ends inside ", what, ": ", sizeof(T),
                              " bytes needed, ", remaining(), " left"));
  }
  TANDEM_RETURN_IF_ERROR(Hold(sizeof(T)));
  T value;
  std::memcpy(&value, file_->bytes_->data() + cursor_, sizeof(T));
  cursor_ += sizeof(T);
  return value;
}

absl::StatusOr<bool> GgufParser::ReadBool() {
  TANDEM_ASSIGN_OR_RETURN(const uint8_t value, Read<uint8_t>("a bool"));
  if (value > 1) {
    return Error(cursor_ - 1, absl::StrCat("a bool is 0 or 1, not ", value));
  }
  return value == 1;
}

absl::StatusOr<absl::string_view> GgufParser::ReadString(
    absl::string_view what) {
  const uint64_t begin = cursor_;
  TANDEM_ASSIGN_OR_RETURN(const uint64_t length,
                          Read<uint64_t>(absl::StrCat("the length of ", what)));
  if (length > remaining()) {
    return Error(begin, absl::StrCat(what, " has length ", length, ", but ",
                                     remaining(), " bytes are left"));
  }
  TANDEM_RETURN_IF_ERROR(Hold(length));
  const absl::string_view text(
      reinterpret_cast<const char*>(file_->bytes_->data()) + cursor_, length);
  cursor_ += length;
  return text;
}

absl::StatusOr<absl::string_view> GgufParser::ReadName(absl::string_view what,
                                                       uint64_t most) {
  const uint64_t begin = cursor_;
  TANDEM_ASSIGN_OR_RETURN(const absl::string_view text, ReadString(what));
  if (text.empty()) return Error(begin, absl::StrCat(what, " is empty"));
  if (text.size() > most) {
    return Error(begin, absl::StrCat(what, " has ", text.size(),
                                     " bytes; at most ", most, " are allowed"));
  }
  if (text.find('\0') != absl::string_view::npos) {
    return Error(begin,
                 absl::StrCat(what, " ", QuoteForError(text), " holds a NUL"));
  }
  if (!IsUtf8(text)) {
    return Error(begin,
                 absl::StrCat(what, " ", QuoteForError(text), " is not UTF-8"));
  }
  return text;
}

absl::Status GgufParser::CheckMagic() {
  const uint64_t looked_at = std::min<uint64_t>(remaining(), kForeignHeadBytes);
  TANDEM_RETURN_IF_ERROR(Hold(looked_at));
  const absl::Span<const uint8_t> head(file_->bytes_->data(), looked_at);
  const absl::string_view magic(reinterpret_cast<const char*>(head.data()),
                                std::min<size_t>(head.size(), 4));
  if (magic.empty()) return Error(0, "the file is empty");
  if (magic.size() < 4) {
    return Error(0, "the file ends inside the magic 'GGUF'");
  }
  if (magic == "FUGG") {
    return Error(0, "the file is big-endian; only little-endian is supported");
  }
  if (magic != kMagic) {
    const absl::string_view foreign = DescribeForeignFile(head);
    if (!foreign.empty()) {
      return Error(0, absl::StrCat("not a GGUF file: it ", foreign));
    }
    return Error(
        0, absl::StrCat("not a GGUF file: the magic is ", QuoteForError(magic),
                        ", not 'GGUF'; a model is a file in the "
                        "format GGUF, often named .gguf"));
  }
  cursor_ = 4;
  return absl::OkStatus();
}

absl::Status GgufParser::ParseHeader() {
  TANDEM_RETURN_IF_ERROR(CheckMagic());
  TANDEM_ASSIGN_OR_RETURN(file_->version_, Read<uint32_t>("the version"));
  // A big-endian writer swaps the version and leaves the magic as it is.
  if (file_->version_ != 0 && (file_->version_ & 0xffff) == 0) {
    return Error(4, "the file is big-endian; only little-endian is supported");
  }
  if (file_->version_ < kVersionOldest || file_->version_ > kVersionNewest) {
    return Error(4, absl::StrCat("GGUF version ", file_->version_,
                                 " is not supported; versions ", kVersionOldest,
                                 " and ", kVersionNewest, " are"));
  }
  TANDEM_ASSIGN_OR_RETURN(tensor_count_, Read<uint64_t>("the tensor count"));
  TANDEM_ASSIGN_OR_RETURN(entry_count_, Read<uint64_t>("the metadata count"));
  TANDEM_RETURN_IF_ERROR(CheckCount("metadata count", entry_count_,
                                    kEntryBytesMin, kGgufEntriesMax));
  return CheckCount("tensor count", tensor_count_, kTensorBytesMin,
                    kGgufTensorsMax);
}

absl::Status GgufParser::CheckCount(absl::string_view what, uint64_t count,
                                    uint64_t bytes_each, uint64_t most) {
  const uint64_t at = what == "tensor count" ? 8 : 16;
  const std::optional<uint64_t> bytes = CheckedMultiply(count, bytes_each);
  if (!bytes.has_value() || *bytes > remaining()) {
    return Error(
        at, absl::StrCat("the ", what, " is ", count, ", more than the file's ",
                         remaining(), " remaining bytes can hold"));
  }
  if (count > most) {
    return Error(at, absl::StrCat("the ", what, " is ", count, "; at most ",
                                  most, " are supported"));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseEntry(uint64_t index) {
  subject_ = absl::StrCat("metadata entry ", index);
  GgufEntry entry;
  entry.offset = cursor_;
  TANDEM_ASSIGN_OR_RETURN(const absl::string_view key,
                          ReadName("the key", kGgufKeyBytesMax));
  entry.key = std::string(key);
  subject_ = absl::StrCat("key ", QuoteForError(key));
  const auto [found, is_new] =
      file_->entry_index_.emplace(entry.key, file_->entries_.size());
  if (!is_new) {
    return Error(entry.offset,
                 absl::StrCat("the key is there twice, first at offset ",
                              file_->entries_[found->second].offset));
  }
  TANDEM_ASSIGN_OR_RETURN(const uint32_t type,
                          Read<uint32_t>("the value type"));
  if (type > static_cast<uint32_t>(GgufValueType::kFloat64)) {
    return Error(cursor_ - 4,
                 absl::StrCat("value type ", type, " does not exist"));
  }
  entry.type = static_cast<GgufValueType>(type);
  TANDEM_RETURN_IF_ERROR(ParseValue(&entry));
  file_->entries_.push_back(std::move(entry));
  return absl::OkStatus();
}

absl::Status GgufParser::ParseValue(GgufEntry* entry) {
  if (entry->type == GgufValueType::kArray) {
    return ParseArray(&entry->value.emplace<GgufArray>());
  }
  if (entry->type == GgufValueType::kString) {
    TANDEM_ASSIGN_OR_RETURN(entry->value, ReadString("the string"));
    return absl::OkStatus();
  }
  return WithNumberType(entry->type, [&]<typename T>(T) -> absl::Status {
    if constexpr (std::is_same_v<T, bool>) {
      TANDEM_ASSIGN_OR_RETURN(entry->value, ReadBool());
    } else {
      TANDEM_ASSIGN_OR_RETURN(const T value, Read<T>("the value"));
      entry->value = Widened<T>{value};
    }
    return absl::OkStatus();
  });
}

absl::Status GgufParser::ParseArray(GgufArray* array) {
  const uint64_t begin = cursor_;
  TANDEM_ASSIGN_OR_RETURN(const uint32_t type,
                          Read<uint32_t>("the element type"));
  TANDEM_ASSIGN_OR_RETURN(const uint64_t count,
                          Read<uint64_t>("the element count"));
  if (type == static_cast<uint32_t>(GgufValueType::kArray)) {
    return Error(begin, "an array of arrays is not supported");
  }
  if (type > static_cast<uint32_t>(GgufValueType::kFloat64)) {
    return Error(begin,
                 absl::StrCat("array element type ", type, " does not exist"));
  }
  array->element_type = static_cast<GgufValueType>(type);
  // One byte each is the least; the exact check follows per type.
  if (count > remaining()) {
    return Error(begin + 4,
                 absl::StrCat("an array of ", count, " elements, but ",
                              remaining(), " bytes are left"));
  }
  array_elements_ += count;  // counts of one file add up to at most its size
  if (array_elements_ > kGgufArrayElementsMax) {
    return Error(begin + 4,
                 absl::StrCat("the arrays of the file hold more than ",
                              kGgufArrayElementsMax, " elements"));
  }
  if (array->element_type == GgufValueType::kString) {
    return ParseStrings(count, array);
  }
  return WithNumberType(array->element_type, [&]<typename T>(T) {
    return ParseNumbers<T>(count, array);
  });
}

template <typename T>
absl::Status GgufParser::ParseNumbers(uint64_t count, GgufArray* array) {
  const std::optional<uint64_t> bytes = CheckedMultiply(count, sizeof(T));
  if (!bytes.has_value() || *bytes > remaining()) {
    return Error(cursor_ - 8,
                 absl::StrCat("an array of ", count, " elements of ", sizeof(T),
                              " bytes, but ", remaining(), " bytes are left"));
  }
  std::vector<Widened<T>> values;
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    if constexpr (std::is_same_v<T, bool>) {
      TANDEM_ASSIGN_OR_RETURN(const bool value, ReadBool());
      values.push_back(value);
    } else {
      TANDEM_ASSIGN_OR_RETURN(const T value, Read<T>("an element"));
      values.push_back(Widened<T>{value});
    }
  }
  array->values = std::move(values);
  return absl::OkStatus();
}

absl::Status GgufParser::ParseStrings(uint64_t count, GgufArray* array) {
  const std::optional<uint64_t> bytes =
      CheckedMultiply(count, sizeof(uint64_t));
  if (!bytes.has_value() || *bytes > remaining()) {
    return Error(cursor_ - 8,
                 absl::StrCat("an array of ", count, " strings, but ",
                              remaining(), " bytes are left"));
  }
  std::vector<absl::string_view> strings;
  strings.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    TANDEM_ASSIGN_OR_RETURN(const absl::string_view text,
                            ReadString("a string of the array"));
    strings.push_back(text);
  }
  array->values = std::move(strings);
  return absl::OkStatus();
}

absl::Status GgufParser::ReadAlignment() {
  const GgufEntry* entry = file_->FindEntry("general.alignment");
  if (entry == nullptr) return absl::OkStatus();
  subject_ = "key 'general.alignment'";
  if (entry->type != GgufValueType::kUint32) {
    return Error(entry->offset,
                 absl::StrCat("has type ", GgufValueTypeName(entry->type),
                              ", must be uint32"));
  }
  file_->alignment_ = std::get<uint64_t>(entry->value);
  if (!IsGgufAlignment(file_->alignment_)) {
    return Error(entry->offset,
                 absl::StrCat("alignment ", file_->alignment_,
                              " is not a power of two from ", kGgufAlignmentMin,
                              " to ", kGgufAlignmentMax));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ParseTensor(uint64_t index) {
  subject_ = absl::StrCat("tensor ", index);
  const uint64_t begin = cursor_;
  GgufTensor tensor;
  TANDEM_ASSIGN_OR_RETURN(const absl::string_view name,
                          ReadName("the name", kGgufTensorNameBytesMax));
  tensor.name = std::string(name);
  subject_ = absl::StrCat("tensor ", QuoteForError(name));
  if (!file_->tensor_index_.emplace(tensor.name, index).second) {
    return Error(begin, "the tensor is there twice");
  }
  TANDEM_RETURN_IF_ERROR(ParseDimensions(&tensor));
  const uint64_t type_offset = cursor_;
  TANDEM_ASSIGN_OR_RETURN(const uint32_t type, Read<uint32_t>("the type"));
  if (!FindTensorType(type).has_value()) {
    return Error(type_offset, absl::StrCat("tensor type ", type, " is ",
                                           UnreadableTensorType(type)));
  }
  tensor.type = static_cast<TensorType>(type);
  TANDEM_RETURN_IF_ERROR(ComputeBytes(type_offset, &tensor));
  tensor_offsets_at_.push_back(cursor_);
  TANDEM_ASSIGN_OR_RETURN(tensor.offset, Read<uint64_t>("the offset"));
  file_->tensors_.push_back(std::move(tensor));
  return absl::OkStatus();
}

absl::Status GgufParser::ParseDimensions(GgufTensor* tensor) {
  TANDEM_ASSIGN_OR_RETURN(const uint32_t count,
                          Read<uint32_t>("the dimension count"));
  if (count < 1 || count > kGgufDimensionsMax) {
    return Error(cursor_ - 4, absl::StrCat("has ", count, " dimensions; 1 to ",
                                           kGgufDimensionsMax, " are allowed"));
  }
  uint64_t elements = 1;
  for (uint32_t i = 0; i < count; ++i) {
    TANDEM_ASSIGN_OR_RETURN(const uint64_t dim, Read<uint64_t>("a dimension"));
    // A negative number in a signed writer's eyes is above 2^63 here.
    if (dim == 0 || dim > INT64_MAX) {
      return Error(cursor_ - 8, absl::StrCat("dimension ", i, " is ",
                                             static_cast<int64_t>(dim),
                                             ", must be positive"));
    }
    const std::optional<uint64_t> product = CheckedMultiply(elements, dim);
    if (!product.has_value() || *product > INT64_MAX) {
      return Error(cursor_ - 8, "the number of elements overflows 63 bits");
    }
    elements = *product;
    tensor->dims.push_back(dim);
  }
  return absl::OkStatus();
}

absl::Status GgufParser::ComputeBytes(uint64_t type_offset,
                                      GgufTensor* tensor) {
  const TensorTypeInfo info = GetTensorTypeInfo(tensor->type);
  if (tensor->dims[0] % info.block_elements != 0) {
    return Error(type_offset,
                 absl::StrCat("dimension 0 is ", tensor->dims[0],
                              ", not a multiple of the ", info.block_elements,
                              " elements of a ", info.name, " block"));
  }
  const std::optional<uint64_t> bytes = CheckedMultiply(
      tensor->elements() / info.block_elements, info.block_bytes);
  if (!bytes.has_value()) {
    return Error(type_offset, "the size in bytes overflows 64 bits");
  }
  tensor->bytes = *bytes;
  return absl::OkStatus();
}

absl::Status GgufParser::PlaceTensors() {
  if (file_->tensors_.empty()) return absl::OkStatus();
  // cursor_ is at most the file's size, so this can not overflow.
  const uint64_t data_begin =
      (cursor_ + file_->alignment_ - 1) / file_->alignment_ * file_->alignment_;
  for (size_t i = 0; i < file_->tensors_.size(); ++i) {
    GgufTensor* tensor = &file_->tensors_[i];
    subject_ = absl::StrCat("tensor ", QuoteForError(tensor->name));
    const uint64_t at = tensor_offsets_at_[i];
    TANDEM_RETURN_IF_ERROR(PlaceTensor(data_begin, at, tensor));
    if (i == 0) continue;
    const GgufTensor& before = file_->tensors_[i - 1];
    if (tensor->offset >= before.offset + before.bytes) continue;
    const bool overlaps = tensor->offset + tensor->bytes > before.offset;
    return Error(
        at, absl::StrCat(overlaps ? "its data overlap those of tensor "
                                  : "its data are out of order, before those "
                                    "of tensor ",
                         QuoteForError(before.name)));
  }
  return absl::OkStatus();
}

absl::Status GgufParser::PlaceTensor(uint64_t data_begin, uint64_t offset_at,
                                     GgufTensor* tensor) {
  if (tensor->offset % file_->alignment_ != 0) {
    return Error(offset_at, absl::StrCat("its offset ", tensor->offset,
                                         " is not a multiple of the alignment ",
                                         file_->alignment_));
  }
  const std::optional<uint64_t> begin = CheckedAdd(data_begin, tensor->offset);
  const std::optional<uint64_t> end =
      begin.has_value() ? CheckedAdd(*begin, tensor->bytes) : std::nullopt;
  if (!end.has_value() || *end > file_->bytes_->size()) {
    return Error(offset_at,
                 absl::StrCat("its data (", tensor->bytes, " bytes at offset ",
                              tensor->offset, " of the data at ", data_begin,
                              ") end past the file's ", file_->bytes_->size(),
                              " bytes"));
  }
  tensor->offset = *begin;
  return absl::OkStatus();
}

}  // namespace tandem
