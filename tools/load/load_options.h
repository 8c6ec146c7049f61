// What load to make, as values.

#ifndef TANDEM_TOOLS_LOAD_LOAD_OPTIONS_H_
#define TANDEM_TOOLS_LOAD_LOAD_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <optional>

#include "tools/load/load_random.h"

namespace tandem::load {

struct LoadOptions {
  // Closed loop: so many sessions at once, each with one turn under way.
  int sessions = 1;
  // Above 0: open loop; so many sessions begin per second, whatever becomes of
  // the earlier ones.
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
  // A session's first prompt begins with so many tokens of its group.
  int64_t shared_prefix_tokens = 0;
  int prefix_groups = 1;
  // Of prompts, lengths, arrivals and of the turns' own seeds.
  uint64_t seed = 1;
  // Above 0: put before every session's first prompt, made a token: runs with
  // unlike salts find nothing of each other in a prefix cache.
  int64_t salt = 0;

  // Drafts a round; absent: automatic.
  std::optional<int> draft_length = {};
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_OPTIONS_H_
