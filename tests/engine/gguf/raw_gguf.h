// GGUF bytes written field by field, right or wrong: what GgufWriter refuses
// to make. A value; one thread.

#ifndef TANDEM_TESTS_ENGINE_GGUF_RAW_GGUF_H_
#define TANDEM_TESTS_ENGINE_GGUF_RAW_GGUF_H_

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

class RawGguf {
 public:
  // The header: magic, version 3 and the two counts. Metadata begin at 24.
  RawGguf(uint64_t tensors, uint64_t entries) {
    bytes_ = "GGUF";
    Number<uint32_t>(3).Number(tensors).Number(entries);
  }

  template <typename T>
  RawGguf& Number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
    return *this;
  }
  RawGguf& Text(absl::string_view text) {
    Number<uint64_t>(text.size());
    bytes_.append(text.data(), text.size());
    return *this;
  }
  RawGguf& Key(absl::string_view key, GgufValueType type) {
    return Text(key).Number(static_cast<uint32_t>(type));
  }
  // A key of `type` and its value; for numbers and bools.
  template <typename T>
  RawGguf& Entry(absl::string_view key, GgufValueType type, T value) {
    return Key(key, type).Number(value);
  }
  RawGguf& ArrayHead(GgufValueType type, uint64_t count) {
    return Number(static_cast<uint32_t>(type)).Number(count);
  }
  RawGguf& Tensor(absl::string_view name, const std::vector<uint64_t>& dims,
                  uint32_t type, uint64_t offset) {
    Text(name).Number(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) Number(dim);
    return Number(type).Number(offset);
  }
  // Zeros up to a multiple of `alignment`, then `bytes` of data.
  RawGguf& Data(uint64_t bytes, uint64_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    bytes_.resize(bytes_.size() + bytes, '\x5a');
    return *this;
  }
  // Bytes that no field claims, so that counts are not too large for the file.
  RawGguf& Padding(size_t bytes) {
    bytes_.resize(bytes_.size() + bytes);
    return *this;
  }

  size_t size() const { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// One entry of each of the 13 value types and one array of each element type;
// version 3, no tensor.
inline std::string FileOfAllTypes() {
  using Type = GgufValueType;
  RawGguf raw(0, 25);
  raw.Entry<uint8_t>("n.uint8", Type::kUint8, 0xFF)
      .Entry<int8_t>("n.int8", Type::kInt8, -1)
      .Entry<uint16_t>("n.uint16", Type::kUint16, 0xFFFF)
      .Entry<int16_t>("n.int16", Type::kInt16, -2)
      .Entry<uint32_t>("n.uint32", Type::kUint32, 0xFFFFFFFF)
      .Entry<int32_t>("n.int32", Type::kInt32, -3)
      .Entry<float>("n.float32", Type::kFloat32, 1.5f)
      .Entry<uint8_t>("n.bool", Type::kBool, 1)
      .Entry<uint64_t>("n.uint64", Type::kUint64, UINT64_MAX)
      .Entry<int64_t>("n.int64", Type::kInt64, INT64_MIN)
      .Entry<double>("n.float64", Type::kFloat64, -0.1);
  raw.Key("n.string", Type::kString).Text("text");
  raw.Key("a.uint8", Type::kArray).ArrayHead(Type::kUint8, 2);
  raw.Number<uint8_t>(1).Number<uint8_t>(0xFF);
  raw.Key("a.int8", Type::kArray).ArrayHead(Type::kInt8, 1);
  raw.Number<int8_t>(-128);
  raw.Key("a.uint16", Type::kArray).ArrayHead(Type::kUint16, 1);
  raw.Number<uint16_t>(0xFFFF);
  raw.Key("a.int16", Type::kArray).ArrayHead(Type::kInt16, 1);
  raw.Number<int16_t>(-5);
  raw.Key("a.uint32", Type::kArray).ArrayHead(Type::kUint32, 1);
  raw.Number<uint32_t>(0xFFFFFFFF);
  raw.Key("a.int32", Type::kArray).ArrayHead(Type::kInt32, 1);
  raw.Number<int32_t>(-6);
  raw.Key("a.float32", Type::kArray).ArrayHead(Type::kFloat32, 1);
  raw.Number<float>(0.25f);
  raw.Key("a.bool", Type::kArray).ArrayHead(Type::kBool, 2);
  raw.Number<uint8_t>(1).Number<uint8_t>(0);
  raw.Key("a.string", Type::kArray).ArrayHead(Type::kString, 2);
  raw.Text("").Text("z");
  raw.Key("a.uint64", Type::kArray).ArrayHead(Type::kUint64, 1);
  raw.Number<uint64_t>(UINT64_MAX);
  raw.Key("a.int64", Type::kArray).ArrayHead(Type::kInt64, 1);
  raw.Number<int64_t>(-7);
  raw.Key("a.float64", Type::kArray).ArrayHead(Type::kFloat64, 1);
  raw.Number<double>(0.1);
  raw.Key("a.empty", Type::kArray).ArrayHead(Type::kInt32, 0);
  return raw.bytes();
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_GGUF_RAW_GGUF_H_
