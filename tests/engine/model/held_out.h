// How well a model predicts the held-out text. Header only: several tests use
// it.

#ifndef TANDEM_TESTS_ENGINE_MODEL_HELD_OUT_H_
#define TANDEM_TESTS_ENGINE_MODEL_HELD_OUT_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace tandem {

inline std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Adds up -log p(token) of a row's next tokens.
class NllConsumer : public RowConsumer {
 public:
  explicit NllConsumer(const std::vector<TokenId>& targets)
      : targets_(targets) {}

  void OnRow(size_t, size_t, absl::Span<float> logits) override {
    const float maximum = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (float logit : logits) sum += std::exp(logit - maximum);
    nll_ += std::log(sum) + maximum - logits[targets_[next_++]];
  }
  double nll() const { return nll_; }

 private:
  const std::vector<TokenId>& targets_;
  size_t next_ = 0;
  double nll_ = 0;
};

inline constexpr size_t kRowIds = 511;  // golden.json's nll_note

// The rows of 511 ids of the held-out text, tests/data/heldout.txt; the rest is
// left out.
inline std::vector<std::vector<TokenId>> HeldOutRows(const Tokenizer& tokenizer,
                                                     const std::string& path) {
  const std::vector<TokenId> ids = tokenizer.Encode(ReadFile(path), false);
  std::vector<std::vector<TokenId>> rows;
  for (size_t i = 0; i + kRowIds <= ids.size(); i += kRowIds) {
    rows.emplace_back(ids.begin() + i, ids.begin() + i + kRowIds);
  }
  EXPECT_EQ(rows.size(), 28u);  // 14,308 ids
  return rows;
}

// Mean negative log likelihood per id, BOS before each row.
inline double MeanNll(Engine* engine,
                      absl::Span<const std::vector<TokenId>> rows) {
  double total = 0;
  for (const std::vector<TokenId>& ids : rows) {
    std::vector<TokenId> inputs = {*engine->tokenizer().special().bos};
    inputs.insert(inputs.end(), ids.begin(), ids.end() - 1);
    const absl::StatusOr<SequenceId> sequence =
        engine->Open({.tokens_max = kRowIds});
    EXPECT_TRUE(sequence.ok()) << sequence.status();
    NllConsumer consumer(ids);
    const size_t chunk = engine->info().rows_max;
    for (size_t i = 0; i < inputs.size(); i += chunk) {
      const StepItem item = {
          .sequence = *sequence,
          .position = static_cast<Position>(i),
          .tokens = absl::MakeConstSpan(inputs).subspan(i, chunk),
          .rows = WantedRows::kAll};
      const absl::Status status = engine->Step({&item, 1}, &consumer);
      EXPECT_TRUE(status.ok()) << status;
    }
    total += consumer.nll();
    engine->Close(*sequence);
  }
  return total / static_cast<double>(rows.size() * kRowIds);
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_MODEL_HELD_OUT_H_
