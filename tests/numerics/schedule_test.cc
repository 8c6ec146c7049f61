// The numerics contract on whole models: the logits at a position depend only
// on the model and on the tokens before it. Random schedules (chunks of the
// prompt, verifications, rollbacks, other sequences in the same step, thread
// counts, instruction sets) against a run of one token at a time, bit for bit.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/cpu_features.h"
#include "engine/engine.h"
#include "tests/engine/model/tiny_model.h"
#include "tests/numerics/text_rows.h"

namespace tandem {
namespace {

constexpr Position kTokensMax = 100;  // of one text; four KV pages

std::unique_ptr<Engine> MakeEngine(std::shared_ptr<const Model> model,
                                   int threads, SimdLevel level,
                                   std::optional<KvType> kv_type) {
  setenv("TANDEM_SIMD", std::string(SimdLevelName(level)).c_str(), 1);
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Load(std::move(model), {.threads = threads,
                                      .kv_tokens = 16 * 128,
                                      .kv_type = kv_type,
                                      .rows_max = 128,
                                      .sequences_max = 16});
  unsetenv("TANDEM_SIMD");
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

// The oracle: one sequence, one token a step, one thread, scalar kernels.
Text PlainRun(Engine* engine, std::vector<TokenId> tokens) {
  Text text{.tokens = std::move(tokens), .rows = {}};
  const SequenceId id = *engine->Open({.tokens_max = kTokensMax});
  for (size_t i = 0; i < text.tokens.size(); ++i) {
    Rows rows;
    const StepItem item = {.sequence = id,
                           .position = static_cast<Position>(i),
                           .tokens = {&text.tokens[i], 1},
                           .rows = WantedRows::kLast};
    EXPECT_TRUE(engine->Step({&item, 1}, &rows).ok());
    text.rows.push_back(rows.Get(0, 0));
  }
  engine->Close(id);
  return text;
}

// Runs sequences along known texts in one engine by random steps, and checks
// every row that comes.
class Scheduler {
 public:
  Scheduler(Engine* engine, const std::vector<Text>& texts, uint64_t seed)
      : engine_(engine), texts_(texts), random_(seed) {}
  ~Scheduler() {
    for (const Runner& runner : runners_) engine_->Close(runner.id);
  }

  int64_t rows_checked() const { return rows_checked_; }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      if (runners_.empty() || (runners_.size() < 8 && random_.Below(4) == 0)) {
        runners_.push_back({.id = *engine_->Open({.tokens_max = kTokensMax}),
                            .text = random_.Below(texts_.size())});
      } else if (random_.Below(12) == 0) {
        const int64_t gone = random_.Below(runners_.size());
        engine_->Close(runners_[gone].id);
        runners_.erase(runners_.begin() + gone);
      }
      StepOnce();
      if (::testing::Test::HasFailure()) return;
    }
  }

 private:
  struct Runner {
    SequenceId id = 0;
    int64_t text = 0;
    Position good = 0;  // tokens in the cache that are the text's
  };

  // What one runner does in a step: `right` tokens of its text from `from`
  // on, then `wrong` tokens that a later step has to take back.
  struct Move {
    size_t runner = 0;
    Position from = 0;
    size_t right = 0;
    std::vector<TokenId> tokens;
    WantedRows rows = WantedRows::kNone;
  };

  void StepOnce() {
    std::vector<Move> moves;
    int64_t room = engine_->info().rows_max;
    for (size_t i = 0; i < runners_.size(); ++i) {
      if (random_.Below(4) == 0) continue;
      Move move = MakeMove(i, room);
      if (move.tokens.empty()) continue;
      room -= static_cast<int64_t>(move.tokens.size());
      moves.push_back(std::move(move));
    }
    // Items stand in any order.
    for (size_t i = moves.size(); i > 1; --i) {
      std::swap(moves[i - 1], moves[random_.Below(i)]);
    }
    std::vector<StepItem> batch;
    for (const Move& move : moves) {
      batch.push_back({.sequence = runners_[move.runner].id,
                       .position = move.from,
                       .tokens = move.tokens,
                       .rows = move.rows});
    }
    Rows rows;
    const absl::Status status = engine_->Step(batch, &rows);
    ASSERT_TRUE(status.ok()) << status;
    for (size_t i = 0; i < moves.size(); ++i) Check(i, moves[i], &rows);
  }

  Move MakeMove(size_t index, int64_t room) {
    Runner& runner = runners_[index];
    const Text& text = texts_[runner.text];
    const Position length = static_cast<Position>(text.tokens.size());
    // Mostly go on; sometimes go back (1 in 4) and run tokens again.
    Move move{.runner = index, .from = runner.good, .tokens = {}};
    if (random_.Below(4) == 0) move.from = random_.Below(runner.good + 1);
    const int64_t sizes[] = {1, 1, 1, 2, 3, 5, 9, 17, 33, 64};
    int64_t count = std::min(sizes[random_.Below(10)], room);
    const int64_t right = std::min<int64_t>(count, length - move.from);
    int64_t wrong = 0;
    if (random_.Below(3) == 0) {
      wrong = std::min<int64_t>(
          {random_.Below(6), room - right, kTokensMax - move.from - right});
    }
    move.right = static_cast<size_t>(right);
    move.tokens.assign(text.tokens.begin() + move.from,
                       text.tokens.begin() + move.from + right);
    for (const TokenId token : RandomTokens(wrong, &random_)) {
      move.tokens.push_back(token);
    }
    const WantedRows kinds[] = {WantedRows::kNone, WantedRows::kLast,
                                WantedRows::kAll, WantedRows::kAll};
    move.rows = kinds[random_.Below(4)];
    if (!move.tokens.empty()) runner.good = move.from + right;
    return move;
  }

  void Check(size_t item, const Move& move, Rows* rows) {
    const Text& text = texts_[runners_[move.runner].text];
    const size_t count = move.tokens.size();
    for (size_t t = 0; t < move.right; ++t) {
      size_t row = t;
      if (move.rows == WantedRows::kNone) return;
      if (move.rows == WantedRows::kLast) {
        if (t + 1 < count) continue;
        row = 0;
      }
      ASSERT_TRUE(rows->Get(item, row) == text.rows[move.from + t])
          << "row after position " << move.from + static_cast<Position>(t)
          << ", one of " << count << " tokens of the item";
      ++rows_checked_;
    }
  }

  Engine* engine_;
  const std::vector<Text>& texts_;
  TinyRandom random_;
  std::vector<Runner> runners_;
  int64_t rows_checked_ = 0;
};

std::vector<SimdLevel> Levels() {
  std::vector<SimdLevel> levels;
  for (const SimdLevel level :
       {SimdLevel::kScalar, SimdLevel::kAvx2, SimdLevel::kAvx512}) {
    if (level <= DetectedSimdLevel()) levels.push_back(level);
  }
  return levels;
}

struct ScheduleCase {
  TinyModelSpec spec;
  NumericsMode mode = NumericsMode::kF32;
  int schedules = 0;
  std::optional<KvType> kv_type = {};
  // Keys beyond those of every file, without the architecture's name.
  std::map<std::string, TinyModel::Value> keys = {};
};

class ScheduleTest : public ::testing::TestWithParam<ScheduleCase> {};

// Schedules are shared out over thread counts 1 to 4 and the machine's levels.
TEST_P(ScheduleTest, EveryRowHasTheBitsOfThePlainRun) {
  const ScheduleCase& param = GetParam();
  if (param.mode == NumericsMode::kBf16 && !CpuHasBf16Matmul()) {
    GTEST_SKIP() << "this machine has no AVX-512";
  }
  TinyModel tiny(param.spec);
  for (const auto& [key, value] : param.keys) {
    tiny.metadata[absl::StrCat(param.spec.architecture, ".", key)] = value;
  }
  const auto model = LoadTiny(tiny, {.numerics = param.mode, .threads = 1});
  ASSERT_TRUE(model.ok()) << model.status();
  TinyRandom random(99);
  std::vector<Text> texts;
  const std::unique_ptr<Engine> plain =
      MakeEngine(*model, 1, SimdLevel::kScalar, param.kv_type);
  for (int i = 0; i < 6; ++i) {
    texts.push_back(PlainRun(plain.get(), RandomTokens(20 + 15 * i, &random)));
  }
  int left = param.schedules;
  int64_t rows_checked = 0;
  const std::vector<SimdLevel> levels = Levels();
  const int engines = 4 * static_cast<int>(levels.size());
  for (int threads = 1; threads <= 4; ++threads) {
    for (const SimdLevel level : levels) {
      const std::unique_ptr<Engine> engine =
          MakeEngine(*model, threads, level, param.kv_type);
      for (int i = 0; i < param.schedules / engines + 1 && left > 0; ++i) {
        const int seed = left--;
        Scheduler scheduler(engine.get(), texts, seed);
        scheduler.Run(8);
        rows_checked += scheduler.rows_checked();
        ASSERT_FALSE(HasFailure()) << threads << " threads, "
                                   << SimdLevelName(level) << ", seed " << seed;
      }
      EXPECT_EQ(engine->kv_usage().pages_reserved, 0);
    }
  }
  EXPECT_EQ(left, 0);
  // The schedules are no empty ones: some 80 rows each.
  EXPECT_GT(rows_checked, 40 * param.schedules);
}

std::string CaseName(const ::testing::TestParamInfo<ScheduleCase>& info) {
  const ScheduleCase& param = info.param;
  return absl::StrCat(
      param.spec.architecture, "_",
      absl::StrReplaceAll(NumericsModeName(param.mode), {{"+", "_"}}), "_file_",
      GetTensorTypeInfo(param.spec.type).name,
      param.spec.second_type.has_value() ? "_mixed" : "", "_kv_",
      param.kv_type ? KvTypeName(*param.kv_type) : "default", "_seed_",
      param.spec.seed);
}

TinyModelSpec Shape(TensorType type, uint64_t seed) {
  switch (seed) {
    case 1:
      return {.type = type, .seed = seed};
    case 2:  // a head of its own, one KV head, widths unlike heads
      return {.width = 96,
              .feed_forward_width = 160,
              .heads = 3,
              .kv_heads = 1,
              .head_dim = 32,
              .rotary_dims = 20,
              .tied = false,
              .type = type,
              .seed = seed};
    default:  // as many KV heads as heads
      return {.layers = 3, .kv_heads = 4, .type = type, .seed = seed};
  }
}

// 1,000 schedules in int8, over Q8_0 and Q4_0 files and the float types that
// it may be asked to round.
INSTANTIATE_TEST_SUITE_P(
    Int8, ScheduleTest,
    ::testing::Values(
        ScheduleCase{Shape(TensorType::kQ8_0, 1), NumericsMode::kInt8, 250},
        ScheduleCase{Shape(TensorType::kQ8_0, 2), NumericsMode::kInt8, 150},
        ScheduleCase{Shape(TensorType::kQ4_0, 1), NumericsMode::kInt8, 250},
        ScheduleCase{Shape(TensorType::kQ4_0, 2), NumericsMode::kInt8, 150},
        ScheduleCase{Shape(TensorType::kQ4_0, 3), NumericsMode::kInt8, 100,
                     KvType::kF32},
        ScheduleCase{Shape(TensorType::kF32, 3), NumericsMode::kInt8, 50},
        ScheduleCase{Shape(TensorType::kBF16, 1), NumericsMode::kInt8, 50}),
    CaseName);

// The types of the other packed forms, and files that mix them: matrices of
// several forms share one input.
ScheduleCase PackedCase(TensorType type,
                        std::optional<TensorType> second = std::nullopt) {
  TinyModelSpec spec = TinySpecFor(second.value_or(type));
  spec.layers = 1;
  spec.type = type;
  spec.second_type = second;
  spec.tied = second.has_value();
  return {.spec = spec, .mode = NumericsMode::kInt8, .schedules = 16};
}

INSTANTIATE_TEST_SUITE_P(
    Packed, ScheduleTest,
    ::testing::Values(
        PackedCase(TensorType::kQ4_1), PackedCase(TensorType::kQ5_0),
        PackedCase(TensorType::kQ5_1), PackedCase(TensorType::kQ2_K),
        PackedCase(TensorType::kQ3_K), PackedCase(TensorType::kQ4_K),
        PackedCase(TensorType::kQ5_K), PackedCase(TensorType::kQ6_K),
        PackedCase(TensorType::kIQ4_NL), PackedCase(TensorType::kIQ4_XS),
        PackedCase(TensorType::kQ4_K, TensorType::kQ6_K),
        PackedCase(TensorType::kQ4_0, TensorType::kQ6_K),
        PackedCase(TensorType::kQ5_1, TensorType::kQ4_K)),
    CaseName);

// Files that mix quantised and float matrices. The plain run is by scalar
// kernels, so every row of every level has their bits. Rows of 80 inputs, which
// no quantised type has groups for, are what such files hold floats for.
ScheduleCase MixedCase(TensorType type, TensorType second, uint64_t seed) {
  TinyModelSpec spec = TinySpecFor(IsFloatWeightType(type) ? second : type);
  spec.type = type;
  spec.second_type = second;
  spec.tied = seed % 2 == 1;
  if (spec.width == 64 && IsFloatWeightType(second)) {
    spec.feed_forward_width = 80;
  }
  spec.seed = seed;
  return {.spec = spec, .mode = NumericsMode::kInt8Float, .schedules = 24};
}

INSTANTIATE_TEST_SUITE_P(
    Mixed, ScheduleTest,
    ::testing::Values(MixedCase(TensorType::kQ4_K, TensorType::kF16, 1),
                      MixedCase(TensorType::kQ4_K, TensorType::kBF16, 2),
                      MixedCase(TensorType::kQ4_0, TensorType::kF32, 1),
                      MixedCase(TensorType::kQ8_0, TensorType::kF16, 2),
                      MixedCase(TensorType::kQ8_0, TensorType::kBF16, 3),
                      MixedCase(TensorType::kF16, TensorType::kQ6_K, 1),
                      MixedCase(TensorType::kBF16, TensorType::kQ5_1, 2)),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    F32, ScheduleTest,
    ::testing::Values(
        ScheduleCase{Shape(TensorType::kF32, 1), NumericsMode::kF32, 60},
        ScheduleCase{Shape(TensorType::kF16, 2), NumericsMode::kF32, 40},
        ScheduleCase{Shape(TensorType::kBF16, 3), NumericsMode::kF32, 40},
        ScheduleCase{Shape(TensorType::kQ8_0, 1), NumericsMode::kF32, 40,
                     KvType::kBf16},
        ScheduleCase{Shape(TensorType::kQ4_0, 2), NumericsMode::kF32, 40}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    Bf16, ScheduleTest,
    ::testing::Values(
        ScheduleCase{Shape(TensorType::kBF16, 1), NumericsMode::kBf16, 60},
        ScheduleCase{Shape(TensorType::kBF16, 2), NumericsMode::kBf16, 40},
        ScheduleCase{Shape(TensorType::kF16, 3), NumericsMode::kBf16, 40},
        ScheduleCase{Shape(TensorType::kQ8_0, 1), NumericsMode::kBf16, 40}),
    CaseName);

// Each family in int8 and in f32, with what it has beyond llama in use: windows
// and caps small enough to matter within 100 tokens.
std::vector<ScheduleCase> Families() {
  const std::vector<
      std::pair<const char*, std::map<std::string, TinyModel::Value>>>
      families = {
          {"llama", {{"attention.sliding_window", 40u}}},
          {"granite",
           {{"embedding_scale", 12.0f},
            {"residual_scale", 0.3f},
            {"attention.scale", 0.1f},
            {"logit_scale", 8.0f}}},
          {"qwen2",
           {{"rope.scaling.type", std::string("yarn")},
            {"rope.scaling.factor", 4.0f},
            {"rope.scaling.original_context_length", 64u}}},
          {"qwen3", {}},
          {"gemma", {}},
          {"gemma2",
           {{"attention.sliding_window", 33u},
            {"attn_logit_softcapping", 4.0f},
            {"final_logit_softcapping", 6.0f}}},
          {"gemma3",
           {{"attention.sliding_window", 20u},
            {"attention.sliding_window_pattern", 3u},
            {"rope.freq_base", 1e6f},
            {"rope.scaling.factor", 8.0f}}},
          {"phi3", {{"attention.sliding_window", 5u}}},
      };
  std::vector<ScheduleCase> cases;
  for (const auto& [architecture, keys] : families) {
    for (const TensorType type : {TensorType::kQ8_0, TensorType::kF32}) {
      const bool quantised = type == TensorType::kQ8_0;
      cases.push_back(
          {.spec = {.architecture = architecture,
                    .layers = 3,
                    .rotary_dims = 12,
                    .type = type,
                    .seed = 4},
           .mode = quantised ? NumericsMode::kInt8 : NumericsMode::kF32,
           .schedules = quantised ? 60 : 24,
           .keys = keys});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Families, ScheduleTest,
                         ::testing::ValuesIn(Families()), CaseName);

}  // namespace
}  // namespace tandem
