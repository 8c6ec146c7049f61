#include "engine/gguf/foreign_format.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace tandem {
namespace {

using absl::string_view;

// Of a safetensors file: a length of 8 bytes, then that much JSON.
constexpr size_t kSafetensorsLengthBytes = 8;
constexpr uint64_t kSafetensorsHeaderBytesMax = 100 << 20;
// Of a tar file: where its magic "ustar" stands.
constexpr size_t kTarMagicOffset = 257;

constexpr string_view kSafetensors =
    "is a safetensors file: convert its checkpoint with llama.cpp's "
    "convert_hf_to_gguf.py, or download a GGUF file of the model";
constexpr string_view kPyTorch =
    "is a PyTorch checkpoint: convert it with llama.cpp's "
    "convert_hf_to_gguf.py, or download a GGUF file of the model";
constexpr string_view kOtherModel =
    "is a model of another program (ONNX or Keras): download a GGUF file of "
    "the model";
constexpr string_view kOldGgml =
    "is a model of a format before GGUF (GGML, GGMF, GGJT or GGLA): download "
    "or convert the model again";
constexpr string_view kHtml =
    "is a web page: the download was answered by a page (a login, an error or "
    "the file's description); use the link of the file itself";
constexpr string_view kLfsPointer =
    "is a Git LFS pointer, which names the model and does not hold it: run "
    "git lfs pull in its repository";
constexpr string_view kJson =
    "is JSON text (a configuration or an error of a download): name the model "
    "file";
constexpr string_view kText =
    "is a text file: a model is a file in the format GGUF, often named .gguf";
constexpr string_view kCompressed =
    "is compressed: unpack it and name the GGUF file";
constexpr string_view kArchive =
    "is an archive: unpack it and name the GGUF file in it";

struct Magic {
  string_view bytes;
  string_view description;
};

// Bytes that a format begins with. A PyTorch file is a zip archive, or a
// pickle in older ones.
constexpr Magic kMagics[] = {
    {string_view("PK\x03\x04", 4), kPyTorch},
    {"\x80\x02", kPyTorch},
    {"\x80\x03", kPyTorch},
    {"\x80\x04", kPyTorch},
    {"lmgg", kOldGgml},  // each is a number in the other byte order
    {"fmgg", kOldGgml},
    {"tjgg", kOldGgml},
    {"algg", kOldGgml},
    {"\x89HDF\r\n\x1a\n", kOtherModel},
    {"version https://git-lfs", kLfsPointer},
    {"\x1f\x8b", kCompressed},                       // gzip
    {string_view("\xfd\x37zXZ\0", 6), kCompressed},  // xz
    {"BZh", kCompressed},                            // bzip2
    {"\x28\xb5\x2f\xfd", kCompressed},               // zstd
    {"\x04\x22\x4d\x18", kCompressed},               // lz4
    {"7z\xbc\xaf\x27\x1c", kArchive},
    {"Rar!", kArchive},
};

uint64_t LittleEndian64(string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 8; i-- > 0;) {
    value = value << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return value;
}

bool IsSafetensors(string_view head) {
  if (head.size() < kSafetensorsLengthBytes + 2) return false;
  const uint64_t length = LittleEndian64(head);
  return length >= 2 && length <= kSafetensorsHeaderBytesMax &&
         absl::StartsWith(head.substr(kSafetensorsLengthBytes), "{\"");
}

// A zip archive of PyTorch has its pickle "NAME/data.pkl" first.
bool IsPlainZip(string_view head) {
  return absl::StartsWith(head, string_view("PK\x03\x04", 4)) &&
         !absl::StrContains(head, "data.pkl") &&
         !absl::StrContains(head, "byteorder");
}

// The protobuf of a model: field 1 (ir_version) as one byte, then field 2, a
// string that names the producer.
bool IsOnnx(string_view head) {
  return head.size() > 4 && head[0] == 0x08 && head[1] > 0 && head[1] < 32 &&
         head[2] == 0x12 && absl::ascii_isalpha(head[4]) != 0;
}

bool IsHtml(string_view head) {
  const string_view text = absl::StripLeadingAsciiWhitespace(head);
  return absl::StartsWithIgnoreCase(text, "<!doctype") ||
         absl::StartsWithIgnoreCase(text, "<html") ||
         absl::StartsWithIgnoreCase(text, "<?xml");
}

bool IsAsciiText(string_view head) {
  return std::all_of(head.begin(), head.end(), [](char c) {
    return absl::ascii_isprint(static_cast<unsigned char>(c)) ||
           absl::ascii_isspace(static_cast<unsigned char>(c));
  });
}

}  // namespace

string_view DescribeForeignFile(absl::Span<const uint8_t> bytes) {
  const string_view head(reinterpret_cast<const char*>(bytes.data()),
                         std::min(bytes.size(), kForeignHeadBytes));
  if (IsPlainZip(head)) return kArchive;
  for (const Magic& magic : kMagics) {
    if (absl::StartsWith(head, magic.bytes)) return magic.description;
  }
  if (IsSafetensors(head)) return kSafetensors;
  if (IsOnnx(head)) return kOtherModel;
  if (IsHtml(head)) return kHtml;
  if (head.size() > kTarMagicOffset &&
      absl::StartsWith(head.substr(kTarMagicOffset), "ustar")) {
    return kArchive;
  }
  const string_view text = absl::StripLeadingAsciiWhitespace(head);
  if (absl::StartsWith(text, "{") || absl::StartsWith(text, "[")) return kJson;
  return !head.empty() && IsAsciiText(head) ? kText : "";
}

}  // namespace tandem
