#include "engine/model/architecture.h"

#include <iterator>

#include "absl/strings/str_join.h"

namespace tandem {
namespace {

// Key names, tensor names and defaults are those of llama.cpp's files.
constexpr Architecture kArchitectures[] = {
    {
        .name = "gemma",
        .features = {.rope_pairs = RopePairs::kHalfSplit,
                     .activation = Activation::kGelu},
        .scales_by_root_width = true,
    },
    {
        .name = "gemma2",
        .features = {.rope_pairs = RopePairs::kHalfSplit,
                     .activation = Activation::kGelu,
                     .post_norms = true},
        .scales_by_root_width = true,
        .takes_soft_caps = true,
        .attention_soft_cap = 50,
        .logit_soft_cap = 30,
        .takes_window = true,
        .window_period = 2,
        .window = 4096,
        .wide_score_layers = 46,  // 27B
    },
    {
        .name = "gemma3",
        .features = {.rope_pairs = RopePairs::kHalfSplit,
                     .activation = Activation::kGelu,
                     .head_norms = true,
                     .post_norms = true},
        .scales_by_root_width = true,
        .takes_soft_caps = true,
        .takes_window = true,
        .window_period = 6,
        .local_rope_base = 10000,
        .wide_score_layers = 62,  // 27B
    },
    {.name = "granite",
     .takes_multipliers = true,
     .finetuned_means_rope = true},
    {.name = "llama", .takes_window = true},
    {
        .name = "phi3",
        .features = {.rope_pairs = RopePairs::kHalfSplit, .fused_inputs = true},
        .takes_window = true,
    },
    {
        .name = "qwen2",
        .features = {.rope_pairs = RopePairs::kHalfSplit, .qkv_biases = true},
    },
    {
        .name = "qwen3",
        .features = {.rope_pairs = RopePairs::kHalfSplit, .head_norms = true},
    },
};

}  // namespace

const Architecture* FindArchitecture(absl::string_view name) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return &architecture;
  }
  return nullptr;
}

std::string ArchitectureNames() {
  return absl::StrJoin(kArchitectures, ", ",
                       [](std::string* out, const Architecture& architecture) {
                         out->append(architecture.name.data(),
                                     architecture.name.size());
                       });
}

}  // namespace tandem
