// What was seen of a load, counted. A value; runs of one kind can be merged.

#ifndef TANDEM_TOOLS_LOAD_LOAD_FIGURES_H_
#define TANDEM_TOOLS_LOAD_LOAD_FIGURES_H_

#include <cstdint>
#include <map>
#include <string>

#include "tools/load/load_target.h"
#include "tools/load/samples.h"

namespace tandem::load {

// Kinds of errors and of ends that are told apart; others count as "other".
inline constexpr size_t kNamesMax = 64;

struct LoadFigures {
  double seconds = 0;  // that were counted

  Samples first_token_us;  // from a turn's start or arrival
  Samples event_gap_us;    // between two events with tokens
  Samples token_gap_us;    // the same, shared by the tokens of the later one
  Samples turn_us;         // of turns that came to their own end
  // Per turn, by its rounds: what is beside computing, and the part of that
  // which is not waiting in workers.
  Samples round_rpc_us;
  Samples round_transport_us;

  int64_t turns_ended = 0;
  int64_t turns_cut = 0;  // by the load's own end
  int64_t turns_failed = 0;
  int64_t arrivals_skipped = 0;
  int64_t prompt_tokens = 0;  // sent, of turns whose first token came
  int64_t generated_tokens = 0;

  std::map<std::string, int64_t> finish_reasons;
  std::map<std::string, int64_t> errors;  // "UNAVAILABLE NO_WORKER"

  // Sums of what servers reported of turns that came to an end.
  v1::Usage usage = {};
  v1::SpeculationStats speculation = {};

  // An event with `tokens` came `gap_us` after the turn's start, where it is
  // the turn's first, or after the event before.
  void AddTokens(int64_t tokens, int64_t gap_us, bool is_first);
  void AddEnd(const TurnOutcome& outcome);
  void Merge(const LoadFigures& other);

  double generated_per_second() const;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_FIGURES_H_
