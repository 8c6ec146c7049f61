// What load to make, and the turns that make it: a pure function of options,
// session and turn, so a run comes again whatever order its turns end in. Any
// thread.

#ifndef TANDEM_TOOLS_LOAD_TURN_SOURCE_H_
#define TANDEM_TOOLS_LOAD_TURN_SOURCE_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/types.h"

namespace tandem::load {

// Whole numbers low .. high, each as likely; low <= high.
struct Range {
  int64_t low = 0;
  int64_t high = 0;
};

struct LoadOptions {
  // Closed loop: sessions at once, each with one turn under way.
  int sessions = 1;
  // Above 0: open loop; sessions that begin per second on average, by a Poisson
  // process, whatever becomes of the earlier ones.
  double rate = 0;
  // Open loop: sessions at once at most; an arrival above that is skipped.
  int sessions_max = 4096;
  // Turns to start at most; 0: no limit.
  int64_t requests = 0;
  // Starts no turn after this long and cancels those under way; 0: no limit.
  // One of the two limits is set.
  std::chrono::milliseconds duration{0};
  // What happens in this first time is not counted. Part of duration.
  std::chrono::milliseconds warmup{0};
  // Between a turn's end and the session's next turn.
  std::chrono::milliseconds think{0};
  // Turns of a session; then a new one takes its place.
  int turns = 1;

  // Tokens of a turn's prompt and of its answer.
  Range prompt_tokens = {.low = 64, .high = 64};
  Range output_tokens = {.low = 64, .high = 64};
  // Tokens of its group that a session's first prompt begins with.
  int64_t shared_prefix_tokens = 0;
  int prefix_groups = 1;
  // Of prompts, lengths, arrivals and of the turns' own seeds.
  uint64_t seed = 1;
  // Above 0: put before every session's first prompt, made a token: runs with
  // unlike salts find nothing of each other in a prefix cache.
  int64_t salt = 0;

  // Drafts a round; absent: automatic.
  std::optional<int> draft_length = {};
  // Whether replies have the format that requests ask for, if any.
  bool with_format = true;
};

// Ids below stand for special tokens in most vocabularies; prompts have none.
inline constexpr TokenId kFirstPromptToken = 3;

struct LoadTurn {
  std::vector<TokenId> prompt;
  int64_t output_tokens = 0;
  uint64_t seed = 0;
  std::optional<int> draft_length = {};
  bool with_format = true;
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
  const LoadOptions options_;
  const int vocab_size_;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_TURN_SOURCE_H_
