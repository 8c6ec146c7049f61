#include "tests/engine/speculation/shared_passes.h"

#include <algorithm>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <utility>

#include "engine/base/check.h"

namespace tandem {
namespace {

constexpr double kReportUs = 100e3;
// A pass waits for those of the last one at most this long, and this share of a
// pass; a target waits for drafts this many of its passes.
constexpr double kGatherUs = 2000;
constexpr double kGatherShare = 0.15;
constexpr double kDraftPatience = 2;
constexpr double kLingerUs = 500;  // after the last draft
// Rows of prompts in a pass: as many as take this long, at least so many.
constexpr double kPromptUs = 250e3;
constexpr int kPromptRowsMin = 16;

// A request at a worker.
struct Request {
  int session = 0;
  int lacking = 0;  // rows beside drafts that were not run yet
  int passes = 1;   // those after the first have a row each
  int drafts = 0;   // rows of the first pass, beside the lacking ones
  double arrived_us = 0;
};

struct Worker {
  const std::function<double(double)>* cost_us = nullptr;
  std::vector<Request> queue;
  bool busy = false;
  double last_pass_us = 0;
  double waiting_since_us = 0;
  double ended_us = 0;     // of the last pass
  std::set<int> expected;  // sessions of the last pass that are not back
  double sequences = 1;
  CostCurve seen;
};

struct Session {
  SimulatedSession options;
  DraftPolicy* policy = nullptr;
  DraftPolicy::Seat seat = {};
  bool active = false;
  int left = 0;  // tokens of the turn
  int prompt_lacking = 0;
  int target_lacking = 0;
  int draft_lacking = 0;
  int drafted = 0;
  double sent_us = 0;
  double us = 0;
  double served_us = 0;
  bool is_timed = false;
};

class Simulation {
 public:
  Simulation(const SimulatedPair& pair, const SimulatedLoad& load,
             std::optional<int> fixed, uint32_t seed)
      : pair_(pair), load_(load), fixed_(fixed), random_(seed) {
    target_.cost_us = &pair_.target_us;
    drafter_.cost_us = &pair_.draft_us;
    int coordinators = 0;
    for (const SimulatedSession& session : load.sessions) {
      coordinators = std::max(coordinators, session.coordinator + 1);
    }
    for (int i = 0; i < coordinators; ++i) {
      policies_.push_back(std::make_unique<DraftPolicy>());
      result_.lengths.push_back(DraftPolicy::kFirstLength);
    }
    for (const SimulatedSession& options : load.sessions) {
      sessions_.push_back({.options = options});
      sessions_.back().policy = policies_[options.coordinator].get();
    }
  }

  SharedResult Run() {
    for (size_t i = 0; i < sessions_.size(); ++i) {
      // First turns are shortened, one session's more than the next one's.
      const int first =
          static_cast<int>((i + 1) * load_.output_tokens / sessions_.size());
      At(sessions_[i].options.from_us, [this, i, first] {
        StartTurn(static_cast<int>(i), std::max(first, 2));
      });
    }
    At(kReportUs, [this] { Report(); });
    while (!events_.empty() && events_.top().us < load_.duration_us) {
      const Event event = events_.top();
      events_.pop();
      now_us_ = event.us;
      event.then();
      TryStart();
    }
    return result_;
  }

 private:
  struct Event {
    double us = 0;
    int64_t number = 0;
    std::function<void()> then;
    bool operator<(const Event& other) const {
      return us != other.us ? us > other.us : number > other.number;
    }
  };

  void At(double us, std::function<void()> then) {
    events_.push({.us = us, .number = number_++, .then = std::move(then)});
  }
  double Noisy(double us) {
    std::normal_distribution<> normal(1, pair_.noise);
    return us * std::max(0.3, normal(random_));
  }

  void StartTurn(int index, int tokens) {
    Session& session = sessions_[index];
    session.active = now_us_ < session.options.until_us;
    if (!session.active) return;
    session.left = tokens;
    session.prompt_lacking = load_.prompt_tokens;
    session.target_lacking = load_.prompt_tokens;
    session.draft_lacking = load_.prompt_tokens;
    session.seat = {};
    session.is_timed = false;
    StartRound(index);
  }

  std::optional<int> FixedLength(const Session& session) const {
    return session.options.fixed.has_value() ? session.options.fixed : fixed_;
  }

  void StartRound(int index) {
    Session& session = sessions_[index];
    session.us = 0;
    session.served_us = 0;
    const std::optional<int> fixed = FixedLength(session);
    const int length =
        fixed.has_value()
            ? *fixed
            : session.policy->PlanRound(&session.seat, session.draft_lacking);
    if (length != session.policy->length()) ++result_.probe_rounds;
    session.drafted = std::min(length, session.left - 1);
    if (session.drafted == 0) {
      session.draft_lacking += 1;
      return SendVerify(index);
    }
    if (session.draft_lacking > 2) session.is_timed = false;
    Send(&drafter_, {.session = index,
                     .lacking = session.draft_lacking,
                     .passes = session.drafted});
  }

  void SendVerify(int index) {
    Session& session = sessions_[index];
    Send(&target_, {.session = index,
                    .lacking = session.target_lacking,
                    .drafts = session.drafted});
  }

  void Send(Worker* worker, Request request) {
    sessions_[request.session].sent_us = now_us_;
    At(now_us_ + Noisy(pair_.round_trip_us / 2), [this, worker, request] {
      if (worker->queue.empty()) worker->waiting_since_us = now_us_;
      worker->queue.push_back(request);
      worker->queue.back().arrived_us = now_us_;
      worker->expected.erase(request.session);
    });
  }

  // Whether the worker's pass may start now; wakes up when that may change.
  bool IsReady(Worker* worker) {
    if (worker->busy || worker->queue.empty()) return false;
    if (worker->expected.empty()) return true;
    const double until =
        worker->waiting_since_us +
        std::min(kGatherUs, kGatherShare * worker->last_pass_us);
    if (now_us_ >= until) return true;
    At(until, [] {});
    return false;
  }

  // Drafts come first where the workers share cores.
  bool WaitsForDrafts() {
    double until =
        target_.waiting_since_us + kDraftPatience * target_.last_pass_us;
    if (drafter_.queue.empty() && !drafter_.busy) {
      until = std::min(until, drafter_.ended_us + kLingerUs);
    }
    if (now_us_ >= until) return false;
    size_t plain = 0;
    size_t active = 0;
    for (const Request& request : target_.queue) plain += request.drafts == 0;
    for (const Session& session : sessions_) active += session.active;
    if (4 * plain >= 3 * active) return false;
    At(until, [] {});
    return true;
  }

  void TryStart() {
    const bool shares = pair_.takes_turns;
    if (!(shares && (drafter_.busy || target_.busy))) {
      const bool target_first =
          shares && !target_.queue.empty() && !WaitsForDrafts();
      if (!target_first && IsReady(&drafter_)) StartPass(&drafter_);
    }
    if (!(shares && (drafter_.busy || target_.busy)) && IsReady(&target_) &&
        !(shares && WaitsForDrafts())) {
      StartPass(&target_);
    }
  }

  void StartPass(Worker* worker) {
    int rows = 0;
    int prompt_left = kPromptRowsMin;
    while ((*worker->cost_us)(2 * prompt_left) < kPromptUs) prompt_left *= 2;
    auto batch = std::make_shared<std::vector<Request>>();
    std::vector<Request> staying;
    int waiting = 0;
    for (Request& request : worker->queue) {
      if (request.lacking > 2) {
        const int chunk = std::min(request.lacking, prompt_left);
        prompt_left -= chunk;
        rows += chunk;
        request.lacking -= chunk;
        if (request.lacking > 0) {
          staying.push_back(request);
          continue;
        }
      } else {
        rows += request.lacking;
        ++waiting;
      }
      rows += request.drafts;
      request.lacking = 1;
      request.drafts = 0;
      batch->push_back(request);
    }
    worker->queue = std::move(staying);
    worker->expected.clear();
    for (const Request& request : *batch) {
      worker->expected.insert(request.session);
    }
    worker->busy = true;
    if (waiting > 0) worker->sequences += 0.2 * (waiting - worker->sequences);
    const double us = Noisy((*worker->cost_us)(rows));
    worker->seen.Add(rows, us);
    worker->last_pass_us = us;
    At(now_us_ + us, [this, worker, batch] { EndPass(worker, *batch); });
  }

  void EndPass(Worker* worker, const std::vector<Request>& batch) {
    worker->busy = false;
    worker->ended_us = now_us_;
    worker->waiting_since_us = now_us_;
    for (Request request : batch) {
      if (--request.passes > 0) {
        worker->queue.push_back(request);
        worker->expected.erase(request.session);
        continue;
      }
      Session& session = sessions_[request.session];
      session.served_us += now_us_ - request.arrived_us;
      At(now_us_ + Noisy(pair_.round_trip_us / 2), [this, worker, request] {
        Session& answered = sessions_[request.session];
        answered.us += now_us_ - answered.sent_us;
        if (worker == &drafter_) {
          SendVerify(request.session);
        } else {
          EndRound(request.session);
        }
      });
    }
  }

  void EndRound(int index) {
    Session& session = sessions_[index];
    std::uniform_real_distribution<> uniform(0, 1);
    int accepted = 0;
    double expected = 1;
    double all_right = 1;
    for (int i = 0; i < session.drafted; ++i) {
      all_right *= session.options.chance;
      expected += all_right;
      if (accepted == i && uniform(random_) < session.options.chance) {
        ++accepted;
      }
    }
    ++result_.rounds;
    result_.tokens += expected;
    session.left -= 1 + accepted;
    session.target_lacking = 1;
    if (session.drafted > 0) {
      session.draft_lacking = accepted == session.drafted ? 2 : 1;
    }
    session.policy->OnRound(
        &session.seat, {.source = session.drafted > 0 ? DraftSource::kModel
                                                      : DraftSource::kNone,
                        .drafted = session.drafted,
                        .accepted = accepted,
                        .follows = !session.options.fixed.has_value(),
                        .us = session.is_timed ? session.us : 0,
                        .served_us = session.is_timed ? session.served_us : 0});
    session.is_timed = true;
    if (session.left > 0) return StartRound(index);
    session.policy->OnTurn(&session.seat, load_.prompt_tokens,
                           load_.output_tokens);
    session.active = false;
    target_.expected.erase(index);
    At(now_us_ + Noisy(pair_.round_trip_us),
       [this, index] { StartTurn(index, load_.output_tokens); });
  }

  void Report() {
    const auto active =
        std::count_if(sessions_.begin(), sessions_.end(),
                      [](const Session& session) { return session.active; });
    for (size_t i = 0; i < policies_.size(); ++i) {
      policies_[i]->OnDraftReport(
          std::make_shared<const CostCurve>(drafter_.seen));
      policies_[i]->OnTargetReport(
          std::make_shared<const CostCurve>(target_.seen),
          {.sequences = target_.sequences,
           .streams = static_cast<double>(active),
           .takes_turns = pair_.takes_turns});
      const int length = policies_[i]->length();
      if (std::exchange(result_.lengths[i], length) != length) {
        ++result_.changes;
      }
    }
    At(now_us_ + kReportUs, [this] { Report(); });
  }

  const SimulatedPair& pair_;
  const SimulatedLoad& load_;
  const std::optional<int> fixed_;
  std::mt19937 random_;
  double now_us_ = 0;
  int64_t number_ = 0;
  std::priority_queue<Event> events_;
  Worker target_;
  Worker drafter_;
  std::vector<Session> sessions_;
  std::vector<std::unique_ptr<DraftPolicy>> policies_;
  SharedResult result_;
};

}  // namespace

SharedResult RunShared(const SimulatedPair& pair, const SimulatedLoad& load,
                       std::optional<int> fixed, uint32_t seed) {
  return Simulation(pair, load, fixed, seed).Run();
}

}  // namespace tandem
