#include "engine/kernels/kernels.h"

namespace tandem {

const KernelTable& KernelsFor(SimdLevel) { return kScalarKernels; }

}  // namespace tandem
