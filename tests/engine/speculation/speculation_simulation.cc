#include "tests/engine/speculation/speculation_simulation.h"

#include <algorithm>
#include <deque>

namespace tandem {

double SpeculationSimulation::RoundUs(DraftSource source, int length) const {
  double us = world_.target_us(length + 1) + world_.round_trip_us;
  if (source == DraftSource::kModel && length > 0) {
    us += length * world_.draft_us + world_.round_trip_us;
  }
  return us;
}

double SpeculationSimulation::Expected(DraftSource source, int64_t token,
                                       int length) const {
  const auto& chance =
      source == DraftSource::kLookup ? world_.lookup_chance : world_.chance;
  double expected = 0;
  double all_right = 1;
  for (int i = 0; i < length; ++i) {
    all_right *= chance(token, i);
    expected += all_right;
  }
  return expected;
}

int SpeculationSimulation::Sample(DraftSource source, int64_t token,
                                  int length) {
  const auto& chance =
      source == DraftSource::kLookup ? world_.lookup_chance : world_.chance;
  std::uniform_real_distribution<> uniform(0, 1);
  int accepted = 0;
  while (accepted < length && uniform(random_) < chance(token, accepted)) {
    ++accepted;
  }
  return accepted;
}

double SpeculationSimulation::Noisy(double us) {
  std::normal_distribution<> normal(1, world_.noise);
  return us * std::max(0.2, normal(random_));
}

SimulationResult SpeculationSimulation::RunFixed(int length,
                                                 int64_t tokens) const {
  SimulationResult result;
  while (result.tokens < static_cast<double>(tokens)) {
    result.tokens += 1 + Expected(DraftSource::kModel,
                                  static_cast<int64_t>(result.tokens), length);
    result.us += RoundUs(DraftSource::kModel, length);
    ++result.rounds;
  }
  return result;
}

SimulationResult SpeculationSimulation::RunLookup(int length,
                                                  int64_t tokens) const {
  SimulationResult result;
  while (result.tokens < static_cast<double>(tokens)) {
    const auto token = static_cast<int64_t>(result.tokens);
    const double found = world_.match_chance(token);
    result.tokens += 1 + found * Expected(DraftSource::kLookup, token, length);
    result.us += found * RoundUs(DraftSource::kLookup, length) +
                 (1 - found) * RoundUs(DraftSource::kNone, 0);
    ++result.rounds;
  }
  return result;
}

void SpeculationSimulation::Report(DraftController* controller) {
  controller->cost().SetTarget(target_seen_, {.sequences = 1});
  controller->cost().SetDraft(draft_seen_, 1);
}

SimulationResult SpeculationSimulation::RunAuto(DraftController* controller,
                                                int64_t tokens,
                                                int64_t watched) {
  SimulationResult result;
  std::deque<bool> drafted_lately;
  double matches_due = 0;
  int64_t rounds_watched = 0;
  while (result.tokens < static_cast<double>(tokens)) {
    const auto token = static_cast<int64_t>(result.tokens);
    DraftController::Room room;
    room.model_max = world_.draft_us > 0 ? kDraftLengthLimit : 0;
    // As often as their chance says, and not by chance: else it would take far
    // longer texts to compare to the percent.
    if (world_.match_chance) matches_due += world_.match_chance(token);
    if (matches_due >= 1) {
      matches_due -= 1;
      room.lookup_max = kDraftLengthLimit;
      room.lookup_match = world_.match_length;
    }
    const int steady = controller->steady_length();
    const DraftController::Choice choice = controller->Choose(room);
    if (controller->steady_length() != steady) ++result.changes;
    const int accepted = Sample(choice.source, token, choice.length);

    double us = 0;
    if (choice.source == DraftSource::kModel) {
      double computed = 0;
      for (int i = 0; i < choice.length; ++i) {
        const double step_us = Noisy(world_.draft_us);
        draft_seen_.Add(1, step_us);
        computed += step_us;
      }
      us += computed + Noisy(world_.round_trip_us);
      controller->cost().OnProposed(choice.length, 1 + (accepted % 2), us,
                                    /*served_us=*/us);
    }
    const double pass_us = Noisy(world_.target_us(choice.length + 1));
    target_seen_.Add(choice.length + 1, pass_us);
    const double verify_us = pass_us + Noisy(world_.round_trip_us);
    controller->cost().OnVerified(choice.length, verify_us,
                                  /*served_us=*/verify_us);
    us += verify_us;
    controller->OnRound({.source = choice.source,
                         .drafted = choice.length,
                         .accepted = accepted,
                         .lookup_match = room.lookup_match,
                         .us = us});
    if (world_.report_every > 0 && result.rounds % world_.report_every == 0) {
      Report(controller);
    }
    result.tokens += 1 + Expected(choice.source, token, choice.length);
    result.us += RoundUs(choice.source, choice.length);
    ++result.rounds;
    if (token >= watched && result.rounds_to_draft < 0) {
      ++rounds_watched;
      drafted_lately.push_back(choice.length > 0 && !choice.is_probe);
      if (drafted_lately.size() > 10) drafted_lately.pop_front();
      if (std::count(drafted_lately.begin(), drafted_lately.end(), true) > 5) {
        result.rounds_to_draft = rounds_watched;
      }
    }
  }
  result.probe_share = controller->probe_us() / controller->total_us();
  return result;
}

}  // namespace tandem
