#include "engine/model/architecture.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"

namespace tandem {
namespace {

std::vector<std::string> Names() {
  return absl::StrSplit(ArchitectureNames(), ", ");
}

TEST(ArchitectureTest, KnowsThoseOfTheReadme) {
  EXPECT_EQ(ArchitectureNames(),
            "gemma, gemma2, gemma3, granite, llama, phi3, qwen2, qwen3");
  for (const std::string& name : Names()) {
    const Architecture* architecture = FindArchitecture(name);
    ASSERT_NE(architecture, nullptr) << name;
    EXPECT_EQ(architecture->name, name);
  }
}

TEST(ArchitectureTest, KnowsNoOthers) {
  for (const char* name :
       {"", "Llama", "llama4", "qwen2moe", "qwen3moe", "gemma3n", "phi2"}) {
    EXPECT_EQ(FindArchitecture(name), nullptr) << name;
  }
}

// Defaults stand for keys that the reader takes.
TEST(ArchitectureTest, DefaultsBelongToKeysThatAreTaken) {
  for (const std::string& name : Names()) {
    const Architecture& architecture = *FindArchitecture(name);
    if (!architecture.takes_window) {
      EXPECT_EQ(architecture.window, 0) << name;
      EXPECT_EQ(architecture.window_period, 0) << name;
      EXPECT_EQ(architecture.local_rope_base, 0) << name;
    }
    if (!architecture.takes_soft_caps) {
      EXPECT_EQ(architecture.attention_soft_cap, 0) << name;
      EXPECT_EQ(architecture.logit_soft_cap, 0) << name;
    }
  }
}

}  // namespace
}  // namespace tandem
