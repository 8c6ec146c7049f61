// What was seen of a load, counted. A value; runs of one kind can be merged.

#ifndef TANDEM_TOOLS_LOAD_LOAD_FIGURES_H_
#define TANDEM_TOOLS_LOAD_LOAD_FIGURES_H_

#include <cstdint>
#include <map>
#include <string>

#include "tools/load/histogram.h"
#include "tools/load/load_target.h"

namespace tandem::load {

// Kinds of errors and of ends that are told apart; others count as "other".
inline constexpr size_t kNamesMax = 64;

struct LoadFigures {
  double seconds = 0;  // that were counted

  Histogram first_token_us;  // from a turn's start or arrival
  Histogram event_gap_us;    // between two events with tokens
  Histogram token_gap_us;    // the same, shared by the tokens of the later one
  Histogram turn_us;         // of turns that came to their own end
  // Per turn, by its rounds: what is beside computing, and the part of that
  // which is not waiting in workers.
  Histogram round_rpc_us;
  Histogram round_transport_us;

  int64_t turns_ended = 0;
  int64_t turns_cut = 0;  // by the load's own end
  int64_t turns_failed = 0;
  int64_t arrivals_skipped = 0;
  int64_t prompt_tokens = 0;  // sent, of turns whose first token came
  int64_t generated_tokens = 0;
  int64_t events = 0;

  std::map<std::string, int64_t> finish_reasons;
  std::map<std::string, int64_t> errors;  // "UNAVAILABLE NO_WORKER"

  // Sums over turns whose end told them.
  int64_t told_turns = 0;
  TurnFigures told = {};

  void AddEnd(const TurnOutcome& outcome);
  void Merge(const LoadFigures& other);

  double generated_per_second() const;
  double prompt_per_second() const;
  double acceptance_rate() const;    // 0 where nothing was drafted
  double tokens_per_round() const;   // 0 where no turn told its rounds
  double mean_draft_length() const;  // likewise
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_FIGURES_H_
