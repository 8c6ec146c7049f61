#include "engine/kernels/kernel_table.h"

#include "engine/base/cpu_features.h"

namespace tandem {

const KernelTable& KernelsFor(SimdLevel level) {
  switch (level) {
    case SimdLevel::kScalar:
      break;
    case SimdLevel::kAvx2:
      return kAvx2Kernels;
    case SimdLevel::kAvx512:
      return kAvx512Kernels;
  }
  return kScalarKernels;
}

}  // namespace tandem
