// The constants of e^x in floats, shared by every level: range reduction with
// ln 2 in two parts, then the polynomial of Cephes' expf (S. Moshier, public
// domain). Plain multiplications and additions in the order of FixedExpFloat.

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

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_FIXED_EXP_H_
