// Texts of random tokens and the rows that an engine gives after them.

#ifndef TANDEM_TESTS_NUMERICS_TEXT_ROWS_H_
#define TANDEM_TESTS_NUMERICS_TEXT_ROWS_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/engine.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {

// Of the models that texts are for.
inline constexpr int64_t kVocab = 300;

// The rows that a text must give: row i after its token i.
struct Text {
  std::vector<TokenId> tokens;
  std::vector<std::vector<float>> rows;
};

// Keeps each row by item and row number.
class Rows : public RowConsumer {
 public:
  void OnRow(size_t item, size_t row, absl::Span<float> logits) override {
    rows_[{item, row}].assign(logits.begin(), logits.end());
  }
  const std::vector<float>& Get(size_t item, size_t row) {
    return rows_[{item, row}];
  }

 private:
  std::map<std::pair<size_t, size_t>, std::vector<float>> rows_;
};

inline std::vector<TokenId> RandomTokens(int64_t count, TinyRandom* random) {
  std::vector<TokenId> tokens(count);
  for (TokenId& token : tokens) {
    token = static_cast<TokenId>(random->Below(kVocab));
  }
  return tokens;
}

}  // namespace tandem

#endif  // TANDEM_TESTS_NUMERICS_TEXT_ROWS_H_
