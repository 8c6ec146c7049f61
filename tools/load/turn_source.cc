#include "tools/load/turn_source.h"

#include <algorithm>
#include <random>

namespace tandem::load {
namespace {

// Kinds of random numbers that have nothing to do with each other.
enum Kind : uint64_t { kTurns = 1, kPrefixes = 2, kSalts = 3 };

// The generator that belongs to these numbers together.
std::mt19937_64 RandomOf(uint64_t seed, Kind kind, int64_t a, int64_t b = 0) {
  const auto low = static_cast<uint64_t>(a);
  std::seed_seq numbers = {seed >> 32, seed, uint64_t{kind},
                           low >> 32,  low,  static_cast<uint64_t>(b)};
  return std::mt19937_64(numbers);
}

int64_t NumberIn(Range range, std::mt19937_64* random) {
  return std::uniform_int_distribution<int64_t>(range.low, range.high)(*random);
}

}  // namespace

LoadTurn TurnSource::Make(int64_t session, int turn) const {
  LoadTurn made;
  const Range tokens = {.low = kFirstPromptToken,
                        .high = int64_t{vocab_size_} - 1};
  const auto append = [&made, tokens](int64_t count, std::mt19937_64* random) {
    for (int64_t i = 0; i < count; ++i) {
      made.prompt.push_back(static_cast<TokenId>(NumberIn(tokens, random)));
    }
  };
  std::mt19937_64 random = RandomOf(options_.seed, kTurns, session, turn);
  if (turn == 0 && options_.salt > 0) {
    std::mt19937_64 salt = RandomOf(options_.seed, kSalts, options_.salt);
    append(1, &salt);
  }
  if (turn == 0) {
    std::mt19937_64 prefix =
        RandomOf(options_.seed, kPrefixes, session % options_.prefix_groups);
    append(options_.shared_prefix_tokens, &prefix);
  }
  append(NumberIn(options_.prompt_tokens, &random), &random);
  made.output_tokens = NumberIn(options_.output_tokens, &random);
  // Without this the turns of a closed loop begin and end together for as long
  // as the loop runs, and how many beginnings a window has decides its
  // throughput.
  if (options_.warmup.count() > 0 && options_.rate == 0 &&
      session < options_.sessions && turn == 0) {
    made.output_tokens = std::max<int64_t>(
        1, made.output_tokens * (session + 1) / options_.sessions);
  }
  made.seed = random();
  made.draft_length = options_.draft_length;
  made.with_format = options_.with_format;
  return made;
}

}  // namespace tandem::load
