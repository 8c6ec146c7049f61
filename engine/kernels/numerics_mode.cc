#include "engine/kernels/numerics_mode.h"

namespace tandem {
namespace {

constexpr NumericsMode kModes[] = {NumericsMode::kInt8,
                                   NumericsMode::kInt8Float,
                                   NumericsMode::kBf16, NumericsMode::kF32};

}  // namespace

bool UsesOnednn(NumericsMode mode) {
  return mode == NumericsMode::kBf16 || mode == NumericsMode::kF32;
}

absl::string_view NumericsModeName(NumericsMode mode) {
  switch (mode) {
    case NumericsMode::kInt8:
      return "int8";
    case NumericsMode::kInt8Float:
      return "int8+float";
    case NumericsMode::kBf16:
      return "bf16";
    case NumericsMode::kF32:
      return "f32";
  }
  return "unknown";
}

std::optional<NumericsMode> ParseNumericsMode(absl::string_view name) {
  for (const NumericsMode mode : kModes) {
    if (NumericsModeName(mode) == name) return mode;
  }
  return std::nullopt;
}

std::vector<std::string> NumericsModeNames() {
  std::vector<std::string> names;
  for (const NumericsMode mode : kModes) {
    names.emplace_back(NumericsModeName(mode));
  }
  return names;
}

absl::string_view KvTypeName(KvType type) {
  return type == KvType::kBf16 ? "bf16" : "f32";
}

std::optional<KvType> ParseKvType(absl::string_view name) {
  for (KvType type : {KvType::kBf16, KvType::kF32}) {
    if (KvTypeName(type) == name) return type;
  }
  return std::nullopt;
}

}  // namespace tandem
