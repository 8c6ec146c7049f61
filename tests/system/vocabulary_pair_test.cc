// A draft and a target whose vocabularies differ in size by unused tokens, as
// those of Qwen2.5 0.5B and 7B do, as real processes.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/engine/model/tiny_model.h"
#include "tests/system/cluster.h"

namespace tandem::testing {
namespace {

constexpr int kSmall = 300;
constexpr int kLarge = 364;

// A model file in gtest's folder; ids from kSmall on are fillers.
std::string WriteModel(int vocab_size, uint64_t seed) {
  TinyModel tiny({.layers = 1, .vocab_size = vocab_size, .seed = seed});
  for (int id = kSmall; id < vocab_size; ++id) {
    tiny.pieces[id] = absl::StrCat("[PAD", id, "]");
  }
  const std::string path =
      absl::StrCat(::testing::TempDir(), "/pair-", vocab_size, ".gguf");
  std::ofstream(path, std::ios::binary) << tiny.Serialize();
  return path;
}

v1::TurnRequest Turn(uint64_t seed, int draft_length) {
  v1::TurnRequest turn;
  for (const int id : {1, 40, 50}) turn.mutable_tokens()->add_ids(id);
  v1::GenerationOptions& options = *turn.mutable_options();
  options.set_seed(seed);
  options.set_temperature(1);
  options.set_top_k(0);
  options.set_top_p(1);
  options.set_max_tokens(24);
  options.set_ignore_eos(true);
  options.set_draft_length(draft_length);
  options.set_draft_sources(v1::DRAFT_SOURCES_MODEL);
  return turn;
}

TEST(VocabularyPairTest, TheTextIsThatOfTheTarget) {
  // WaitForWorkers in it sees that the two pair up.
  Cluster cluster({.target_model = WriteModel(kLarge, 2),
                   .draft_model = WriteModel(kSmall, 1)});
  int with_fillers = 0;
  int64_t drafted = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const TurnResult paired = cluster.Generate(Turn(seed, 4));
    ASSERT_TRUE(paired.status.ok()) << paired.status.error_message();
    const TurnResult plain = cluster.Generate(Turn(seed, 0));
    ASSERT_TRUE(plain.status.ok()) << plain.status.error_message();
    EXPECT_EQ(paired.token_ids, plain.token_ids) << seed;
    EXPECT_EQ(paired.text, plain.text) << seed;
    drafted += paired.end.speculation().drafted_tokens();
    with_fillers += std::any_of(plain.token_ids.begin(), plain.token_ids.end(),
                                [](int id) { return id >= kSmall; })
                        ? 1
                        : 0;
  }
  EXPECT_GT(with_fillers, 0);
  EXPECT_GT(drafted, 0);
}

TEST(VocabularyPairTest, OptionsMayNameWhatTheDrafterLacks) {
  Cluster cluster({.target_model = WriteModel(kLarge, 2),
                   .draft_model = WriteModel(kSmall, 1)});
  v1::TurnRequest turn = Turn(3, 4);
  for (int id = kSmall; id < kLarge; ++id) {
    v1::LogitBias& bias = *turn.mutable_options()->add_logit_bias();
    bias.set_token_id(id);
    bias.set_bias(-std::numeric_limits<float>::infinity());
  }
  turn.mutable_options()->add_stop_token_ids(kSmall + 1);
  const TurnResult result = cluster.Generate(turn);
  ASSERT_TRUE(result.status.ok()) << result.status.error_message();
  EXPECT_EQ(result.token_ids.size(), 24u);
  EXPECT_GT(result.end.speculation().drafted_tokens(),
            result.end.speculation().rounds());
}

}  // namespace
}  // namespace tandem::testing
