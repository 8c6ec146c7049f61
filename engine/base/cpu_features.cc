#include "engine/base/cpu_features.h"

#include <cpuid.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

// Half-precision conversions. clang 14 does not know the name "f16c" in
// __builtin_cpu_supports, which also checks the operating system's part for
// AVX2.
bool CpuHasF16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

}  // namespace

absl::string_view SimdLevelName(SimdLevel level) {
  switch (level) {
    case SimdLevel::kScalar:
      return "scalar";
    case SimdLevel::kAvx2:
      return "avx2";
    case SimdLevel::kAvx512:
      return "avx512";
  }
  return "unknown";
}

SimdLevel DetectedSimdLevel() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !CpuHasF16c()) {
    return SimdLevel::kScalar;
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni")) {
    return SimdLevel::kAvx512;
  }
  return SimdLevel::kAvx2;
}

absl::StatusOr<SimdLevel> EffectiveSimdLevel() {
  const SimdLevel detected = DetectedSimdLevel();
  const char* value = std::getenv("TANDEM_SIMD");
  if (value == nullptr || *value == '\0') return detected;
  for (SimdLevel level :
       {SimdLevel::kScalar, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (SimdLevelName(level) != value) continue;
    if (level <= detected) return level;
    return absl::InvalidArgumentError(absl::StrCat("TANDEM_SIMD=", value,
                                                   ": this machine has only ",
                                                   SimdLevelName(detected)));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("TANDEM_SIMD=", value, ": must be scalar, avx2 or avx512"));
}

bool CpuHasBf16Matmul() {
  // oneDNN emulates bf16 dot products on plain AVX-512, with other bits; the
  // effective instruction set is part of the fingerprint, so both are allowed.
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

}  // namespace tandem
