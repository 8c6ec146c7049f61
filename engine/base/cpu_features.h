// The instruction sets that the kernels may use, found at run time.

#ifndef TANDEM_ENGINE_BASE_CPU_FEATURES_H_
#define TANDEM_ENGINE_BASE_CPU_FEATURES_H_

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

// Levels in ascending order; each includes the ones before it.
enum class SimdLevel {
  kScalar = 0,
  kAvx2 = 1,    // AVX2, FMA, F16C
  kAvx512 = 2,  // AVX-512 F, BW, DQ, VL and VNNI
};

// "scalar", "avx2", "avx512".
absl::string_view SimdLevelName(SimdLevel level);

// The highest level that this CPU and operating system have.
SimdLevel DetectedSimdLevel();

// The detected level, lowered by the environment variable TANDEM_SIMD
// (scalar, avx2 or avx512) where it is set. Errors: INVALID_ARGUMENT on any
// other value, or on a level that the machine does not have.
absl::StatusOr<SimdLevel> EffectiveSimdLevel();

// True when the CPU has AVX-512 with what oneDNN needs for bf16 matmuls.
bool CpuHasBf16Matmul();

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_CPU_FEATURES_H_
