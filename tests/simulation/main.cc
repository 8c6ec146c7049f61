// tandem-simulation: what pools of workers bear, by simulation: sessions for
// each target worker against tokens a second and time to the first token, for
// several shares of draft workers.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/simulation/simulation.h"

namespace tandem {
namespace {

struct Flags {
  int workers = 100;
  std::vector<double> sessions_per_target = {1, 2, 4, 8, 16};
  std::vector<double> drafts_per_target = {0, 0.125, 0.25, 0.5, 1};
  int sessions = 0;
  int turns = 2;
  int tokens_max = 96;
  int coordinators = 1;
  double faults_per_s = 0;
  uint64_t seed = 1;
};

void AddFlags(CLI::App* app, Flags* flags) {
  app->add_option("--workers", flags->workers, "Workers of both kinds")
      ->check(CLI::Range(2, 2000))
      ->capture_default_str();
  app->add_option("--sessions-per-target", flags->sessions_per_target,
                  "Sessions for each target worker, comma separated")
      ->delimiter(',')
      ->capture_default_str();
  app->add_option("--drafts-per-target", flags->drafts_per_target,
                  "Draft workers for each target worker, comma separated")
      ->delimiter(',')
      ->capture_default_str();
  app->add_option("--sessions", flags->sessions,
                  "So many sessions instead; 0: by target worker")
      ->check(CLI::Range(0, 100000))
      ->capture_default_str();
  app->add_option("--turns", flags->turns, "Turns of each session")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app->add_option("--tokens-max", flags->tokens_max, "Tokens of each turn")
      ->check(CLI::Range(2, 10000))
      ->capture_default_str();
  app->add_option("--coordinators", flags->coordinators, "Coordinators")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app->add_option("--faults-per-s", flags->faults_per_s,
                  "Workers killed, drained and added in a second, of each; "
                  "streams and clients lose connections then too")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app->add_option("--seed", flags->seed, "Decides everything")
      ->capture_default_str();
}

template <typename T>
double Percentile(std::vector<T> values, double share) {
  if (values.empty()) return 0;
  const size_t index =
      static_cast<size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<long>(index),
                   values.end());
  return static_cast<double>(values[index]);
}

SimulationOptions OptionsOf(const Flags& flags, double sessions_per_target,
                            double drafts_per_target) {
  SimulationOptions options;
  options.network.seed = flags.seed;
  options.targets = std::max(
      1, static_cast<int>(flags.workers / (1 + drafts_per_target) + 0.5));
  options.drafters = flags.workers - options.targets;
  options.sessions =
      flags.sessions > 0
          ? flags.sessions
          : static_cast<int>(options.targets * sessions_per_target + 0.5);
  options.coordinators = flags.coordinators;
  options.client.turns = flags.turns;
  options.client.tokens_max = flags.tokens_max;
  options.client.ignore_eos = true;
  if (flags.faults_per_s > 0) {
    options.kills_per_s = flags.faults_per_s;
    options.drains_per_s = flags.faults_per_s;
    options.adds_per_s = flags.faults_per_s;
    options.flaps_per_mille = 200;
    options.network.losses_per_million = 50;
    options.client.losses_per_mille = 2;
  }
  return options;
}

// False where the run broke a promise.
bool PrintRow(const SimulationOptions& options) {
  const SimulationResult result = Simulation(options).Run();
  const ClientTotals& clients = result.clients;
  std::printf(
      "| %d | %d | %d | %.1f | %.1f | %.0f | %.2f | %.2f | %.0f%% | %.0f%% | "
      "%.2f | %.0f | %.12s |\n",
      options.targets, options.drafters, options.sessions,
      Percentile(clients.rates, 0.5), Percentile(clients.rates, 0.05),
      static_cast<double>(clients.tokens) / result.seconds,
      Percentile(clients.first_token_us, 0.5) / 1e6,
      Percentile(clients.first_token_us, 0.95) / 1e6, result.target_busy * 100,
      result.draft_busy * 100,
      static_cast<double>(clients.tokens) /
          static_cast<double>(std::max<int64_t>(1, clients.rounds)),
      result.seconds, result.digest.c_str());
  std::fflush(stdout);
  if (!result.failure.empty()) {
    std::fprintf(stderr, "broken: %s\n", result.failure.c_str());
  }
  return result.failure.empty();
}

int Main(int argc, char** argv) {
  CLI::App app("Simulates coordinators, pools of workers and clients.",
               "tandem-simulation");
  Flags flags;
  AddFlags(&app, &flags);
  CLI11_PARSE(app, argc, argv);
  std::printf(
      "| targets | drafters | sessions | tokens/s of a session, median | the "
      "slowest 5%% | tokens/s in all | first token s, median | 95%% | targets "
      "busy | drafters busy | tokens a round | simulated s | digest |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  bool is_good = true;
  for (const double sessions : flags.sessions_per_target) {
    for (const double drafts : flags.drafts_per_target) {
      is_good &= PrintRow(OptionsOf(flags, sessions, drafts));
    }
    if (flags.sessions > 0) break;
  }
  return is_good ? 0 : 1;
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) { return tandem::Main(argc, argv); }
