// The turns that make a load: a pure function of options, session and turn, so
// a run comes again whatever order its turns end in. Any thread.

#ifndef TANDEM_TOOLS_LOAD_TURN_SOURCE_H_
#define TANDEM_TOOLS_LOAD_TURN_SOURCE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/types.h"
#include "tools/load/load_options.h"

namespace tandem::load {

// Ids below stand for special tokens in most vocabularies; prompts have none.
inline constexpr TokenId kFirstPromptToken = 3;

struct LoadTurn {
  std::vector<TokenId> prompt;
  int64_t output_tokens = 0;
  uint64_t seed = 0;
  std::optional<int> draft_length = {};
};

class TurnSource {
 public:
  // vocab_size is above kFirstPromptToken.
  TurnSource(const LoadOptions& options, int vocab_size)
      : options_(options), vocab_size_(vocab_size) {}

  // Turn `turn` (from 0) of session `session` (from 0). The first turns of a
  // closed loop's first sessions end one after the other, where there is a
  // warm-up.
  LoadTurn Make(int64_t session, int turn) const;

 private:
  bool IsSpread(int64_t session, int turn) const;
  void AppendTokens(LoadRandom* random, int64_t count,
                    std::vector<TokenId>* tokens) const;

  const LoadOptions options_;
  const int vocab_size_;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_TURN_SOURCE_H_
