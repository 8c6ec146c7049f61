#include "tools/load/turn_source.h"

#include <algorithm>

namespace tandem::load {
namespace {

// Streams of random numbers that have nothing to do with each other.
enum Stream : uint64_t { kTurns = 1, kPrefixes = 2, kSalts = 3 };

}  // namespace

void TurnSource::AppendTokens(LoadRandom* random, int64_t count,
                              std::vector<TokenId>* tokens) const {
  for (int64_t i = 0; i < count; ++i) {
    tokens->push_back(static_cast<TokenId>(random->NextIn(
        {.low = kFirstPromptToken, .high = int64_t{vocab_size_} - 1})));
  }
}

bool TurnSource::IsSpread(int64_t session, int turn) const {
  return options_.warmup.count() > 0 && options_.rate == 0 &&
         session < options_.sessions && turn == 0;
}

LoadTurn TurnSource::Make(int64_t session, int turn) const {
  LoadTurn made;
  LoadRandom random({options_.seed, kTurns, static_cast<uint64_t>(session),
                     static_cast<uint64_t>(turn)});
  if (turn == 0 && options_.salt > 0) {
    LoadRandom salt(
        {options_.seed, kSalts, static_cast<uint64_t>(options_.salt)});
    AppendTokens(&salt, 1, &made.prompt);
  }
  if (turn == 0 && options_.shared_prefix_tokens > 0) {
    const int64_t group = session % options_.prefix_groups;
    LoadRandom prefix({options_.seed, kPrefixes, static_cast<uint64_t>(group)});
    AppendTokens(&prefix, options_.shared_prefix_tokens, &made.prompt);
  }
  AppendTokens(&random, random.NextIn(options_.prompt_tokens), &made.prompt);
  made.output_tokens = random.NextIn(options_.output_tokens);
  // Else the turns of a closed loop begin and end together for as long as it
  // runs, and how many beginnings a window has decides its throughput.
  if (IsSpread(session, turn)) {
    made.output_tokens = std::max<int64_t>(
        1, made.output_tokens * (session + 1) / options_.sessions);
  }
  made.seed = random.Next();
  made.draft_length = options_.draft_length;
  return made;
}

}  // namespace tandem::load
