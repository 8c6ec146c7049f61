// Every way in which a GGUF file can be malformed, one small file each.

#include "engine/gguf/gguf_parser.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <functional>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_writer.h"
#include "tests/engine/gguf/raw_gguf.h"

namespace {

// The largest single allocation since it was last set to 0.
std::atomic<size_t> largest_allocation{0};

}  // namespace

// Not inlined: g++ 12 would take the inlined malloc and free for mismatched.
[[gnu::noinline]] void* operator new(size_t bytes) {
  if (bytes > largest_allocation) largest_allocation = bytes;
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}

namespace tandem {
namespace {

using Type = GgufValueType;

constexpr uint64_t kFirstKeyAt = 24;
constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ4_0 = 2;

struct Malformed {
  std::string bytes;
  uint64_t offset;       // that the message must name
  std::string expected;  // that the message must hold
};

// Takes `malformed` apart: status, reason, offset, text, and what was
// allocated on the way. An entry of 14 bytes in the file takes about 110 in
// memory, a tensor of 33 about 90; messages take less than 64 KiB.
void ExpectRefused(const Malformed& malformed) {
  SCOPED_TRACE(malformed.expected);
  std::string copy = malformed.bytes;
  largest_allocation = 0;
  const auto file = GgufFile::FromBytes(std::move(copy), "bad.gguf");
  EXPECT_LE(largest_allocation, 16 * malformed.bytes.size() + 65536);
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  const auto detail = GetErrorDetail(file.status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, kReasonMalformedFile);
  const std::string message(file.status().message());
  EXPECT_TRUE(absl::StartsWith(
      message, absl::StrCat("bad.gguf: offset ", malformed.offset, ": ")))
      << message;
  EXPECT_TRUE(absl::StrContains(message, malformed.expected)) << message;
}

// `bytes` with the number at `offset` replaced.
template <typename T>
std::string Patched(std::string bytes, size_t offset, T value) {
  bytes.replace(offset, sizeof(T), reinterpret_cast<const char*>(&value),
                sizeof(T));
  return bytes;
}

std::string EmptyFile() { return RawGguf(0, 0).bytes(); }

TEST(GgufParserTest, RefusesBadMagicAndVersion) {
  const std::string empty = EmptyFile();
  ExpectRefused({"", 0, "the file is empty"});
  ExpectRefused({"GGU", 0, "the file ends inside the magic"});
  ExpectRefused({Patched(empty, 0, 'H'), 0, "the magic is 'HGUF'"});
  ExpectRefused({"FUGG" + empty.substr(4), 0, "big-endian"});
  ExpectRefused({Patched<uint32_t>(empty, 4, 0x03000000), 4, "big-endian"});
  for (const uint32_t version : {0u, 1u, 4u, 65537u, UINT32_MAX}) {
    ExpectRefused({Patched(empty, 4, version), 4,
                   absl::StrCat("version ", version, " is not supported")});
  }
}

TEST(GgufParserTest, ReadsVersionTwo) {
  const auto file =
      GgufFile::FromBytes(Patched<uint32_t>(EmptyFile(), 4, 2), "two");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->version(), 2u);
}

TEST(GgufParserTest, RefusesCountsThatTheFileCanNotHold) {
  for (const uint64_t count : {UINT64_MAX, uint64_t{1} << 62, uint64_t{100}}) {
    ExpectRefused({RawGguf(count, 0).Padding(99).bytes(), 8,
                   absl::StrCat("the tensor count is ", count)});
    ExpectRefused({RawGguf(0, count).Padding(99).bytes(), 16,
                   absl::StrCat("the metadata count is ", count)});
  }
}

TEST(GgufParserTest, RefusesCountsAboveTheLimits) {
  const uint64_t entries = kGgufEntriesMax + 1;
  ExpectRefused({RawGguf(0, entries).Padding(entries * 14).bytes(), 16,
                 "at most 65536 are supported"});
  const uint64_t tensors = kGgufTensorsMax + 1;
  ExpectRefused({RawGguf(tensors, 0).Padding(tensors * 33).bytes(), 8,
                 "at most 262144 are supported"});
  RawGguf array(0, 1);
  array.Key("k", Type::kArray);
  array.ArrayHead(Type::kUint8, kGgufArrayElementsMax + 1);
  array.Padding(kGgufArrayElementsMax + 1);
  ExpectRefused({array.bytes(), 41, "hold more than 4194304 elements"});
}

std::string KeyFile(absl::string_view key) {
  return RawGguf(0, 1).Entry<uint8_t>(key, Type::kUint8, 1).Padding(99).bytes();
}

TEST(GgufParserTest, RefusesBadKeys) {
  ExpectRefused({KeyFile(""), kFirstKeyAt, "the key is empty"});
  ExpectRefused({KeyFile(std::string(65536, 'k')), kFirstKeyAt,
                 "the key has 65536 bytes; at most 65535"});
  ExpectRefused(
      {KeyFile(std::string("a\0z", 3)), kFirstKeyAt, "'a\\x00z' holds a NUL"});
  for (const char* key :
       {"\xff", "a\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe2\x96"}) {
    ExpectRefused({KeyFile(key), kFirstKeyAt, "is not UTF-8"});
  }
  for (const uint64_t length : {UINT64_MAX, uint64_t{1} << 30}) {
    ExpectRefused({Patched(KeyFile("k"), kFirstKeyAt, length), kFirstKeyAt,
                   absl::StrCat("the key has length ", length)});
  }
  EXPECT_TRUE(GgufFile::FromBytes(KeyFile(std::string(65535, 'k')), "k").ok());
}

// A file of one entry with key "k"; its value type stands at 33, its value at
// 37.
RawGguf ValueFile(uint32_t type) {
  RawGguf raw(0, 1);
  raw.Text("k").Number(type);
  return raw;
}

TEST(GgufParserTest, RefusesBadValues) {
  for (const uint32_t type : {13u, 255u, UINT32_MAX}) {
    ExpectRefused(
        {ValueFile(type).Padding(99).bytes(), 33,
         absl::StrCat("key 'k': value type ", type, " does not exist")});
  }
  for (const uint8_t value : {uint8_t{2}, uint8_t{255}}) {
    ExpectRefused({ValueFile(7).Number(value).bytes(), 37,
                   absl::StrCat("a bool is 0 or 1, not ", value)});
  }
  for (const uint64_t length : {UINT64_MAX, uint64_t{1} << 30, uint64_t{100}}) {
    ExpectRefused({ValueFile(8).Number(length).Padding(99).bytes(), 37,
                   absl::StrCat("the string has length ", length)});
  }
  for (const uint32_t type : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 10u, 11u, 12u}) {
    // One byte short of eight is too short for those of eight bytes alone.
    const auto file =
        GgufFile::FromBytes(ValueFile(type).Padding(7).bytes(), "short");
    EXPECT_EQ(file.ok(), type < 10) << type;
  }
}

TEST(GgufParserTest, RefusesBadArrays) {
  const auto array = [](uint32_t type, uint64_t count) {
    return ValueFile(9).Number(type).Number(count).Padding(99).bytes();
  };
  ExpectRefused({array(9, 1), 37, "an array of arrays is not supported"});
  for (const uint32_t type : {13u, UINT32_MAX}) {
    ExpectRefused({array(type, 1), 37,
                   absl::StrCat("element type ", type, " does not exist")});
  }
  for (const uint64_t count : {UINT64_MAX, uint64_t{1} << 61, uint64_t{100}}) {
    for (uint32_t type = 0; type <= 12; ++type) {
      if (type == 9) continue;
      ExpectRefused({array(type, count), 41,
                     absl::StrCat("an array of ", count, " elements")});
    }
  }
  // Fewer elements than bytes are left, but more than fit.
  for (const uint32_t type : {2u, 3u, 4u, 5u, 6u, 8u, 10u, 11u, 12u}) {
    ExpectRefused({array(type, 60), 41, "an array of 60 "});
  }
  ExpectRefused({ValueFile(9)
                     .ArrayHead(Type::kString, 1)
                     .Number(UINT64_MAX)
                     .Padding(9)
                     .bytes(),
                 49, "a string of the array has length 18446744073709551615"});
  ExpectRefused({ValueFile(9)
                     .ArrayHead(Type::kBool, 2)
                     .Number<uint8_t>(1)
                     .Number<uint8_t>(7)
                     .bytes(),
                 50, "a bool is 0 or 1, not 7"});
}

TEST(GgufParserTest, RefusesDuplicateKeys) {
  RawGguf same(0, 2);
  same.Entry<uint32_t>("k", Type::kUint32, 1);
  const uint64_t second = same.size();
  const RawGguf before = same;
  same.Entry<uint32_t>("k", Type::kUint32, 1);
  ExpectRefused({same.bytes(), second,
                 "key 'k': the key is there twice, first at offset 24"});
  RawGguf other = before;
  other.Key("k", Type::kString).Text("x");
  ExpectRefused({other.bytes(), second, "the key is there twice"});
}

TEST(GgufParserTest, RefusesBadAlignment) {
  const auto aligned = [](uint32_t alignment) {
    return RawGguf(0, 1)
        .Entry("general.alignment", Type::kUint32, alignment)
        .bytes();
  };
  for (const uint32_t alignment :
       {0u, 1u, 4u, 13u, 24u, 1u << 21, 1u << 30, UINT32_MAX}) {
    ExpectRefused({aligned(alignment), kFirstKeyAt,
                   absl::StrCat("key 'general.alignment': alignment ",
                                alignment, " is not a power of two from 8")});
  }
  for (const uint32_t alignment : {8u, 32u, 4096u, 1u << 20}) {
    const auto file = GgufFile::FromBytes(aligned(alignment), "aligned");
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->alignment(), alignment);
  }
  ExpectRefused({RawGguf(0, 1)
                     .Entry<int32_t>("general.alignment", Type::kInt32, 32)
                     .bytes(),
                 kFirstKeyAt, "has type int32, must be uint32"});
}

// A file of one tensor named "t" whose directory entry begins at 24: name
// length, name, dimension count at 33, dimensions at 37.
std::string TensorFile(const std::vector<uint64_t>& dims, uint32_t type) {
  return RawGguf(1, 0).Tensor("t", dims, type, 0).Data(1024).bytes();
}

std::string NamedTensorFile(absl::string_view name) {
  return RawGguf(1, 0).Tensor(name, {8}, kF32, 0).Data(32).bytes();
}

TEST(GgufParserTest, RefusesBadTensorNames) {
  ExpectRefused({NamedTensorFile(""), 24, "tensor 0: the name is empty"});
  ExpectRefused({NamedTensorFile(std::string(65, 't')), 24,
                 "tensor 0: the name has 65 bytes; at most 64"});
  ExpectRefused({NamedTensorFile(std::string("a\0", 2)), 24, "holds a NUL"});
  ExpectRefused({NamedTensorFile("\x80"), 24, "is not UTF-8"});
  ExpectRefused({Patched(NamedTensorFile("t"), 24, UINT64_MAX), 24,
                 "the name has length 18446744073709551615"});
  EXPECT_TRUE(
      GgufFile::FromBytes(NamedTensorFile(std::string(64, 't')), "t").ok());
  RawGguf twice(2, 0);
  twice.Tensor("t", {8}, kF32, 0);
  const uint64_t second = twice.size();
  twice.Tensor("t", {8}, kF32, 32).Data(64);
  ExpectRefused(
      {twice.bytes(), second, "tensor 't': the tensor is there twice"});
}

TEST(GgufParserTest, RefusesBadDimensions) {
  for (const uint32_t count : {0u, 5u, 1000000u, UINT32_MAX}) {
    ExpectRefused({Patched(TensorFile({8}, kF32), 33, count), 33,
                   absl::StrCat("tensor 't': has ", count, " dimensions")});
  }
  ExpectRefused({TensorFile({0}, kF32), 37, "dimension 0 is 0"});
  ExpectRefused({TensorFile({8, 0}, kF32), 45, "dimension 1 is 0"});
  ExpectRefused({TensorFile({UINT64_MAX}, kF32), 37, "dimension 0 is -1"});
  const uint64_t large = 4ull * INT32_MAX;
  ExpectRefused({TensorFile({large, large}, kF32), 45, "overflows 63 bits"});
  const uint64_t wrapping = (1ull << 42) + 1;
  ExpectRefused(
      {TensorFile({1ull << 22, wrapping}, kF32), 45, "overflows 63 bits"});
  const uint64_t half = 1ull << 32;
  ExpectRefused(
      {TensorFile({half, half, half, half}, kF32), 45, "overflows 63 bits"});
  // Elements fit 63 bits, bytes do not fit 64.
  ExpectRefused({TensorFile({1ull << 62}, 28), 45, "overflows 64 bits"});
  // Both fit, but not the file.
  ExpectRefused({TensorFile({1ull << 60}, kF32), 49, "end past the file's"});
}

TEST(GgufParserTest, RefusesBadTypes) {
  for (const uint32_t type : {4u, 5u}) {
    ExpectRefused({TensorFile({32}, type), 45,
                   absl::StrCat("tensor type ", type, " is Q4_",
                                type == 4 ? 2 : 3, ", which was removed")});
  }
  for (const uint32_t type : {31u, 33u, 36u, 38u}) {
    ExpectRefused({TensorFile({32}, type), 45, "was removed"});
  }
  for (const uint32_t type : {99u, 1u << 31, UINT32_MAX}) {
    ExpectRefused({TensorFile({32}, type), 45,
                   absl::StrCat("tensor type ", type, " is not a type")});
  }
  for (const uint64_t dim : {1, 31, 33}) {
    ExpectRefused({TensorFile({dim}, kQ4_0), 45,
                   absl::StrCat("dimension 0 is ", dim,
                                ", not a multiple of the 32 elements")});
  }
  // The total is a multiple of the block, the row is not.
  ExpectRefused({TensorFile({16, 2}, kQ4_0), 53, "not a multiple"});
  ExpectRefused({TensorFile({32}, 12), 45, "256 elements of a Q4_K block"});
}

// Two tensors of 8 floats at the given offsets; the first offset field stands
// at 49, the second at 82.
std::string TwoTensors(uint64_t first, uint64_t second, uint64_t data_bytes) {
  return RawGguf(2, 0)
      .Tensor("a", {8}, kF32, first)
      .Tensor("b", {8}, kF32, second)
      .Data(data_bytes)
      .bytes();
}

TEST(GgufParserTest, RefusesBadOffsets) {
  EXPECT_TRUE(GgufFile::FromBytes(TwoTensors(0, 32, 64), "good").ok());
  EXPECT_TRUE(GgufFile::FromBytes(TwoTensors(0, 64, 96), "gap").ok());
  ExpectRefused({TwoTensors(UINT64_MAX, 32, 64), 49,
                 "tensor 'a': its offset 18446744073709551615 is not a "
                 "multiple of the alignment 32"});
  ExpectRefused({TwoTensors(0, UINT64_MAX - 31, 64), 82,
                 "tensor 'b': its data (32 bytes at offset "
                 "18446744073709551584 of the data at 96) end past"});
  ExpectRefused({TwoTensors(0, 33, 96), 82, "its offset 33 is not a multiple"});
  ExpectRefused({TwoTensors(0, 0, 64), 82,
                 "tensor 'b': its data overlap those of tensor 'a'"});
  ExpectRefused({TwoTensors(32, 0, 64), 82,
                 "tensor 'b': its data are out of order, before those of "
                 "tensor 'a'"});
  ExpectRefused({TwoTensors(0, 64, 64), 82, "end past the file's 160 bytes"});
  ExpectRefused({TwoTensors(0, 32, 63), 82, "end past the file's 159 bytes"});
  ExpectRefused({TwoTensors(0, 32, 0), 49, "end past"});
}

TEST(GgufParserTest, ChecksOffsetsAgainstTheFilesOwnAlignment) {
  const auto file_with = [](uint64_t offset) {
    return RawGguf(2, 1)
        .Entry<uint32_t>("general.alignment", Type::kUint32, 64)
        .Tensor("a", {8}, kF32, 0)
        .Tensor("b", {8}, kF32, offset)
        .Data(256, 64)
        .bytes();
  };
  const auto file = GgufFile::FromBytes(file_with(64), "good");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tensors()[0].offset % 64, 0u);
  EXPECT_EQ((*file)->tensors()[1].offset, (*file)->tensors()[0].offset + 64);
  EXPECT_FALSE(GgufFile::FromBytes(file_with(32), "bad").ok());
}

// A good file with entries of every type and two tensors.
std::string GoodFile() {
  const auto all = GgufFile::FromBytes(FileOfAllTypes(), "all");
  GgufWriter writer;
  for (const GgufEntry& entry : (*all)->entries()) writer.CopyEntry(entry);
  const std::vector<uint8_t> data(68, 0x5a);
  writer.AddTensor("a", TensorType::kF32, {4, 4},
                   absl::MakeConstSpan(data).first(64));
  writer.AddTensor("b", TensorType::kQ8_0, {32, 2}, data);
  return writer.Serialize();
}

TEST(GgufParserTest, RefusesEveryTruncation) {
  const std::string good = GoodFile();
  const auto whole = GgufFile::FromBytes(good, "good");
  ASSERT_TRUE(whole.ok()) << whole.status();
  const GgufTensor& last = (*whole)->tensors().back();
  const size_t needed = last.offset + last.bytes;
  for (size_t size = 0; size < good.size(); ++size) {
    const auto file = GgufFile::FromBytes(good.substr(0, size), "cut");
    ASSERT_EQ(file.ok(), size >= needed) << size;
    if (file.ok()) continue;
    EXPECT_EQ(GetErrorDetail(file.status())->reason, kReasonMalformedFile);
    EXPECT_TRUE(absl::StrContains(file.status().message(), "offset "));
  }
}

// Reads all that a file gives out.
uint64_t Touch(const GgufFile& file) {
  uint64_t sum = 0;
  for (const GgufEntry& entry : file.entries()) {
    sum += entry.key.size();
    if (const auto* text = std::get_if<absl::string_view>(&entry.value)) {
      for (const char byte : *text) sum += static_cast<uint8_t>(byte);
    }
    if (const auto* array = std::get_if<GgufArray>(&entry.value)) {
      sum += array->size();
    }
  }
  for (const GgufTensor& tensor : file.tensors()) {
    const std::vector<uint8_t> data = *file.ReadTensor(tensor);
    for (const uint8_t byte : data) sum += byte;
  }
  return sum;
}

TEST(GgufParserTest, SurvivesRandomDamage) {
  const std::string good = GoodFile();
  std::mt19937_64 random(20240611);
  int accepted = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = good;
    const uint64_t changes = 1 + random() % 4;
    for (uint64_t i = 0; i < changes; ++i) {
      // Half of them set a byte to an extreme, half flip one bit.
      char& byte = bytes[random() % bytes.size()];
      byte = random() % 2 == 0 ? (random() % 2 == 0 ? '\xff' : '\0')
                               : static_cast<char>(byte ^ (1 << random() % 8));
    }
    const auto file = GgufFile::FromBytes(bytes, "damaged");
    if (!file.ok()) {
      EXPECT_EQ(GetErrorDetail(file.status())->reason, kReasonMalformedFile);
      continue;
    }
    EXPECT_GT(Touch(**file), 0u);
    ++accepted;
  }
  // Damage to values and data alone leaves a good file.
  EXPECT_GT(accepted, 0);
  EXPECT_LT(accepted, 5000);
}

}  // namespace
}  // namespace tandem
