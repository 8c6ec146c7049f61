// Random walks through a grammar by the tokens of a vocabulary, with the mask
// of each prefix: what compare_with_xgrammar.mjs compares. One thread.

#ifndef TANDEM_TESTS_ENGINE_GRAMMAR_CHECK_TOKEN_WALK_H_
#define TANDEM_TESTS_ENGINE_GRAMMAR_CHECK_TOKEN_WALK_H_

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "engine/base/status.h"
#include "engine/grammar/grammar_source.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

struct WalkOptions {
  int tokens_max = 0;
  uint64_t seed = 0;
};

class TokenWalk {
 public:
  // With the vocabulary of the GGUF at `path`. Errors: those of the file.
  static absl::StatusOr<TokenWalk> Open(const std::string& path);

  // {"pieces": [as the file spells them], "texts": [as they stand in a text],
  // "special": [ids of tokens without a text], "ends": [ids that end a turn]};
  // pieces and texts in hexadecimal, and special tokens have their names.
  nlohmann::json Vocabulary() const;

  // [{"mask": hexadecimal, "token": id}]: what a turn may have next, bit id % 8
  // of byte id / 8, and the token that the walk goes on with. The last has -1:
  // `tokens_max` were read, or nothing but an end is allowed. Errors: those of
  // CompileGrammar and TokenConstraint.
  absl::StatusOr<nlohmann::json> Walk(const GrammarSource& source,
                                      const WalkOptions& options) const;

 private:
  explicit TokenWalk(std::unique_ptr<Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}

  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_GRAMMAR_CHECK_TOKEN_WALK_H_
