// The numerics a model is loaded in, and how its KV is stored.

#ifndef TANDEM_ENGINE_KERNELS_NUMERICS_MODE_H_
#define TANDEM_ENGINE_KERNELS_NUMERICS_MODE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tandem {

enum class NumericsMode {
  kInt8,  // own kernels over packed quantised weights, int8 activations
  // That for quantised matrices; float ones as the file has them, by an own
  // kernel, with float activations.
  kInt8Float,
  kBf16,  // oneDNN, bf16 weights and activations, f32 accumulation
  kF32,   // oneDNN, f32: the reference
};

enum class KvType {
  kBf16,
  kF32,
};

// Raised with any change of the bits of logits or of sampled tokens; part of
// every fingerprint. tests/numerics holds the golden bits.
inline constexpr int kNumericsVersion = 2;

// Whether matmuls of the mode are oneDNN's, so that bits follow its version and
// the machine's instruction set.
bool UsesOnednn(NumericsMode mode);

// "int8", "int8+float", "bf16", "f32".
absl::string_view NumericsModeName(NumericsMode mode);
std::optional<NumericsMode> ParseNumericsMode(absl::string_view name);
// Of all modes, in the order above.
std::vector<std::string> NumericsModeNames();
// "bf16", "f32".
absl::string_view KvTypeName(KvType type);
std::optional<KvType> ParseKvType(absl::string_view name);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_NUMERICS_MODE_H_
