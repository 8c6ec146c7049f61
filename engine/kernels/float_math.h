// Arithmetic on floats that every level does in the same way: e^x, tanh x, the
// rounding to int8, and 16-bit floats. Pure; any thread. Included by files
// compiled for AVX, so it includes nothing but <cstdint> and defines no
// function: those files have vector forms of their own over the constants.

#ifndef TANDEM_ENGINE_KERNELS_FLOAT_MATH_H_
#define TANDEM_ENGINE_KERNELS_FLOAT_MATH_H_

#include <cstdint>

namespace tandem {

// e^x: range reduction with ln 2 in two parts, then the polynomial of Cephes'
// expf (S. Moshier, public domain). Plain multiplications and additions in the
// order of FixedExpFloat.
inline constexpr float kExpMin = -87.0f;  // below: 0
inline constexpr float kExpMax = 88.0f;   // above: +infinity
inline constexpr float kExpLog2E = 1.44269504088896341f;
// Nine bits: its product with an exponent is exact.
inline constexpr float kExpLn2High = 0.693359375f;
inline constexpr float kExpLn2Low = -2.12194440e-4f;
inline constexpr float kExpPolynomial[] = {
    1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
    4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f,
};
// x + kRoundShift - kRoundShift is x rounded to the nearest integer, ties to
// even, for |x| < 2^22.
inline constexpr float kRoundShift = 12582912.0f;

// tanh x is the polynomial of Cephes' tanhf where x^2 is below this, else
// 1 - 2 / (e^2x + 1).
inline constexpr float kTanhSquareMax = 0.625f * 0.625f;
inline constexpr float kTanhPolynomial[] = {
    -5.70498872745e-3f, 2.06390887954e-2f,  -5.37397155531e-2f,
    1.33314422036e-1f,  -3.33332819422e-1f,
};

// GELU by tanh (Hendrycks, Gimpel, arXiv 1606.08415) is x * sigmoid(2u) with
// u = sqrt(2 / pi) * (x + 0.044715 x^3): -2u = x * (kGeluLinear + kGeluCubic *
// x^2).
inline constexpr float kGeluLinear = -1.59576912160573f;
inline constexpr float kGeluCubic = -0.0713548162726009f;

// How activations are rounded to int8; the one place where it is stated.
//
// Per row and group (of 32, or a super-block of 256): m = the largest
// magnitude, scale = m / 127, value = round(x * (127 / m)), ties to even,
// clamped to -127 .. 127; divisions and products are rounded floats. A group
// whose m is below kQuantizeMin is all zero with scale 0: 127 / m would
// overflow. A group with a NaN or an infinity has values 0 and scale NaN, so
// that every output of the row is NaN: poison reaches the logits, where it is
// reported, and nothing is undefined.
//
// m is found as an integer: the bits of |x| order like its value, and put
// infinity and then NaN above every number.
inline constexpr float kQuantizeMax = 127.0f;
inline constexpr float kQuantizeMin = 0x1p-119f;
inline constexpr uint32_t kMagnitudeMask = 0x7fffffffu;
inline constexpr uint32_t kInfinityBits = 0x7f800000u;

// Rounds x[count] so; gives the scale.
float RoundToInt8(const float* x, int count, int8_t* values);

// e^x within 2 ulp on [-87, 88]; 0 below, +inf above.
float FixedExpFloat(float x);
// tanh x within 3 ulp.
float FixedTanhFloat(float x);

// Rounds to nearest even.
uint16_t FloatToBf16(float value);
float Bf16ToFloat(uint16_t bits);
float HalfToFloat(uint16_t bits);
// Rounds to nearest even; overflow gives infinity.
uint16_t FloatToHalf(float value);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_FLOAT_MATH_H_
