// Which layers of a model see only the last positions. A value; any thread.

#ifndef TANDEM_ENGINE_MODEL_LAYER_WINDOWS_H_
#define TANDEM_ENGINE_MODEL_LAYER_WINDOWS_H_

#include <cstdint>

#include "engine/base/types.h"

namespace tandem {

struct LayerWindows {
  // Positions that a windowed layer sees, a row's own included; 0: no layer
  // has a window.
  Position window = 0;
  // Of so many layers all but the last have the window; 0: every layer.
  int64_t period = 0;

  bool Has(int64_t layer) const {
    return window > 0 && (period == 0 || layer % period != period - 1);
  }
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_LAYER_WINDOWS_H_
