#include "engine/kernels/weight_format.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/base/check.h"
#include "engine/kernels/fixed_exp.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/quantize_constants.h"
#include "engine/kernels/vector_ops.h"

namespace tandem {
namespace {

uint16_t LoadHalf(const uint8_t* data) {
  uint16_t bits;
  std::memcpy(&bits, data, sizeof(bits));
  return bits;
}

void DequantizeF32(const uint8_t* data, int64_t count, float* out) {
  std::memcpy(out, data, count * sizeof(float));
}

void DequantizeF16(const uint8_t* data, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i)
    out[i] = HalfToFloat(LoadHalf(data + 2 * i));
}

void DequantizeBf16(const uint8_t* data, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i)
    out[i] = Bf16ToFloat(LoadHalf(data + 2 * i));
}

// Rounds a group of floats as the Q8_0 format does: scale = largest / 127 as
// fp16, values = round(x / (largest / 127)). A group with a NaN or an infinity
// gets the scale NaN, so that every output it touches is NaN.
void PackFloats(const float* x, WeightGroup* out) {
  uint32_t magnitude = 0;
  for (int i = 0; i < kGroupInputs; ++i) {
    magnitude =
        std::max(magnitude, std::bit_cast<uint32_t>(x[i]) & kMagnitudeMask);
  }
  const float largest = std::bit_cast<float>(magnitude);
  if (magnitude >= kInfinityBits || largest < kQuantizeMin) {
    std::memset(out->codes, kPacked8Zero, kGroupInputs);
    out->scale = magnitude >= kInfinityBits ? 0x7e00 : 0;
    return;
  }
  const float inverse = kQuantizeMax / largest;
  for (int i = 0; i < kGroupInputs; ++i) {
    const float rounded = (x[i] * inverse + kRoundShift) - kRoundShift;
    const float clamped =
        std::min(std::max(rounded, -kQuantizeMax), kQuantizeMax);
    out->codes[i] =
        static_cast<uint8_t>(static_cast<int>(clamped) + kPacked8Zero);
  }
  out->scale = FloatToHalf(largest / kQuantizeMax);
}

template <void (*kDequantize)(const uint8_t*, int64_t, float*)>
void PackFloatGroup(const uint8_t* data, WeightGroup* out) {
  float x[kGroupInputs];
  kDequantize(data, kGroupInputs, x);
  PackFloats(x, out);
}

// Q8_0: fp16 scale, 32 signed bytes.
void PackQ8_0(const uint8_t* data, WeightGroup* out) {
  out->scale = LoadHalf(data);
  for (int i = 0; i < kGroupInputs; ++i) {
    out->codes[i] =
        static_cast<uint8_t>(static_cast<int8_t>(data[2 + i]) + kPacked8Zero);
  }
}

// Q4_0: fp16 scale, 16 bytes; byte i holds element i in its low nibble and
// element i + 16 in its high one, each plus 8.
void PackQ4_0(const uint8_t* data, WeightGroup* out) {
  out->scale = LoadHalf(data);
  for (int i = 0; i < kGroupInputs / 2; ++i) {
    out->codes[i] = data[2 + i] & 15;
    out->codes[i + kGroupInputs / 2] = data[2 + i] >> 4;
  }
}

template <void (*kPack)(const uint8_t*, WeightGroup*), int kBlockBytes,
          int kZero>
void DequantizeGroups(const uint8_t* data, int64_t count, float* out) {
  for (int64_t i = 0; i < count; i += kGroupInputs, data += kBlockBytes) {
    WeightGroup group;
    kPack(data, &group);
    const float scale = HalfToFloat(group.scale);
    for (int k = 0; k < kGroupInputs; ++k) {
      out[i + k] = static_cast<float>(group.codes[k] - kZero) * scale;
    }
  }
}

constexpr WeightFormat kFormats[] = {
    {TensorType::kF32, DequantizeF32, PackedForm::k8Bit,
     PackFloatGroup<DequantizeF32>},
    {TensorType::kF16, DequantizeF16, PackedForm::k8Bit,
     PackFloatGroup<DequantizeF16>},
    {TensorType::kBF16, DequantizeBf16, PackedForm::k8Bit,
     PackFloatGroup<DequantizeBf16>},
    {TensorType::kQ8_0, DequantizeGroups<PackQ8_0, 34, kPacked8Zero>,
     PackedForm::k8Bit, PackQ8_0},
    {TensorType::kQ4_0, DequantizeGroups<PackQ4_0, 18, kPacked4Zero>,
     PackedForm::k4Bit, PackQ4_0},
};

}  // namespace

const WeightFormat* FindWeightFormat(TensorType type) {
  for (const WeightFormat& format : kFormats) {
    if (format.type == type) return &format;
  }
  return nullptr;
}

int64_t WeightBytes(TensorType type, int64_t count) {
  const TensorTypeInfo info = GetTensorTypeInfo(type);
  TANDEM_CHECK(count % info.block_elements == 0);
  return count / info.block_elements * info.block_bytes;
}

void Dequantize(TensorType type, const uint8_t* data, int64_t count,
                float* out) {
  const WeightFormat* format = FindWeightFormat(type);
  TANDEM_CHECK(format != nullptr);
  TANDEM_CHECK(count % GetTensorTypeInfo(type).block_elements == 0);
  format->dequantize(data, count, out);
}

bool IsSupportedWeightType(TensorType type) {
  return FindWeightFormat(type) != nullptr;
}

}  // namespace tandem
