// The demo pair against the values of an independent float32 implementation
// (tests/data/golden.json, whose note says how they were made).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/cpu_features.h"
#include "engine/base/hash.h"
#include "engine/engine.h"
#include "engine/kernels/float_math.h"
#include "engine/model/model.h"
#include "tests/engine/model/held_out.h"

namespace tandem {
namespace {

constexpr char kHeldOut[] = TANDEM_SOURCE_DIR "/tests/data/heldout.txt";

constexpr char kTarget[] = "tales-target";
constexpr char kDraft[] = "tales-draft";

struct GoldenCase {
  std::string prompt;
  std::vector<TokenId> token_ids;  // of the prompt, BOS included
  std::vector<float> logits;       // after the last prompt token
  std::vector<TokenId> greedy;
  double margin_min = 0;
};

const nlohmann::json& Golden() {
  static const nlohmann::json* const golden =
      new nlohmann::json(nlohmann::json::parse(
          ReadFile(TANDEM_SOURCE_DIR "/tests/data/golden.json")));
  return *golden;
}

std::vector<GoldenCase> CasesOf(const std::string& model) {
  std::vector<GoldenCase> cases;
  for (const nlohmann::json& entry : Golden().at("cases")) {
    if (entry.at("model") != model) continue;
    cases.push_back(
        {.prompt = entry.at("prompt"),
         .token_ids = entry.at("token_ids").get<std::vector<TokenId>>(),
         .logits = entry.at("logits").get<std::vector<float>>(),
         .greedy = entry.at("greedy").get<std::vector<TokenId>>(),
         .margin_min = entry.at("margin_min")});
  }
  EXPECT_EQ(cases.size(), 7u) << model;
  return cases;
}

double GoldenNll(const std::string& model) {
  return Golden().at("nll").at(model).at("mean");
}

std::shared_ptr<const Model> LoadFile(const std::string& path,
                                      NumericsMode mode) {
  absl::StatusOr<std::unique_ptr<GgufFile>> file = GgufFile::Open(path);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return nullptr;
  absl::StatusOr<std::shared_ptr<const Model>> model =
      Model::Load(*std::move(file), {.numerics = mode});
  EXPECT_TRUE(model.ok()) << model.status();
  return model.ok() ? *model : nullptr;
}

std::shared_ptr<const Model> LoadQuantised(const std::string& name,
                                           NumericsMode mode) {
  return LoadFile(
      std::string(TANDEM_SOURCE_DIR "/deploy/models/") + name + "-q8_0.gguf",
      mode);
}

std::unique_ptr<Engine> MakeEngine(std::shared_ptr<const Model> model,
                                   const EngineOptions& options = {}) {
  absl::StatusOr<std::unique_ptr<Engine>> engine =
      Engine::Load(std::move(model), options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

// The last row that came.
class LastRow : public RowConsumer {
 public:
  void OnRow(size_t, size_t, absl::Span<float> logits) override {
    row_.assign(logits.begin(), logits.end());
  }
  const std::vector<float>& row() const { return row_; }

 private:
  std::vector<float> row_;
};

std::vector<float> LogitsAfter(Engine* engine, SequenceId sequence,
                               Position position,
                               const std::vector<TokenId>& tokens) {
  LastRow last;
  const StepItem item = {.sequence = sequence,
                         .position = position,
                         .tokens = tokens,
                         .rows = WantedRows::kLast};
  const absl::Status status = engine->Step({&item, 1}, &last);
  EXPECT_TRUE(status.ok()) << status;
  return last.row();
}

std::vector<float> PromptLogits(Engine* engine,
                                const std::vector<TokenId>& tokens) {
  const absl::StatusOr<SequenceId> sequence =
      engine->Open({.tokens_max = static_cast<Position>(tokens.size())});
  EXPECT_TRUE(sequence.ok()) << sequence.status();
  std::vector<float> logits = LogitsAfter(engine, *sequence, 0, tokens);
  engine->Close(*sequence);
  return logits;
}

// |a - b| / |b|, in the Euclidean norm.
double RelativeError(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * static_cast<double>(a[i] - b[i]);
    norm += b[i] * static_cast<double>(b[i]);
  }
  return std::sqrt(error / norm);
}

TokenId ArgMax(const std::vector<float>& logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) -
                              logits.begin());
}

// The gap between the largest and the second logit.
double Margin(std::vector<float> logits) {
  std::nth_element(logits.begin(), logits.begin() + 1, logits.end(),
                   std::greater<float>());
  return logits[0] - logits[1];
}

// Two float32 implementations differ by their order of summation. Measured over
// all cases: the relative error of a row is 1.5e-6 at most, rows have a norm of
// 115 to 406, and no logit differs by more than 5.4e-5 (of which 5e-5 is the
// rounding of golden.json to 6 digits); kLogitNoise is twice that. Where the
// gap between the two best logits is less than twice kLogitNoise, either token
// is right, and the texts may part there for good. margin_min is never that
// small here, so every text is compared whole; were it, the comparison would
// end at the parting.
constexpr double kLogitNoise = 1e-4;
// margin_min is below 0.1 and has three digits.
constexpr double kMarginRounding = 5e-5;

void ExpectGreedyText(Engine* engine, const GoldenCase& golden) {
  const size_t count = golden.greedy.size();
  const absl::StatusOr<SequenceId> sequence = engine->Open(
      {.tokens_max = static_cast<Position>(golden.token_ids.size() + count)});
  ASSERT_TRUE(sequence.ok()) << sequence.status();
  std::vector<TokenId> next = golden.token_ids;
  Position position = 0;
  double margin = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < count; ++i) {
    const std::vector<float> logits =
        LogitsAfter(engine, *sequence, position, next);
    margin = std::min(margin, Margin(logits));
    if (ArgMax(logits) != golden.greedy[i]) {
      EXPECT_LT(golden.margin_min, 2 * kLogitNoise)
          << golden.prompt << ": token " << i;
      break;
    }
    position += static_cast<Position>(next.size());
    next = {golden.greedy[i]};
  }
  EXPECT_NEAR(margin, golden.margin_min, 2 * kLogitNoise + kMarginRounding)
      << golden.prompt;
  engine->Close(*sequence);
}

// Everything that golden.json has on one model, in f32 mode.
void ExpectGolden(std::shared_ptr<const Model> model, const std::string& name) {
  ASSERT_NE(model, nullptr);
  const std::unique_ptr<Engine> engine = MakeEngine(std::move(model));
  for (const GoldenCase& golden : CasesOf(name)) {
    EXPECT_EQ(engine->tokenizer().Encode(golden.prompt, true),
              golden.token_ids);
    EXPECT_LT(RelativeError(PromptLogits(engine.get(), golden.token_ids),
                            golden.logits),
              1e-4)
        << golden.prompt;
    ExpectGreedyText(engine.get(), golden);
  }
  // Both are float32 with 6 digits kept: a logit differs by under 1e-4 either
  // way, and a mean over 14,308 ids by less.
  const double nll =
      MeanNll(engine.get(), HeldOutRows(engine->tokenizer(), kHeldOut));
  EXPECT_NEAR(nll, GoldenNll(name), 1e-4);
}

TEST(GoldenTest, QuantisedTargetInF32) {
  ExpectGolden(LoadQuantised(kTarget, NumericsMode::kF32), "tales-target-q8_0");
}

TEST(GoldenTest, QuantisedDraftInF32) {
  ExpectGolden(LoadQuantised(kDraft, NumericsMode::kF32), "tales-draft-q8_0");
}

TEST(GoldenTest, FloatFilesInF32) {
  for (const std::string name : {kTarget, kDraft}) {
    const std::string path =
        TANDEM_SOURCE_DIR "/../shared/demo-pair/" + name + "-f32.gguf";
    if (!std::ifstream(path).good()) {
      GTEST_SKIP() << "no " << path
                   << ": the float files are not part of the repository";
    }
    ExpectGolden(LoadFile(path, NumericsMode::kF32), name + "-f32");
  }
}

// The int8 mode rounds each matmul's input to 127 steps of its group's largest
// magnitude. An error of at most half a step, uniform, has a standard
// deviation of m / 127 / sqrt(12) for a largest magnitude m of the group. For
// 32 normal values m is about 2.1 sigma at the mean of its distribution, so
// one rounding is 2.1 / 127 / 3.46 = 0.48% of the input's norm, and a matmul
// carries that on to its output. A layer rounds four times on the way of its
// residual (input of q, k, v; of the attention output; of gate and up; of
// down), errors of different roundings are independent, so n roundings make
// sqrt(n) * 0.48%: with the head, the target's 25 make 2.4% and the draft's 9
// make 1.4%. Heavy tails (a larger m than a normal group's) cost up to twice
// that. The KV cache in bf16 (2^-9 = 0.2% at most) is below it.
constexpr double kRounding = 0.0048;

void ExpectInt8NearGolden(const std::string& name, int layers) {
  const std::unique_ptr<Engine> engine =
      MakeEngine(LoadQuantised(name, NumericsMode::kInt8));
  const double bound = 2 * kRounding * std::sqrt(4.0 * layers + 1);
  for (const GoldenCase& golden : CasesOf(name + "-q8_0")) {
    EXPECT_LT(RelativeError(PromptLogits(engine.get(), golden.token_ids),
                            golden.logits),
              bound)
        << golden.prompt;
  }
}

TEST(GoldenTest, TargetInInt8IsWithinItsRounding) {
  ExpectInt8NearGolden(kTarget, 6);
}

TEST(GoldenTest, DraftInInt8IsWithinItsRounding) {
  ExpectInt8NearGolden(kDraft, 2);
}

// Perplexity is e^NLL.
void ExpectInt8Perplexity(const std::string& name) {
  const std::unique_ptr<Engine> engine =
      MakeEngine(LoadQuantised(name, NumericsMode::kInt8));
  const double nll =
      MeanNll(engine.get(), HeldOutRows(engine->tokenizer(), kHeldOut));
  EXPECT_NEAR(std::exp(nll - GoldenNll(name + "-q8_0")), 1.0, 0.005);
}

TEST(GoldenTest, TargetPerplexityInInt8) { ExpectInt8Perplexity(kTarget); }

TEST(GoldenTest, DraftPerplexityInInt8) { ExpectInt8Perplexity(kDraft); }

// bf16 rounds weights and activations to 8 significant bits: each within 2^-9
// = 0.2% of its value, 0.11% in the mean square. A matmul has both, so n of
// them make sqrt(2 n) * 0.11%: 0.8% for the target's 25. Twice that is the
// bound.
TEST(GoldenTest, TargetInBf16) {
  if (!CpuHasBf16Matmul()) {
    GTEST_SKIP() << "this machine has no AVX-512";
  }
  const std::unique_ptr<Engine> engine =
      MakeEngine(LoadQuantised(kTarget, NumericsMode::kBf16));
  for (const GoldenCase& golden : CasesOf("tales-target-q8_0")) {
    EXPECT_LT(RelativeError(PromptLogits(engine.get(), golden.token_ids),
                            golden.logits),
              0.016)
        << golden.prompt;
  }
}

// The bits of the int8 mode, the same on any machine. A change here changes
// the text of running sessions: raise kNumericsVersion with it.
TEST(GoldenTest, Int8BitsAreThoseOfThisNumericsVersion) {
  EXPECT_EQ(kNumericsVersion, 2);
  const std::map<std::string, std::string> wanted = {
      {kTarget,
       "15b937f22eec392862d586bab2a49584e6a3ded328584e1453b4929405e0bff7"},
      {kDraft,
       "bc1c08a256963c92d77ffb7d4e6caa7808bb2e24968e5c86318bb00a5efcdafb"}};
  for (const auto& [name, digest] : wanted) {
    const std::unique_ptr<Engine> engine =
        MakeEngine(LoadQuantised(name, NumericsMode::kInt8));
    Sha256 hash;
    for (const GoldenCase& golden : CasesOf(name + "-q8_0")) {
      const std::vector<float> logits =
          PromptLogits(engine.get(), golden.token_ids);
      hash.AddBytes({reinterpret_cast<const uint8_t*>(logits.data()),
                     logits.size() * sizeof(float)});
    }
    EXPECT_EQ(hash.HexDigest(), digest) << name;
  }
}

}  // namespace
}  // namespace tandem
