// Picks the functions of a SIMD level.

#ifndef TANDEM_ENGINE_KERNELS_KERNELS_H_
#define TANDEM_ENGINE_KERNELS_KERNELS_H_

#include "engine/base/cpu_features.h"
#include "engine/kernels/kernel_table.h"

namespace tandem {

// The caller knows that the machine has `level`.
const KernelTable& KernelsFor(SimdLevel level);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_KERNELS_H_
