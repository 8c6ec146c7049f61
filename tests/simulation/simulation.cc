#include "tests/simulation/simulation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/check.h"
#include "services/coordinator/client/default_limits.h"
#include "services/coordinator/client/driver_watch.h"
#include "tests/simulation/simulated_store.h"

namespace tandem {
namespace {

// Of simulated time: what takes longer is stuck.
constexpr int64_t kTimeMaxUs = int64_t{3600} * 1000 * 1000;
// For turns and streams that their clients left, after the sessions.
constexpr int64_t kAfterUs = int64_t{60} * 1000 * 1000;
constexpr std::chrono::seconds kRestartAfter(4);
constexpr std::chrono::seconds kCoordinatorRestartAfter(1);
constexpr double kSlowness = 10;
// A small model is so much faster.
constexpr double kDraftShare = 0.26;

}  // namespace

struct Simulation::Coordinator {
  Coordinator(Simulation* simulation, uint32_t seed)
      : pool(&simulation->network_,
             {.resolve =
                  [simulation](const std::string& host) {
                    return simulation->Resolve(host);
                  },
              .find =
                  [simulation](const std::string& address) {
                    const auto found = simulation->workers_.find(address);
                    return found == simulation->workers_.end()
                               ? nullptr
                               : found->second.get();
                  }}),
        router([this] { return pool.Workers(); }, seed),
        quotas(simulation->network_.loop(), 1 << 20, &limits, seed),
        sessions(simulation->network_.loop(),
                 {.sessions_max = 1 << 20, .idle = std::chrono::hours(24)},
                 &limits, &memory),
        left_turns(simulation->network_.loop(), &sessions, &memory),
        store(&simulation->network_, &simulation->store_,
              simulation->options_.store_faults_per_mille),
        loader({.store = &store,
                .is_shared = true,
                .sessions = &sessions,
                .router = &router,
                .quotas = &quotas,
                .loop = simulation->network_.loop()}),
        watch(&store, &sessions, simulation->network_.loop()) {
    if (simulation->options_.has_store) {
      services.loader = &loader;
      watch.Start();
    }
    pool.Start();
    services.loop = simulation->network_.loop();
    services.sessions = &sessions;
    services.router = &router;
    services.memory = &memory;
    services.quotas = &quotas;
    services.left_turns = &left_turns;
  }

  SimulatedPool pool;
  Router router;
  const DefaultLimits limits{TenantLimits()};
  MemoryBudget memory{int64_t{1} << 40};
  TurnQuotas quotas;
  SessionStore sessions;
  LeftTurns left_turns;
  SimulatedStore store;
  SessionLoader loader;
  DriverWatch watch;
  ClientServices services;
  bool is_dead = false;
};

Simulation::Simulation(const SimulationOptions& options)
    : options_(options), network_(options.network) {
  for (int i = 0; i < options_.targets; ++i) {
    SimulatedWorker* const worker = AddWorker(WorkerRole::kTarget);
    if (i < options_.slow_targets) worker->SlowDown(kSlowness);
  }
  for (int i = 0; i < options_.drafters; ++i) AddWorker(WorkerRole::kDraft);
  for (int i = 0; i < options_.coordinators; ++i) AddCoordinator();
  MakeClients();
}

Simulation::~Simulation() = default;

SimulatedWorker* Simulation::AddWorker(WorkerRole role) {
  const bool is_target = role == WorkerRole::kTarget;
  const int id = ++last_worker_;
  SimulatedWorkerOptions options;
  options.address = absl::StrFormat("%s-%06d:1", is_target ? "t" : "d", id);
  options.id = id;
  options.role = role;
  options.kv_pages = options_.kv_pages;
  if (!is_target) {
    options.base_us *= kDraftShare;
    options.row_us *= kDraftShare;
  }
  auto worker = std::make_unique<SimulatedWorker>(&network_, options);
  worker->Start();
  return (workers_[options.address] = std::move(worker)).get();
}

absl::StatusOr<std::vector<std::string>> Simulation::Resolve(
    const std::string& host) {
  const WorkerRole role =
      host == "targets" ? WorkerRole::kTarget : WorkerRole::kDraft;
  const bool flaps =
      options_.flaps_per_mille > 0 &&
      network_.Draw(1000) < static_cast<uint64_t>(options_.flaps_per_mille);
  const uint64_t how = flaps ? network_.Draw(3) : 3;
  network_.Log("lookup", {static_cast<int64_t>(how)});
  if (how == 0) return absl::UnavailableError("no name server");
  std::vector<std::string> addresses;
  for (const auto& [address, worker] : workers_) {
    if (worker->options().role != role || !worker->alive() ||
        worker->draining() || how == 1) {
      continue;
    }
    if (how == 2 && network_.Draw(2) == 0) continue;
    addresses.push_back(address);
  }
  return addresses;
}

void Simulation::MakeClients() {
  for (int i = 0; i < options_.shared_prompts; ++i) {
    shared_prompts_.emplace_back();
    for (int k = 0; k < options_.shared_prompt_tokens; ++k) {
      shared_prompts_.back().push_back(
          static_cast<TokenId>(259 + network_.Draw(40)));
    }
  }
  for (int i = 0; i < options_.sessions; ++i) {
    SimulatedClientOptions client = options_.client;
    client.id = i;
    if (!shared_prompts_.empty()) {
      client.shared_prompt =
          &shared_prompts_[network_.Draw(shared_prompts_.size())];
    }
    const size_t own = static_cast<size_t>(i) % coordinators_.size();
    clients_.push_back(std::make_unique<SimulatedClient>(
        &network_,
        [this, own] {
          return options_.has_store ? DrawCoordinator()
                                    : &coordinators_[own]->services;
        },
        &totals_, client));
    // After the workers are known.
    const MonotonicDuration wait(
        network_.Draw(static_cast<uint64_t>(options_.arrivals.count()) + 1));
    network_.After(std::chrono::milliseconds(200) + wait,
                   [it = clients_.back().get()] { it->Begin(); });
  }
}

void Simulation::Repeat(double per_second, void (Simulation::*fault)()) {
  if (per_second <= 0 || sessions_over_) return;
  const std::chrono::duration<double> period(1 / per_second);
  network_.After(
      network_.Jittered(std::chrono::duration_cast<MonotonicDuration>(period)),
      [this, per_second, fault] {
        if (sessions_over_) return;
        (this->*fault)();
        Repeat(per_second, fault);
      });
}

SimulatedWorker* Simulation::DrawWorker() {
  std::vector<SimulatedWorker*> ready;
  int targets = 0;
  for (const auto& [address, worker] : workers_) {
    if (!worker->alive() || worker->draining()) continue;
    ready.push_back(worker.get());
    targets += worker->options().role == WorkerRole::kTarget ? 1 : 0;
  }
  if (ready.empty()) return nullptr;
  SimulatedWorker* const worker = ready[network_.Draw(ready.size())];
  // Half of the targets are always there.
  const bool is_target = worker->options().role == WorkerRole::kTarget;
  return is_target && 2 * targets <= options_.targets ? nullptr : worker;
}

void Simulation::KillOne() {
  SimulatedWorker* const worker = DrawWorker();
  if (worker == nullptr) return;
  worker->Die();
  network_.After(network_.Jittered(kRestartAfter), [this, worker] {
    const bool is_draft = worker->options().role == WorkerRole::kDraft;
    if (is_draft && drafters_dead_) return;
    if (!worker->alive()) worker->Start();
  });
}

void Simulation::DrainOne() {
  SimulatedWorker* const worker = DrawWorker();
  if (worker == nullptr) return;
  worker->Drain(options_.drain_timeout);
  const WorkerRole role = worker->options().role;
  network_.After(network_.Jittered(kRestartAfter), [this, role] {
    if (role == WorkerRole::kTarget || !drafters_dead_) AddWorker(role);
  });
}

void Simulation::AddOne() {
  AddWorker(network_.Draw(4) == 0 && !drafters_dead_ ? WorkerRole::kDraft
                                                     : WorkerRole::kTarget);
}

void Simulation::KillDrafters() {
  drafters_dead_ = true;
  for (const auto& [address, worker] : workers_) {
    if (worker->options().role == WorkerRole::kDraft) worker->Die();
  }
}

void Simulation::AddCoordinator() {
  coordinators_.push_back(std::make_unique<Coordinator>(
      this, static_cast<uint32_t>(network_.Draw(1u << 31))));
}

ClientServices* Simulation::DrawCoordinator() {
  std::vector<Coordinator*> alive;
  for (const std::unique_ptr<Coordinator>& it : coordinators_) {
    if (!it->is_dead) alive.push_back(it.get());
  }
  return alive.empty() ? nullptr
                       : &alive[network_.Draw(alive.size())]->services;
}

void Simulation::KillCoordinator() {
  const ClientServices* const services = DrawCoordinator();
  for (const std::unique_ptr<Coordinator>& it : coordinators_) {
    if (&it->services != services) continue;
    network_.Log("coordinator", {});
    it->is_dead = true;
    it->store.Die();
    for (const auto& client : clients_) client->OnDeath(services);
    it->left_turns.Stop();
    network_.After(network_.Jittered(kCoordinatorRestartAfter),
                   [this] { AddCoordinator(); });
    return;
  }
}

std::string Simulation::Leftovers() const {
  for (const auto& [address, worker] : workers_) {
    if (worker->sequences() != 0 || worker->kv_pages_used() != 0) {
      return absl::StrCat(address, " has ", worker->sequences(),
                          " sequences and ", worker->kv_pages_used(),
                          " pages left");
    }
  }
  for (const std::unique_ptr<Coordinator>& it : coordinators_) {
    if (it->quotas.turns() != 0) return "turns are left";
    if (it->pool.own_streams() != 0) return "streams are left";
  }
  return "";
}

SimulationResult Simulation::Run() {
  Repeat(options_.kills_per_s, &Simulation::KillOne);
  Repeat(options_.drains_per_s, &Simulation::DrainOne);
  Repeat(options_.adds_per_s, &Simulation::AddOne);
  Repeat(options_.coordinator_kills_per_s, &Simulation::KillCoordinator);
  if (options_.drafters_die_after.count() > 0) {
    network_.After(options_.drafters_die_after, [this] { KillDrafters(); });
  }
  SimulationResult result;
  while (totals_.sessions < options_.sessions && totals_.failure.empty() &&
         network_.NowUs() < kTimeMaxUs) {
    TANDEM_CHECK(network_.Step());
  }
  result.seconds = static_cast<double>(network_.NowUs()) / 1e6;
  result.failure = totals_.failure;
  for (const std::unique_ptr<SimulatedClient>& client : clients_) {
    if (!client->done() && result.failure.empty()) {
      result.failure = absl::StrCat("stuck: ", client->Where());
    }
  }
  Summarize(&result);
  sessions_over_ = true;
  const int64_t until_us = network_.NowUs() + kAfterUs;
  while (network_.NowUs() < until_us) TANDEM_CHECK(network_.Step());
  if (result.failure.empty()) result.failure = Leftovers();
  for (const std::unique_ptr<Coordinator>& it : coordinators_) it->pool.Stop();
  result.clients = std::move(totals_);
  result.events = network_.events_logged();
  result.digest = network_.Digest();
  return result;
}

void Simulation::Summarize(SimulationResult* result) const {
  result->coordinators_started = static_cast<int64_t>(coordinators_.size());
  double busy_us[2] = {0, 0};
  for (const auto& [address, worker] : workers_) {
    ++result->workers_started;
    result->drained_with += worker->drained_with();
    busy_us[worker->options().role == WorkerRole::kTarget ? 0 : 1] +=
        worker->busy_us();
  }
  const double all_us = result->seconds * 1e6;
  result->target_busy = busy_us[0] / (all_us * std::max(1, options_.targets));
  result->draft_busy = busy_us[1] / (all_us * std::max(1, options_.drafters));
}

}  // namespace tandem
