// The constants of e^x and tanh x in floats, shared by every level: range
// reduction with ln 2 in two parts, then the polynomials of Cephes' expf and
// tanhf (S. Moshier, public domain). Plain multiplications and additions in the
// order of FixedExpFloat and FixedTanhFloat.

#ifndef TANDEM_ENGINE_KERNELS_FIXED_EXP_H_
#define TANDEM_ENGINE_KERNELS_FIXED_EXP_H_

namespace tandem {

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

// tanh x is a polynomial where x^2 is below this, else 1 - 2 / (e^2x + 1).
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

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_FIXED_EXP_H_
