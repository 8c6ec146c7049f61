// Transcendental functions in fixed arithmetic: the same bits on every
// machine. libm picks FMA variants at run time, so it may not stand on the
// path of a logit or of a sampled token. All of it is plain IEEE double
// addition, multiplication and division, compiled without contraction.

#ifndef TANDEM_ENGINE_BASE_FIXED_MATH_H_
#define TANDEM_ENGINE_BASE_FIXED_MATH_H_

namespace tandem {

// Natural logarithm of x > 0 (subnormals too), within 2 ulp. 0 gives
// -infinity, +infinity itself, NaN and negative numbers NaN.
double FixedLog(double x);

// e^x within 2 ulp; 0 below -745.2, +infinity above 709.79, NaN for NaN.
double FixedExp(double x);

struct SinCos {
  double sin;
  double cos;
};

// Sine and cosine of 0 <= x < 2^31 radians, within 1e-15 absolute.
SinCos FixedSinCos(double x);

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_FIXED_MATH_H_
