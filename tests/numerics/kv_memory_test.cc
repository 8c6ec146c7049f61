// The bits of every row while KV pages are shared, kept, evicted and used again
// behind windows: random schedules of sequences that begin alike, of several
// tenants, in an engine with too little memory for all, against an engine that
// keeps nothing and holds every position.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "tests/engine/model/tiny_model.h"
#include "tests/numerics/text_rows.h"

namespace tandem {
namespace {

constexpr Position kTokensMax = 250;
constexpr int kRowsMax = 24;
// Within the ring of each window below, at kRowsMax.
constexpr Position kShortMax = 64;
constexpr int kTenants = 3;

// Texts that begin alike, and their rows from an engine whose passes are so
// large that no window's memory is used twice.
std::vector<Text> MakeTexts(const std::shared_ptr<const Model>& model) {
  const auto engine = Engine::Load(model, {.threads = 1,
                                           .kv_tokens = kTokensMax,
                                           .rows_max = kTokensMax,
                                           .prefix_cache = false});
  EXPECT_TRUE(engine.ok()) << engine.status();
  TinyRandom random(17);
  const std::vector<TokenId> base = RandomTokens(kTokensMax - 10, &random);
  std::vector<Text> texts;
  for (const int64_t same : {240, 0, 35, 64, 110, 170}) {
    Text text{.tokens = RandomTokens(kTokensMax - 10, &random), .rows = {}};
    std::copy(base.begin(), base.begin() + same, text.tokens.begin());
    const SequenceId id = *(*engine)->Open({.tokens_max = kTokensMax});
    Rows rows;
    const StepItem item = {
        .sequence = id, .tokens = text.tokens, .rows = WantedRows::kAll};
    EXPECT_TRUE((*engine)->Step({&item, 1}, &rows).ok());
    for (size_t i = 0; i < text.tokens.size(); ++i) {
      text.rows.push_back(rows.Get(0, i));
    }
    (*engine)->Close(id);
    texts.push_back(std::move(text));
  }
  return texts;
}

class Schedule {
 public:
  Schedule(Engine* engine, const std::vector<Text>& texts, uint64_t seed)
      : engine_(engine), texts_(texts), random_(seed) {}

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      if (runners_.size() < 6 && random_.Below(3) == 0) Open();
      if (!runners_.empty() && random_.Below(6) == 0) {
        Close(random_.Below(runners_.size()));
      }
      Step();
      const KvUsage usage = engine_->kv_usage();
      ASSERT_LE(usage.pages_reserved + usage.pages_cached, usage.pages_total);
    }
    while (!runners_.empty()) Close(0);
    EXPECT_EQ(engine_->kv_usage().pages_reserved, 0);
  }

  int64_t rows_checked() const { return rows_checked_; }
  int64_t tokens_found() const { return tokens_found_; }
  int64_t refused() const { return refused_; }
  int64_t limited_cuts() const { return limited_cuts_; }

 private:
  struct Runner {
    SequenceId id = 0;
    int64_t tenant = 0;
    const Text* text = nullptr;
    Position tokens_max = 0;
    Position prompt = 0;  // tokens that it was opened with
    Position good = 0;    // tokens held that are the text's
    std::vector<TokenId> held = {};
  };

  // What one runner does in a step: `right` tokens of its text from `from` on,
  // then wrong ones that a later step has to take back.
  struct Move {
    size_t runner = 0;
    Position from = 0;
    size_t right = 0;
    std::vector<TokenId> tokens;
  };

  void Open() {
    const std::string tenants[kTenants] = {"a", "b", ""};
    Runner runner{.tenant = random_.Below(kTenants),
                  .text = &texts_[random_.Below(texts_.size())]};
    runner.tokens_max =
        random_.Below(2) == 0 ? kShortMax : 1 + random_.Below(kTokensMax);
    const auto& tokens = runner.text->tokens;
    const Position room = std::min<Position>(
        runner.tokens_max, static_cast<Position>(tokens.size()));
    const Position prompt = random_.Below(room + 1);
    runner.prompt = prompt;
    const absl::StatusOr<SequenceId> id =
        engine_->Open({.tokens_max = runner.tokens_max,
                       .tokens = absl::MakeConstSpan(tokens).first(prompt),
                       .tenant = tenants[runner.tenant]});
    if (!id.ok()) {
      ASSERT_EQ(id.status().code(), absl::StatusCode::kResourceExhausted);
      ++refused_;
      return;
    }
    runner.id = *id;
    runner.good = engine_->state(*id).length;
    ASSERT_LE(runner.good, std::max<Position>(0, prompt - 1));
    tokens_found_ += runner.good;
    runner.held.assign(tokens.begin(), tokens.begin() + runner.good);
    ASSERT_TRUE(runner.good == 0 || IsOwn(runner));
    runners_.push_back(std::move(runner));
  }

  // True where one of its tenant has held what the runner begins with.
  bool IsOwn(const Runner& runner) const {
    const auto begins = [&](const Runner& other) {
      return other.tenant == runner.tenant &&
             other.held.size() >= runner.held.size() &&
             std::equal(runner.held.begin(), runner.held.end(),
                        other.held.begin());
    };
    return std::any_of(runners_.begin(), runners_.end(), begins) ||
           std::any_of(closed_.begin(), closed_.end(), begins);
  }

  void Close(int64_t index) {
    engine_->Close(runners_[index].id);
    closed_.push_back(runners_[index]);
    runners_.erase(runners_.begin() + index);
  }

  void Step() {
    std::vector<Move> moves;
    int64_t room = kRowsMax;
    for (size_t i = 0; i < runners_.size(); ++i) {
      if (random_.Below(4) == 0) continue;
      Move move = MakeMove(i, room);
      if (move.tokens.empty()) continue;
      room -= static_cast<int64_t>(move.tokens.size());
      moves.push_back(std::move(move));
    }
    std::vector<StepItem> batch;
    for (const Move& move : moves) {
      batch.push_back({.sequence = runners_[move.runner].id,
                       .position = move.from,
                       .tokens = move.tokens,
                       .rows = WantedRows::kAll});
    }
    Rows rows;
    const absl::Status status = engine_->Step(batch, &rows);
    ASSERT_TRUE(status.ok()) << status;
    for (size_t i = 0; i < moves.size(); ++i) {
      const Move& move = moves[i];
      const Runner& runner = runners_[move.runner];
      ASSERT_EQ(engine_->state(runner.id).length,
                static_cast<Position>(runner.held.size()));
      for (size_t t = 0; t < move.right; ++t, ++rows_checked_) {
        ASSERT_TRUE(rows.Get(i, t) == runner.text->rows[move.from + t])
            << "the row after position " << move.from + t;
      }
    }
  }

  Move MakeMove(size_t index, int64_t room) {
    Runner& runner = runners_[index];
    const SequenceState state = engine_->state(runner.id);
    Move move{.runner = index, .from = runner.good, .tokens = {}};
    if (random_.Below(5) == 0) {
      move.from =
          state.cut_min + random_.Below(runner.good - state.cut_min + 1);
      if (state.cut_min > 0) ++limited_cuts_;
    }
    const Position end = std::min<Position>(
        runner.tokens_max, static_cast<Position>(runner.text->tokens.size()));
    const int64_t sizes[] = {1, 2, 5, 9, 17, 24};
    const int64_t count = std::min(sizes[random_.Below(6)], room);
    const Position right = std::min<Position>(count, end - move.from);
    Position wrong = 0;
    // Not before the prompt's end: full pages of it are fixed.
    if (move.from + right >= runner.prompt && random_.Below(3) == 0) {
      wrong = std::min<Position>({random_.Below(6), room - right,
                                  runner.tokens_max - move.from - right});
    }
    move.right = static_cast<size_t>(right);
    move.tokens.assign(runner.text->tokens.begin() + move.from,
                       runner.text->tokens.begin() + move.from + right);
    for (const TokenId token : RandomTokens(wrong, &random_)) {
      move.tokens.push_back(token);
    }
    if (move.tokens.empty()) return move;
    runner.good = move.from + right;
    runner.held.resize(move.from);
    runner.held.insert(runner.held.end(), move.tokens.begin(),
                       move.tokens.end());
    return move;
  }

  Engine* const engine_;
  const std::vector<Text>& texts_;
  TinyRandom random_;
  std::vector<Runner> runners_;
  std::vector<Runner> closed_;
  int64_t rows_checked_ = 0;
  int64_t tokens_found_ = 0;
  int64_t refused_ = 0;
  int64_t limited_cuts_ = 0;
};

struct MemoryCase {
  const char* architecture;
  std::map<std::string, TinyModel::Value> keys = {};
};

class KvMemoryTest : public ::testing::TestWithParam<MemoryCase> {};

TEST_P(KvMemoryTest, EveryRowHasTheBitsOfThePlainRun) {
  TinyModel tiny({.architecture = GetParam().architecture,
                  .layers = 3,
                  .type = TensorType::kQ8_0,
                  .seed = 6});
  for (const auto& [key, value] : GetParam().keys) {
    tiny.metadata[absl::StrCat(GetParam().architecture, ".", key)] = value;
  }
  const auto model =
      LoadTiny(tiny, {.numerics = NumericsMode::kInt8, .threads = 1});
  ASSERT_TRUE(model.ok()) << model.status();
  const std::vector<Text> texts = MakeTexts(*model);
  int64_t tokens_found = 0;
  int64_t refused = 0;
  for (int seed = 1; seed <= 6; ++seed) {
    const auto engine = Engine::Load(*model, {.threads = 1 + seed % 2,
                                              .kv_tokens = 16 * 32,
                                              .rows_max = kRowsMax,
                                              .sequences_max = 8});
    ASSERT_TRUE(engine.ok()) << engine.status();
    Schedule schedule(engine->get(), texts, seed);
    schedule.Run(250);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
    EXPECT_GT(schedule.rows_checked(), 1000);
    EXPECT_GT(schedule.limited_cuts(), 0);
    EXPECT_GT((*engine)->kv_usage().pages_cached, 0);
    tokens_found += schedule.tokens_found();
    refused += schedule.refused();
  }
  EXPECT_GT(tokens_found, 100);
  if (GetParam().keys.empty()) {
    EXPECT_GT(refused, 0);
  }
}

std::string CaseName(const ::testing::TestParamInfo<MemoryCase>& info) {
  return absl::StrCat(info.param.architecture, "_", info.index);
}

// Windows of all layers, of every other one, of 2 in 3; and none.
INSTANTIATE_TEST_SUITE_P(
    Families, KvMemoryTest,
    ::testing::Values(MemoryCase{"llama"},
                      MemoryCase{"llama", {{"attention.sliding_window", 40u}}},
                      MemoryCase{"gemma2",
                                 {{"attention.sliding_window", 33u},
                                  {"attn_logit_softcapping", 4.0f}}},
                      MemoryCase{"gemma3",
                                 {{"attention.sliding_window", 20u},
                                  {"attention.sliding_window_pattern", 3u}}},
                      MemoryCase{"phi3", {{"attention.sliding_window", 5u}}}),
    CaseName);

}  // namespace
}  // namespace tandem
