#include "engine/kernels/weight_quantizer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/base/check.h"
#include "engine/kernels/float_math.h"
#include "engine/kernels/kernel_table.h"

namespace tandem {
namespace {

// Below it a group is taken for zeros: its scale would vanish as an fp16.
constexpr float kGroupMin = 0x1p-60f;

void StoreHalf(float value, uint8_t* out) {
  const uint16_t bits = FloatToHalf(value);
  std::memcpy(out, &bits, sizeof(bits));
}

// The nearest integer in low .. high, halves away from zero.
int RoundTo(float x, int low, int high) {
  const float clamped =
      std::clamp(x, static_cast<float>(low), static_cast<float>(high));
  return static_cast<int>(clamped < 0 ? clamped - 0.5f : clamped + 0.5f);
}

// The element of the largest magnitude, with its sign.
float LargestOf(const float* x, int count) {
  float largest = 0;
  for (int i = 0; i < count; ++i) {
    if (std::abs(x[i]) > std::abs(largest)) largest = x[i];
  }
  return largest;
}

void QuantizeQ8_0(const float* x, uint8_t* out) {
  const float scale = std::abs(LargestOf(x, kGroupInputs)) / 127.0f;
  const float inverse = scale < kGroupMin ? 0.0f : 1.0f / scale;
  StoreHalf(scale, out);
  for (int i = 0; i < kGroupInputs; ++i) {
    out[2 + i] = static_cast<uint8_t>(RoundTo(x[i] * inverse, -127, 127));
  }
}

// The element of the largest magnitude is -8 steps.
void QuantizeQ4_0(const float* x, uint8_t* out) {
  const float scale = LargestOf(x, kGroupInputs) / -8.0f;
  const float inverse = std::abs(scale) < kGroupMin ? 0.0f : 1.0f / scale;
  StoreHalf(scale, out);
  const auto code = [&](int i) { return RoundTo(x[i] * inverse, -8, 7) + 8; };
  constexpr int kHalf = kGroupInputs / 2;
  for (int i = 0; i < kHalf; ++i) {
    out[2 + i] = static_cast<uint8_t>(code(i) | code(i + kHalf) << 4);
  }
}

// Sums of one fit of w[i] * (x[i] - scale * code[i] + minimum)^2, w = x^2.
struct Fit {
  float scale = 0;
  float minimum = 0;  // 0 or above
  float error = 0;
};

float SquaredError(const float* x, const uint8_t* codes, int count,
                   const Fit& fit) {
  float error = 0;
  for (int i = 0; i < count; ++i) {
    const float off = fit.scale * static_cast<float>(codes[i]) - fit.minimum;
    error += x[i] * x[i] * (x[i] - off) * (x[i] - off);
  }
  return error;
}

// The best scale and minimum for given codes: the two normal equations, or one
// where the minimum would be negative.
Fit BestFit(const float* x, const uint8_t* codes, int count) {
  float w = 0, wc = 0, wcc = 0, wx = 0, wxc = 0;
  for (int i = 0; i < count; ++i) {
    const float weight = x[i] * x[i];
    const float code = static_cast<float>(codes[i]);
    w += weight;
    wc += weight * code;
    wcc += weight * code * code;
    wx += weight * x[i];
    wxc += weight * x[i] * code;
  }
  Fit fit;
  // Codes that are nearly all the same say nothing about the two numbers apart.
  constexpr float kSpreadMin = 1e-3f;
  const float determinant = w * wcc - wc * wc;
  const bool spread = determinant > kSpreadMin * w * wcc;
  if (spread) {
    fit.scale = (w * wxc - wc * wx) / determinant;
    fit.minimum = (wc * wxc - wcc * wx) / determinant;
  }
  if (!spread || fit.minimum < 0) {
    fit.minimum = 0;
    fit.scale = wcc > 0 ? wxc / wcc : 0;
  }
  fit.error = SquaredError(x, codes, count, fit);
  return fit;
}

constexpr int kQ4_KGroups = kSuperInputs / kGroupInputs;
constexpr int kTries = 20;

// A group of 32 as scale * (0 .. 15) - minimum. Ranges a little smaller than
// the whole one are tried: cutting the extremes off makes the steps finer.
Fit FitQ4_KGroup(const float* x) {
  float low = 0;  // the minimum is no negative number
  float high = x[0];
  for (int i = 0; i < kGroupInputs; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  if (high - low < kGroupMin) return {.scale = 0, .minimum = -low};
  Fit best;
  for (int attempt = 0; attempt <= kTries; ++attempt) {
    const float steps = 14.0f + 0.1f * static_cast<float>(attempt);
    const float inverse = steps / (high - low);
    uint8_t codes[kGroupInputs];
    for (int i = 0; i < kGroupInputs; ++i) {
      codes[i] = static_cast<uint8_t>(RoundTo((x[i] - low) * inverse, 0, 15));
    }
    const Fit fit = BestFit(x, codes, kGroupInputs);
    if (fit.scale < 0) continue;
    if (best.scale == 0 || fit.error < best.error) best = fit;
  }
  return best;
}

// The 6-bit numbers of UnpackSixBitScales (weight_format.cc).
void StoreSixBitScales(const int* scales, const int* minimums, uint8_t* out) {
  for (int i = 0; i < 4; ++i) {
    const int high = i + 4;
    out[i] = static_cast<uint8_t>(scales[i] | scales[high] >> 4 << 6);
    out[4 + i] = static_cast<uint8_t>(minimums[i] | minimums[high] >> 4 << 6);
    out[8 + i] =
        static_cast<uint8_t>((scales[high] & 15) | (minimums[high] & 15) << 4);
  }
}

void QuantizeQ4_K(const float* x, uint8_t* out) {
  Fit fits[kQ4_KGroups];
  float largest_scale = 0;
  float largest_minimum = 0;
  for (int g = 0; g < kQ4_KGroups; ++g) {
    fits[g] = FitQ4_KGroup(x + g * kGroupInputs);
    largest_scale = std::max(largest_scale, fits[g].scale);
    largest_minimum = std::max(largest_minimum, fits[g].minimum);
  }
  const auto sixth_bits = [](float value, float largest) {
    return largest < kGroupMin ? 0 : RoundTo(value * (63.0f / largest), 0, 63);
  };
  int scales[kQ4_KGroups];
  int minimums[kQ4_KGroups];
  for (int g = 0; g < kQ4_KGroups; ++g) {
    scales[g] = sixth_bits(fits[g].scale, largest_scale);
    minimums[g] = sixth_bits(fits[g].minimum, largest_minimum);
  }
  StoreHalf(largest_scale / 63.0f, out);
  StoreHalf(largest_minimum / 63.0f, out + 2);
  StoreSixBitScales(scales, minimums, out + 4);
  // Codes by the numbers that a reader will have.
  const float scale = HalfToFloat(FloatToHalf(largest_scale / 63.0f));
  const float minimum = HalfToFloat(FloatToHalf(largest_minimum / 63.0f));
  uint8_t codes[kSuperInputs];
  for (int e = 0; e < kSuperInputs; ++e) {
    const int g = e / kGroupInputs;
    const float step = scale * static_cast<float>(scales[g]);
    const float above = x[e] + minimum * static_cast<float>(minimums[g]);
    codes[e] = static_cast<uint8_t>(
        step < kGroupMin ? 0 : RoundTo(above / step, 0, 15));
  }
  for (int i = 0; i < kSuperInputs / 2; ++i) {
    const int e = i / kGroupInputs * 2 * kGroupInputs + i % kGroupInputs;
    out[16 + i] = static_cast<uint8_t>(codes[e] | codes[e + kGroupInputs] << 4);
  }
}

// A group of 16 as scale * (-32 .. 31): the scale, of either sign.
float FitQ6_KGroup(const float* x) {
  const float largest = LargestOf(x, kSuperGroupInputs);
  if (std::abs(largest) < kGroupMin) return 0;
  float best_scale = 0;
  float best_gain = 0;
  for (int attempt = -9; attempt <= 9; ++attempt) {
    const float inverse =
        (-32.0f + 0.1f * static_cast<float>(attempt)) / largest;
    float wxc = 0;
    float wcc = 0;
    for (int i = 0; i < kSuperGroupInputs; ++i) {
      const float code = static_cast<float>(RoundTo(x[i] * inverse, -32, 31));
      wxc += x[i] * x[i] * x[i] * code;
      wcc += x[i] * x[i] * code * code;
    }
    // The error with the best scale wxc / wcc is a constant minus this.
    const float gain = wcc > 0 ? wxc * wxc / wcc : 0;
    if (gain > best_gain) {
      best_gain = gain;
      best_scale = wxc / wcc;
    }
  }
  return best_scale;
}

void QuantizeQ6_K(const float* x, uint8_t* out) {
  float group_scales[kSuperGroups];
  for (int g = 0; g < kSuperGroups; ++g) {
    group_scales[g] = FitQ6_KGroup(x + g * kSuperGroupInputs);
  }
  const float largest = LargestOf(group_scales, kSuperGroups);
  // The scale of the largest magnitude is -128 steps.
  const bool zero = std::abs(largest) < kGroupMin;
  StoreHalf(largest / -128.0f, out + 208);
  const float scale = HalfToFloat(FloatToHalf(largest / -128.0f));
  uint8_t codes[kSuperInputs];
  for (int g = 0; g < kSuperGroups; ++g) {
    const int integer =
        zero ? 0 : RoundTo(group_scales[g] * (-128.0f / largest), -128, 127);
    out[192 + g] = static_cast<uint8_t>(integer);
    const float step = scale * static_cast<float>(integer);
    for (int i = 0; i < kSuperGroupInputs; ++i) {
      const int e = g * kSuperGroupInputs + i;
      codes[e] = static_cast<uint8_t>(
          (std::abs(step) < kGroupMin ? 0 : RoundTo(x[e] / step, -32, 31)) +
          32);
    }
  }
  for (int half = 0; half < 2; ++half) {
    const uint8_t* from = codes + 128 * half;
    for (int i = 0; i < 64; ++i) {
      out[64 * half + i] =
          static_cast<uint8_t>((from[i] & 15) | (from[i + 64] & 15) << 4);
    }
    for (int i = 0; i < 32; ++i) {
      out[128 + 32 * half + i] =
          static_cast<uint8_t>(from[i] >> 4 | from[i + 32] >> 4 << 2 |
                               from[i + 64] >> 4 << 4 | from[i + 96] >> 4 << 6);
    }
  }
}

void CopyF32(const float* x, uint8_t* out) { std::memcpy(out, x, sizeof(*x)); }
void RoundF16(const float* x, uint8_t* out) { StoreHalf(*x, out); }
void RoundBf16(const float* x, uint8_t* out) {
  const uint16_t bits = FloatToBf16(*x);
  std::memcpy(out, &bits, sizeof(bits));
}

using QuantizeBlock = void (*)(const float*, uint8_t*);

// Nullptr where the type is not made.
QuantizeBlock BlockQuantizer(TensorType type) {
  switch (type) {
    case TensorType::kF32:
      return CopyF32;
    case TensorType::kF16:
      return RoundF16;
    case TensorType::kBF16:
      return RoundBf16;
    case TensorType::kQ8_0:
      return QuantizeQ8_0;
    case TensorType::kQ4_0:
      return QuantizeQ4_0;
    case TensorType::kQ4_K:
      return QuantizeQ4_K;
    case TensorType::kQ6_K:
      return QuantizeQ6_K;
    default:
      return nullptr;
  }
}

}  // namespace

bool IsQuantizerType(TensorType type) {
  return BlockQuantizer(type) != nullptr;
}

void QuantizeWeights(TensorType type, const float* x, int64_t count,
                     uint8_t* out) {
  const QuantizeBlock quantize = BlockQuantizer(type);
  const TensorTypeInfo info = GetTensorTypeInfo(type);
  TANDEM_CHECK(quantize != nullptr && count % info.block_elements == 0);
  for (int64_t i = 0; i < count; i += info.block_elements) {
    quantize(x + i, out);
    out += info.block_bytes;
  }
}

}  // namespace tandem
