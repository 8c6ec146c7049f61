// Every architecture against an independent forward pass: a Python script
// makes a tiny random model of it and the logits it must give
// (make_architecture_model.py).

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/engine.h"
#include "engine/model/model.h"

namespace tandem {
namespace {

constexpr size_t kVocab = 300;
constexpr size_t kGreedyTokens = 64;

// Keeps every row.
class Collector : public RowConsumer {
 public:
  void OnRow(size_t, size_t, absl::Span<float> logits) override {
    rows.emplace_back(logits.begin(), logits.end());
  }
  std::vector<std::vector<float>> rows;
};

class ArchitectureLogitsTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(TANDEM_BINARY_DIR, "/tests/models-", getpid());
    const std::string command =
        absl::StrCat("'", TANDEM_PYTHON, "' -B '", TANDEM_SOURCE_DIR,
                     "/tests/engine/model/make_architecture_model.py' ",
                     GetParam(), " '", folder_, "'");
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    const nlohmann::json wanted =
        nlohmann::json::parse(std::ifstream(Path(".json")));
    tokens_ = wanted.at("prompt").get<std::vector<TokenId>>();
    prompt_tokens_ = tokens_.size();
    for (const TokenId token : wanted.at("greedy")) tokens_.push_back(token);
    layers_ = wanted.at("layers");
    context_max_ = wanted.at("context_max");
    std::ifstream in(Path(".logits"), std::ios::binary);
    logits_.resize(tokens_.size() * kVocab);
    in.read(reinterpret_cast<char*>(logits_.data()),
            static_cast<std::streamsize>(logits_.size() * sizeof(double)));
    ASSERT_TRUE(in.good());
    ASSERT_EQ(in.peek(), std::char_traits<char>::eof());
  }

  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const char* suffix) const {
    return absl::StrCat(folder_, "/", GetParam(), suffix);
  }

  std::unique_ptr<Engine> MakeEngine(NumericsMode mode) const {
    absl::StatusOr<std::unique_ptr<GgufFile>> file =
        GgufFile::Open(Path(".gguf"));
    EXPECT_TRUE(file.ok()) << file.status();
    auto model = Model::Load(*std::move(file), {.numerics = mode});
    EXPECT_TRUE(model.ok()) << model.status();
    if (!model.ok()) return nullptr;
    auto engine = Engine::Load(*std::move(model),
                               {.threads = 2, .context_max = context_max_});
    EXPECT_TRUE(engine.ok()) << engine.status();
    return engine.ok() ? *std::move(engine) : nullptr;
  }

  // The rows after every token of the text, run in pieces of `chunk` tokens.
  std::vector<std::vector<float>> Rows(Engine* engine, size_t chunk) const {
    const SequenceId sequence =
        *engine->Open({.tokens_max = static_cast<Position>(tokens_.size())});
    Collector collector;
    for (size_t i = 0; i < tokens_.size(); i += chunk) {
      const StepItem item = {
          .sequence = sequence,
          .position = static_cast<Position>(i),
          .tokens = absl::MakeConstSpan(tokens_).subspan(i, chunk),
          .rows = WantedRows::kAll};
      EXPECT_TRUE(engine->Step({&item, 1}, &collector).ok());
    }
    engine->Close(sequence);
    return std::move(collector.rows);
  }

  // |row - wanted| / |wanted| of the row after token `t`.
  double RelativeError(const std::vector<float>& row, size_t t) const {
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < kVocab; ++i) {
      const double want = logits_[t * kVocab + i];
      error += (row[i] - want) * (row[i] - want);
      norm += want * want;
    }
    return std::sqrt(error / norm);
  }

  std::string folder_;
  std::vector<TokenId> tokens_;  // the prompt, then the greedy text
  size_t prompt_tokens_ = 0;
  int layers_ = 0;
  Position context_max_ = 0;
  std::vector<double> logits_;  // [tokens, kVocab]
};

// Float32 sums of K <= 192 terms, seven matmuls a layer: roundings of
// sqrt(K) * 2^-24 = 8e-7 each add up to sqrt(7 * layers) * 8e-7 in the root
// mean square; four times that for unlucky sums.
TEST_P(ArchitectureLogitsTest, LogitsAndGreedyTextAreThoseOfThePlainPass) {
  const std::unique_ptr<Engine> engine = MakeEngine(NumericsMode::kF32);
  ASSERT_NE(engine, nullptr);
  const double tolerance = 4 * 8e-7 * std::sqrt(7.0 * layers_);
  const std::vector<std::vector<float>> rows =
      Rows(engine.get(), tokens_.size());
  ASSERT_EQ(rows.size(), tokens_.size());
  double worst = 0;
  for (size_t t = 0; t < rows.size(); ++t) {
    worst = std::max(worst, RelativeError(rows[t], t));
  }
  EXPECT_LT(worst, tolerance);
  ASSERT_EQ(tokens_.size(), prompt_tokens_ + kGreedyTokens);
  for (size_t t = prompt_tokens_; t < tokens_.size(); ++t) {
    const std::vector<float>& row = rows[t - 1];
    EXPECT_EQ(std::max_element(row.begin(), row.end()) - row.begin(),
              tokens_[t])
        << "greedy token " << t - prompt_tokens_;
  }
}

TEST_P(ArchitectureLogitsTest, PrefillIsDecodeBitForBit) {
  for (const NumericsMode mode : {NumericsMode::kF32, NumericsMode::kInt8}) {
    const std::unique_ptr<Engine> engine = MakeEngine(mode);
    ASSERT_NE(engine, nullptr);
    const auto decoded = Rows(engine.get(), 1);
    for (const size_t chunk : {tokens_.size(), size_t{37}, size_t{5}}) {
      ASSERT_TRUE(Rows(engine.get(), chunk) == decoded)
          << NumericsModeName(mode) << " in pieces of " << chunk;
    }
  }
}

// int8 rounds weights and the input of each matmul to 127 steps of a group's
// largest magnitude, 0.48% of the norm each (golden_test.cc has the figure),
// and the KV cache to bf16, which is less. A layer rounds four times on the
// way of its residual; with both roundings, n of them make sqrt(2 n) * 0.48%.
// Attention over random weights is sharp, and passes an error of a score s on
// as s times that: scores here reach about 4, and so does the bound's factor.
TEST_P(ArchitectureLogitsTest, Int8IsWithinItsRounding) {
  const std::unique_ptr<Engine> engine = MakeEngine(NumericsMode::kInt8);
  ASSERT_NE(engine, nullptr);
  const double bound = 4 * 0.0048 * std::sqrt(2 * (4.0 * layers_ + 1));
  const auto rows = Rows(engine.get(), tokens_.size());
  double total = 0;
  for (size_t t = 0; t < rows.size(); ++t) total += RelativeError(rows[t], t);
  EXPECT_LT(total / static_cast<double>(rows.size()), bound);
}

std::string CaseName(const ::testing::TestParamInfo<const char*>& info) {
  return info.param;
}

INSTANTIATE_TEST_SUITE_P(All, ArchitectureLogitsTest,
                         ::testing::Values("llama", "llama3", "llama_linear",
                                           "llama_yarn", "mistral", "granite",
                                           "qwen2", "qwen2_yarn", "qwen3",
                                           "gemma", "gemma2", "gemma3", "phi3",
                                           "phi3_long", "phi3_short"),
                         CaseName);

}  // namespace
}  // namespace tandem
