#include "engine/model/model_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

const ModelConfig& TinyConfig() {
  static const ModelConfig* const config = new ModelConfig(
      *ModelConfig::FromGguf(**OpenTiny(TinyModel(TinyModelSpec()))));
  return *config;
}

constexpr ModelStateOptions kOptions = {.numerics = NumericsMode::kF32,
                                        .kv_type = KvType::kF32,
                                        .threads = 2,
                                        .level = SimdLevel::kScalar,
                                        .context_max = 200,
                                        .kv_pages = 10,
                                        .rows_max = 8,
                                        .sequences_max = 4};

std::unique_ptr<ModelState> MakeState(
    const ModelStateOptions& options = kOptions) {
  absl::StatusOr<std::unique_ptr<ModelState>> state =
      ModelState::Create(TinyConfig(), options);
  EXPECT_TRUE(state.ok()) << state.status();
  return *std::move(state);
}

// Layers with a window have a table of their own where the config says so.
TEST(ModelStateTest, LayersHaveTheirRotations) {
  TinyModel tiny({.architecture = "gemma3"});
  tiny.metadata["gemma3.attention.sliding_window"] = uint32_t{8};
  tiny.metadata["gemma3.attention.sliding_window_pattern"] = uint32_t{2};
  tiny.metadata["gemma3.rope.freq_base"] = 1e6f;
  const ModelConfig config = *ModelConfig::FromGguf(**OpenTiny(tiny));
  const auto state = ModelState::Create(config, kOptions);
  ASSERT_TRUE(state.ok()) << state.status();
  (*state)->FillRope(2);
  // Pair 4 of 8 turns by base^(-1/2) a position.
  EXPECT_FLOAT_EQ((*state)->rope(0).At(1)[4], std::cos(0.01f));
  EXPECT_FLOAT_EQ((*state)->rope(1).At(1)[4], std::cos(0.001f));
}

// The plan counts no less than what is made.
TEST(ModelStateTest, TheFootprintHoldsAllScratch) {
  for (const char* architecture : {"llama", "gemma3"}) {
    TinyModel tiny({.architecture = architecture});
    const ModelConfig config = *ModelConfig::FromGguf(**OpenTiny(tiny));
    for (const NumericsMode mode : {NumericsMode::kF32, NumericsMode::kInt8}) {
      ModelStateOptions options = kOptions;
      options.numerics = mode;
      options.rows_max = 256;
      const auto state = ModelState::Create(config, options);
      ASSERT_TRUE(state.ok()) << state.status();
      const Activations& made = (*state)->activations();
      size_t bytes = 0;
      for (const AlignedBuffer<float>* buffer :
           {&made.residual, &made.normed, &made.query, &made.key, &made.value,
            &made.attended, &made.delta, &made.gate, &made.up, &made.logits,
            &made.member_values}) {
        bytes += buffer->size() * sizeof(float);
      }
      const StateFootprint footprint = FootprintOf(config, options);
      EXPECT_GE(footprint.scratch_bytes, static_cast<int64_t>(bytes));
      // A context of 200 tokens has one span of 512 positions, begun.
      EXPECT_GE(512 * footprint.position_bytes,
                static_cast<int64_t>(made.span_values.size() * sizeof(float)));
      EXPECT_GE(footprint.position_bytes,
                config.rope.dims * static_cast<int64_t>(sizeof(float)));
      EXPECT_GE(footprint.kv.page_bytes,
                2 * 4 * kKvPageTokens * config.kv_width() * config.layers);
    }
  }
}

TEST(ModelStateTest, SaysWhenMemoryIsOut) {
  ModelStateOptions options = kOptions;
  options.kv_pages = int64_t{1} << 35;
  const absl::Status status =
      ModelState::Create(TinyConfig(), options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
}

class CheckBatchDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    first_ = *state_->kv().Open({.tokens_max = 20});
    second_ = *state_->kv().Open({.tokens_max = 20});
    state_->kv().Extend(first_, 0, std::vector<TokenId>(5));
  }

  StepItem Item(SequenceId sequence, Position position,
                absl::Span<const TokenId> tokens) const {
    return {.sequence = sequence,
            .position = position,
            .tokens = tokens,
            .rows = WantedRows::kLast};
  }

  const std::unique_ptr<ModelState> state_ = MakeState();
  const std::vector<TokenId> two_ = {3, 299};
  SequenceId first_ = 0;
  SequenceId second_ = 0;
};

TEST_F(CheckBatchDeathTest, GoodBatchesPass) {
  state_->CheckBatch({});
  for (const Position position : {0, 3, 5}) {
    state_->CheckBatch({Item(first_, position, two_), Item(second_, 0, two_)});
  }
  const std::vector<TokenId> five(5, 7);
  const std::vector<TokenId> three(3, 7);
  state_->CheckBatch({Item(first_, 0, five), Item(second_, 0, three)});
}

TEST_F(CheckBatchDeathTest, AWrongItemIsABug) {
  EXPECT_DEATH(state_->CheckBatch({Item(second_ + 1, 0, two_)}), "IsOpen");
  EXPECT_DEATH(state_->CheckBatch({Item(-1, 0, two_)}), "IsOpen");
  EXPECT_DEATH(
      state_->CheckBatch({Item(first_, 0, two_), Item(first_, 2, two_)}),
      "MarkInBatch");
  EXPECT_DEATH(state_->CheckBatch({Item(first_, 6, two_)}), "position");
  EXPECT_DEATH(state_->CheckBatch({Item(first_, -1, two_)}), "position");
  EXPECT_DEATH(state_->CheckBatch({Item(first_, 0, {})}), "tokens");
  const std::vector<TokenId> sixteen(16, 7);
  EXPECT_DEATH(state_->CheckBatch({Item(first_, 5, sixteen)}), "room");
  for (const TokenId token : {-1, 300, 1 << 30}) {
    const std::vector<TokenId> tokens = {5, token};
    EXPECT_DEATH(state_->CheckBatch({Item(first_, 5, tokens)}), "vocab_size");
  }
  const std::vector<TokenId> five(5, 7);
  const std::vector<TokenId> four(4, 7);
  EXPECT_DEATH(
      state_->CheckBatch({Item(first_, 0, five), Item(second_, 0, four)}),
      "rows_max");
}

}  // namespace
}  // namespace tandem
