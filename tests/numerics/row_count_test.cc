// One row's bits for every number of rows that run with it, M = 1 to 64 and
// the step's largest, wherever the row stands, in every mode and file type.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/cpu_features.h"
#include "engine/engine.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

struct ModeCase {
  TensorType type;
  NumericsMode mode;
  // Of the head, attn_v and ffn_down.
  std::optional<TensorType> second_type = {};
};

std::vector<ModeCase> AllCases() {
  std::vector<ModeCase> cases;
  for (const TensorType type :
       {TensorType::kF32, TensorType::kF16, TensorType::kBF16,
        TensorType::kQ8_0, TensorType::kQ4_0}) {
    for (const NumericsMode mode :
         {NumericsMode::kInt8, NumericsMode::kBf16, NumericsMode::kF32}) {
      cases.push_back({type, mode});
    }
  }
  // The other types are multiplied packed, or as the floats that they are.
  for (const TensorType type :
       {TensorType::kQ4_1, TensorType::kQ5_0, TensorType::kQ5_1,
        TensorType::kQ2_K, TensorType::kQ3_K, TensorType::kQ4_K,
        TensorType::kQ5_K, TensorType::kQ6_K, TensorType::kIQ4_NL,
        TensorType::kIQ4_XS}) {
    cases.push_back({type, NumericsMode::kInt8});
  }
  // Files that mix quantised and float matrices.
  for (const auto& [type, second] :
       {std::pair{TensorType::kQ4_K, TensorType::kF16},
        std::pair{TensorType::kQ8_0, TensorType::kBF16},
        std::pair{TensorType::kQ4_0, TensorType::kF32}}) {
    cases.push_back({type, NumericsMode::kInt8Float, second});
  }
  return cases;
}

class FirstRows : public RowConsumer {
 public:
  void OnRow(size_t item, size_t, absl::Span<float> logits) override {
    if (rows.size() <= item) rows.resize(item + 1);
    rows[item].assign(logits.begin(), logits.end());
  }
  std::vector<std::vector<float>> rows;  // by item
};

class RowCountTest : public ::testing::TestWithParam<ModeCase> {
 protected:
  void SetUp() override {
    if (GetParam().mode == NumericsMode::kBf16 && !CpuHasBf16Matmul()) {
      GTEST_SKIP() << "this machine has no AVX-512";
    }
    TinyModelSpec spec = TinySpecFor(GetParam().type);
    spec.layers = 1;
    spec.second_type = GetParam().second_type;
    spec.context_length = 512;
    const auto model =
        LoadTiny(TinyModel(spec), {.numerics = GetParam().mode, .threads = 1});
    ASSERT_TRUE(model.ok()) << model.status();
    model_ = *model;
  }

  std::unique_ptr<Engine> MakeEngine(int threads) const {
    absl::StatusOr<std::unique_ptr<Engine>> engine = Engine::Load(
        model_, {.threads = threads, .kv_tokens = 300 * 32, .rows_max = 600});
    EXPECT_TRUE(engine.ok()) << engine.status();
    return *std::move(engine);
  }

  std::shared_ptr<const Model> model_;
};

// M sequences of one token each: row i always has token i.
TEST_P(RowCountTest, OfManySequences) {
  constexpr int kRows = 270;  // more than oneDNN is given in one call
  const std::unique_ptr<Engine> engine = MakeEngine(2);
  std::vector<SequenceId> ids;
  std::vector<TokenId> tokens;
  for (int i = 0; i < kRows; ++i) {
    ids.push_back(*engine->Open({.tokens_max = 1}));
    tokens.push_back(i);
  }
  std::vector<std::vector<float>> alone;
  const auto item = [&](int i) {
    return StepItem{.sequence = ids[i],
                    .tokens = {&tokens[i], 1},
                    .rows = WantedRows::kLast};
  };
  for (int i = 0; i < kRows; ++i) {
    FirstRows rows;
    const StepItem one = item(i);
    ASSERT_TRUE(engine->Step({&one, 1}, &rows).ok());
    alone.push_back(rows.rows[0]);
  }
  for (int count = 2; count <= kRows; count = count < 64 ? count + 1 : kRows) {
    // The window moves, so a row stands at many places.
    const int first = count * 7 % (kRows - count + 1);
    std::vector<StepItem> batch;
    for (int i = 0; i < count; ++i) batch.push_back(item(first + i));
    FirstRows rows;
    ASSERT_TRUE(engine->Step(batch, &rows).ok());
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(rows.rows[i] == alone[first + i])
          << "row " << i << " of " << count;
    }
    if (count == kRows) break;
  }
}

// One prompt of 400 tokens, whole or in chunks of every size, with every
// thread count: the last row is the same.
TEST_P(RowCountTest, OfAPromptInChunks) {
  TinyRandom random(5);
  std::vector<TokenId> prompt(400);
  for (TokenId& token : prompt) {
    token = static_cast<TokenId>(random.Below(300));
  }
  std::vector<float> wanted;
  for (int threads = 1; threads <= 4; ++threads) {
    const std::unique_ptr<Engine> engine = MakeEngine(threads);
    for (const size_t chunk : {400, 1, 3, 32, 33, 64, 257}) {
      if (chunk < 32 && threads > 2) continue;  // many steps, little news
      const SequenceId id = *engine->Open({.tokens_max = 400});
      FirstRows rows;
      for (size_t i = 0; i < prompt.size(); i += chunk) {
        const StepItem item = {
            .sequence = id,
            .position = static_cast<Position>(i),
            .tokens = absl::MakeConstSpan(prompt).subspan(i, chunk),
            .rows = WantedRows::kLast};
        ASSERT_TRUE(engine->Step({&item, 1}, &rows).ok());
      }
      engine->Close(id);
      if (wanted.empty()) wanted = rows.rows[0];
      ASSERT_TRUE(rows.rows[0] == wanted)
          << threads << " threads, chunks of " << chunk;
    }
  }
}

std::string CaseName(const ::testing::TestParamInfo<ModeCase>& info) {
  const std::string mode =
      absl::StrReplaceAll(NumericsModeName(info.param.mode), {{"+", "_"}});
  const std::optional<TensorType> second = info.param.second_type;
  return absl::StrCat(
      mode, "_file_", GetTensorTypeInfo(info.param.type).name,
      second ? absl::StrCat("_", GetTensorTypeInfo(*second).name) : "");
}

INSTANTIATE_TEST_SUITE_P(All, RowCountTest, ::testing::ValuesIn(AllCases()),
                         CaseName);

}  // namespace
}  // namespace tandem
