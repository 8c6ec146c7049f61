#include "engine/kernels/weight_format.h"

#include <cstring>

#include "engine/base/check.h"
#include "engine/kernels/float_math.h"

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

// Integers as codes of the 8-bit form.
uint8_t Code8(int value) { return static_cast<uint8_t>(value + kPacked8Zero); }

// Rounds a group of floats as the Q8_0 format does: scale = largest / 127 as
// fp16, values = round(x / (largest / 127)). A group with a NaN or an infinity
// gets the scale NaN, so that every output it touches is NaN.
template <void (*kDequantize)(const uint8_t*, int64_t, float*)>
void PackFloats(const uint8_t* data, WeightBlock* out) {
  float x[kGroupInputs];
  int8_t values[kGroupInputs];
  kDequantize(data, kGroupInputs, x);
  out->scale = FloatToHalf(RoundToInt8(x, kGroupInputs, values));
  out->minimum = 0;
  for (int i = 0; i < kGroupInputs; ++i) out->codes[i] = Code8(values[i]);
}

constexpr int kHalfGroup = kGroupInputs / 2;

// 16 bytes: byte i holds the low four bits of element i in its low nibble and
// those of element i + 16 in its high one.
void UnpackNibbles(const uint8_t* bytes, uint8_t* codes) {
  for (int i = 0; i < kHalfGroup; ++i) {
    codes[i] = bytes[i] & 15;
    codes[i + kHalfGroup] = bytes[i] >> 4;
  }
}

// The fifth bits of 32 elements: bit i of 4 little-endian bytes.
void AddFifthBits(const uint8_t* bytes, uint8_t* codes) {
  for (int i = 0; i < kGroupInputs; ++i) {
    codes[i] |= static_cast<uint8_t>((bytes[i / 8] >> (i % 8) & 1) << 4);
  }
}

// Q8_0: fp16 scale, 32 signed bytes.
void PackQ8_0(const uint8_t* data, WeightBlock* out) {
  out->scale = LoadHalf(data);
  out->minimum = 0;
  for (int i = 0; i < kGroupInputs; ++i) {
    out->codes[i] = Code8(static_cast<int8_t>(data[2 + i]));
  }
}

// Q4_0: fp16 scale, nibbles of value + 8.
void PackQ4_0(const uint8_t* data, WeightBlock* out) {
  out->scale = LoadHalf(data);
  out->minimum = 0;
  UnpackNibbles(data + 2, out->codes);
}

// Q4_1: fp16 scale, fp16 minimum, nibbles.
void PackQ4_1(const uint8_t* data, WeightBlock* out) {
  out->scale = LoadHalf(data);
  out->minimum = LoadHalf(data + 2);
  UnpackNibbles(data + 4, out->codes);
}

// Q5_0: fp16 scale, fifth bits, nibbles of value + 16.
void PackQ5_0(const uint8_t* data, WeightBlock* out) {
  out->scale = LoadHalf(data);
  out->minimum = 0;
  UnpackNibbles(data + 6, out->codes);
  AddFifthBits(data + 2, out->codes);
  for (int i = 0; i < kGroupInputs; ++i) {
    out->codes[i] = Code8(out->codes[i] - 16);
  }
}

// Q5_1: fp16 scale, fp16 minimum, fifth bits, nibbles.
void PackQ5_1(const uint8_t* data, WeightBlock* out) {
  out->scale = LoadHalf(data);
  out->minimum = LoadHalf(data + 2);
  UnpackNibbles(data + 8, out->codes);
  AddFifthBits(data + 4, out->codes);
}

// IQ4_NL: fp16 scale, nibbles into a table of 16 values.
void PackIQ4_NL(const uint8_t* data, WeightBlock* out) {
  out->scale = LoadHalf(data);
  out->minimum = 0;
  UnpackNibbles(data + 2, out->codes);
  for (int i = 0; i < kGroupInputs; ++i) {
    out->codes[i] = Code8(kSuper4Values[out->codes[i]]);
  }
}

// The super-block types. Elements are counted through a block: e = 128 * n +
// 32 * j + l with l below 32, and g = e / 16.

// Two bits an element, 64 bytes: byte 32 * n + l holds those of j = 0 .. 3 from
// its low end.
int TwoBits(const uint8_t* bytes, int e) {
  return bytes[e / 128 * 32 + e % 32] >> (e % 128 / 32 * 2) & 3;
}

// Four bits an element, 128 bytes: of each 64 elements the low nibbles of 32
// bytes hold the first 32 and the high ones the others.
int FourBits(const uint8_t* bytes, int e) {
  return bytes[e / 64 * 32 + e % 32] >> (e % 64 / 32 * 4) & 15;
}

// One bit an element, 32 bytes: byte l holds those of e / 32 = 0 .. 7 from its
// low end.
int OneBit(const uint8_t* bytes, int e) {
  return bytes[e % 32] >> (e / 32) & 1;
}

// The 6-bit scales and minimums of 8 groups of 32 in 12 bytes: those of groups
// 0 .. 3 lie in the low six bits of bytes 0 .. 3 and 4 .. 7; those of groups
// 4 .. 7 have their low four bits in the nibbles of bytes 8 .. 11 (scale: low
// nibble) and their high two in the top of bytes 0 .. 3 and 4 .. 7.
void UnpackSixBitScales(const uint8_t* bytes, WeightBlock* out) {
  for (int g = 0; g < kSuperGroups; ++g) {
    const int pair = g / 2;
    const int low = pair % 4;
    if (pair < 4) {
      out->scales[g] = static_cast<int8_t>(bytes[low] & 63);
      out->minimums[g] = bytes[4 + low] & 63;
    } else {
      out->scales[g] =
          static_cast<int8_t>((bytes[8 + low] & 15) | (bytes[low] >> 6 << 4));
      out->minimums[g] = static_cast<uint8_t>((bytes[8 + low] >> 4) |
                                              (bytes[4 + low] >> 6 << 4));
    }
  }
}

// Q2_K: 16 bytes of scale (low nibble) and minimum (high), two bits an element,
// fp16 scale, fp16 minimum.
void PackQ2_K(const uint8_t* data, WeightBlock* out) {
  for (int g = 0; g < kSuperGroups; ++g) {
    out->scales[g] = static_cast<int8_t>(data[g] & 15);
    out->minimums[g] = data[g] >> 4;
  }
  for (int e = 0; e < kSuperInputs; ++e) {
    out->codes[e] = static_cast<uint8_t>(TwoBits(data + 16, e));
  }
  out->scale = LoadHalf(data + 80);
  out->minimum = LoadHalf(data + 82);
}

// Q3_K: the third bits (value + 4), two bits an element, 16 scales of six bits
// plus 32 in 12 bytes, fp16 scale. Scale g has its low four bits in nibble
// g / 8 of byte g % 8 and its high two in bits 2 * (g / 4) of byte 8 + g % 4.
void PackQ3_K(const uint8_t* data, WeightBlock* out) {
  const uint8_t* scales = data + 96;
  for (int g = 0; g < kSuperGroups; ++g) {
    const int low = scales[g % 8] >> (g / 8 * 4) & 15;
    const int high = scales[8 + g % 4] >> (g / 4 * 2) & 3;
    out->scales[g] = static_cast<int8_t>((low | high << 4) - 32);
    out->minimums[g] = 0;
  }
  for (int e = 0; e < kSuperInputs; ++e) {
    const int value = TwoBits(data + 32, e) + 4 * OneBit(data, e) - 4;
    out->codes[e] = static_cast<uint8_t>(value + kSuper8ZeroPoint);
  }
  out->scale = LoadHalf(data + 108);
  out->minimum = 0;
}

// Q4_K: fp16 scale, fp16 minimum, scales, four bits an element.
void PackQ4_K(const uint8_t* data, WeightBlock* out) {
  out->scale = LoadHalf(data);
  out->minimum = LoadHalf(data + 2);
  UnpackSixBitScales(data + 4, out);
  for (int e = 0; e < kSuperInputs; ++e) {
    out->codes[e] = static_cast<uint8_t>(FourBits(data + 16, e));
  }
}

// Q5_K: fp16 scale, fp16 minimum, scales, the fifth bits, four bits an element.
void PackQ5_K(const uint8_t* data, WeightBlock* out) {
  out->scale = LoadHalf(data);
  out->minimum = LoadHalf(data + 2);
  UnpackSixBitScales(data + 4, out);
  for (int e = 0; e < kSuperInputs; ++e) {
    out->codes[e] = static_cast<uint8_t>(FourBits(data + 48, e) |
                                         OneBit(data + 16, e) << 4);
  }
}

// Q6_K: the low four bits (value + 32), the high two bits, 16 signed scales,
// fp16 scale. The low bits of each 128 elements are 64 bytes: low nibbles hold
// the first 64, high ones the others.
void PackQ6_K(const uint8_t* data, WeightBlock* out) {
  for (int e = 0; e < kSuperInputs; ++e) {
    const int low = data[e / 128 * 64 + e % 64] >> (e % 128 / 64 * 4) & 15;
    out->codes[e] = static_cast<uint8_t>(low | TwoBits(data + 128, e) << 4);
  }
  for (int g = 0; g < kSuperGroups; ++g) {
    out->scales[g] = static_cast<int8_t>(data[192 + g]);
    out->minimums[g] = 0;
  }
  out->scale = LoadHalf(data + 208);
  out->minimum = 0;
}

// IQ4_XS: fp16 scale, the high two bits of 8 scales (plus 32) in 16 bits, their
// low four in 4 bytes, and per 32 elements 16 bytes of nibbles into the table.
void PackIQ4_XS(const uint8_t* data, WeightBlock* out) {
  out->scale = LoadHalf(data);
  out->minimum = 0;
  const uint16_t high = LoadHalf(data + 2);
  for (int g = 0; g < kSuperGroups; ++g) {
    const int pair = g / 2;
    const int low = data[4 + pair / 2] >> (pair % 2 * 4) & 15;
    out->scales[g] =
        static_cast<int8_t>((low | (high >> (2 * pair) & 3) << 4) - 32);
    out->minimums[g] = 0;
  }
  for (int pair = 0; pair < kSuperGroups / 2; ++pair) {
    UnpackNibbles(data + 8 + pair * kHalfGroup,
                  out->codes + pair * kGroupInputs);
  }
}

template <PackedForm kForm, int kBlockBytes,
          void (*kPack)(const uint8_t*, WeightBlock*)>
void DequantizeBlocks(const uint8_t* data, int64_t count, float* out) {
  constexpr int kInputs = kLayoutOf<kForm>.inputs;
  for (int64_t i = 0; i < count; i += kInputs, data += kBlockBytes) {
    WeightBlock block;
    kPack(data, &block);
    BlockValues(kForm, block, out + i);
  }
}

struct Halves {
  int offset = 0;
  int count = 0;
};

template <PackedForm kForm,
          void (*kDequantize)(const uint8_t*, int64_t, float*)>
constexpr WeightFormat FloatFormat(TensorType type, Halves halves) {
  return {.type = type,
          .dequantize = kDequantize,
          .int8_form = PackedForm::k8Bit,
          .exact_form = kForm,
          .pack = PackFloats<kDequantize>,
          .halves_offset = halves.offset,
          .halves = halves.count};
}

template <PackedForm kForm, int kBlockBytes,
          void (*kPack)(const uint8_t*, WeightBlock*)>
constexpr WeightFormat BlockFormat(TensorType type, Halves halves) {
  return {.type = type,
          .dequantize = DequantizeBlocks<kForm, kBlockBytes, kPack>,
          .int8_form = kForm,
          .exact_form = kForm,
          .pack = kPack,
          .halves_offset = halves.offset,
          .halves = halves.count};
}

using enum PackedForm;

constexpr WeightFormat kFormats[] = {
    FloatFormat<kF32, DequantizeF32>(TensorType::kF32, {0, 0}),
    FloatFormat<kF16, DequantizeF16>(TensorType::kF16, {0, 1}),
    FloatFormat<kBf16, DequantizeBf16>(TensorType::kBF16, {0, 0}),
    BlockFormat<k4Bit, 18, PackQ4_0>(TensorType::kQ4_0, {0, 1}),
    BlockFormat<k8BitMinimum, 20, PackQ4_1>(TensorType::kQ4_1, {0, 2}),
    BlockFormat<k8Bit, 22, PackQ5_0>(TensorType::kQ5_0, {0, 1}),
    BlockFormat<k8BitMinimum, 24, PackQ5_1>(TensorType::kQ5_1, {0, 2}),
    BlockFormat<k8Bit, 34, PackQ8_0>(TensorType::kQ8_0, {0, 1}),
    BlockFormat<k8Bit, 18, PackIQ4_NL>(TensorType::kIQ4_NL, {0, 1}),
    BlockFormat<kSuper8, 84, PackQ2_K>(TensorType::kQ2_K, {80, 2}),
    BlockFormat<kSuper8Zero, 110, PackQ3_K>(TensorType::kQ3_K, {108, 1}),
    BlockFormat<kSuper4, 144, PackQ4_K>(TensorType::kQ4_K, {0, 2}),
    BlockFormat<kSuper8, 176, PackQ5_K>(TensorType::kQ5_K, {0, 2}),
    BlockFormat<kSuper8Zero, 210, PackQ6_K>(TensorType::kQ6_K, {208, 1}),
    BlockFormat<kSuper4Table, 136, PackIQ4_XS>(TensorType::kIQ4_XS, {0, 1}),
};

}  // namespace

// In super-blocks the products are exact, as an fp16 has 11 significant bits, a
// scale 7 and a code 7; only the difference is rounded, and without a minimum
// it takes off +0, which changes nothing.
void BlockValues(PackedForm form, const WeightBlock& block, float* out) {
  const BlockLayout& layout = kBlockLayouts[static_cast<int>(form)];
  const float scale = HalfToFloat(block.scale);
  const float minimum = HalfToFloat(block.minimum);
  for (int i = 0; i < layout.inputs; ++i) {
    const float value = static_cast<float>(CodeValue(form, block.codes[i]));
    const int g = i / kSuperGroupInputs;
    if (layout.group_inputs != 0) {
      out[i] = scale * static_cast<float>(block.scales[g]) * value -
               minimum * static_cast<float>(block.minimums[g]);
    } else {
      out[i] = value * scale;
      if (layout.minimum != 0) out[i] += minimum;
    }
  }
}

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

bool IsFloatWeightType(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 ||
         type == TensorType::kBF16;
}

}  // namespace tandem
