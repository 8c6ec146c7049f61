#include "tools/load/load_run.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/time/time.h"
#include "engine/base/check.h"

namespace tandem::load {
namespace {

int64_t Microseconds(Clock::duration duration) {
  return absl::ToInt64Microseconds(absl::FromChrono(duration));
}

}  // namespace

// A place for one session at a time, and the observer of its turns.
class LoadRun::Slot final : public TurnObserver {
 public:
  explicit Slot(LoadRun* run) : run_(run) {}

  // The turn began at `when`.
  void Begin(Clock::time_point when, int64_t prompt_tokens) {
    began_ = last_event_ = when;
    prompt_tokens_ = prompt_tokens;
    has_tokens_ = false;
    running = true;
  }

  void OnTokens(int64_t count) override {
    if (cancelled.load()) return;  // the run's time is over
    const Clock::time_point now = Clock::now();
    const int64_t gap_us = Microseconds(now - last_event_);
    const bool is_first = !std::exchange(has_tokens_, true);
    last_event_ = now;
    if (!run_->Counts(now)) return;
    absl::MutexLock lock(&run_->mutex_);
    run_->figures_.AddTokens(count, gap_us, is_first);
    if (is_first) run_->figures_.prompt_tokens += prompt_tokens_;
  }

  void OnEnd(const TurnOutcome& outcome) override {
    const Clock::time_point now = Clock::now();
    failed = !outcome.status.ok();
    absl::MutexLock lock(&run_->mutex_);
    run_->ended_.push_back(this);
    if (!run_->Counts(now)) return;
    LoadFigures& figures = run_->figures_;
    // What cancelling makes of a turn is no error of the server's, and its
    // length is none that the turn came to.
    if (!cancelled || !failed) figures.AddEnd(outcome);
    if (cancelled) {
      ++figures.turns_cut;
    } else if (!failed) {
      ++figures.turns_ended;
      figures.turn_us.Add(Microseconds(now - began_));
    }
  }

  // The run's thread's, but for `failed` while a turn is under way: that is the
  // observer's then.
  std::unique_ptr<LoadSession> session;
  int64_t session_number = 0;
  int next_turn = 0;
  bool running = false;
  bool failed = false;
  std::atomic<bool> cancelled{false};

 private:
  LoadRun* const run_;
  // The observer's.
  Clock::time_point began_;
  Clock::time_point last_event_;
  int64_t prompt_tokens_ = 0;
  bool has_tokens_ = false;
};

LoadRun::LoadRun(const LoadOptions& options, const TurnSource& source,
                 LoadTarget* target,
                 std::function<void(const LoadProgress&)> on_progress)
    : options_(options),
      source_(source),
      target_(target),
      on_progress_(std::move(on_progress)),
      arrivals_(options.seed) {
  TANDEM_CHECK(options_.requests > 0 || options_.duration.count() > 0);
}

LoadRun::~LoadRun() = default;

void LoadRun::Stop() {
  absl::MutexLock lock(&mutex_);
  stop_ = true;
}

LoadFigures LoadRun::Run() {
  began_ = Clock::now();
  next_progress_ = began_ + kProgressInterval;
  if (options_.rate > 0) PushArrivalAfter(began_);
  for (int i = 0; options_.rate == 0 && i < options_.sessions; ++i) {
    due_.emplace(began_, TakePlace());
  }
  bool stop_asked = false;
  while (true) {
    const Clock::time_point now = Clock::now();
    HandleEnds(now);
    const bool time_is_over =
        options_.duration.count() > 0 && now >= began_ + options_.duration;
    if (stop_asked || time_is_over) BeginStopping(now);
    StartDueTurns(now);
    if (now >= next_progress_) Report(now);
    for (const auto& slot : slots_) {
      if (now >= abort_at_ && slot->running) slot->session->Abort();
    }
    if (now >= abort_at_) abort_at_ = Clock::time_point::max();
    if (!MayStart() && turns_running_ == 0) break;
    stop_asked = Wait();
  }
  for (const auto& slot : slots_) slot->session.reset();
  return FiguresAt(std::min(Clock::now(), stopped_at_));
}

LoadFigures LoadRun::FiguresAt(Clock::time_point now) {
  const std::chrono::duration<double> time = now - began_ - options_.warmup;
  absl::MutexLock lock(&mutex_);
  figures_.seconds = std::max(0.0, time.count());
  return figures_;
}

void LoadRun::PushArrivalAfter(Clock::time_point when) {
  const std::chrono::duration<double> gap(
      std::exponential_distribution<double>(options_.rate)(arrivals_));
  due_.emplace(when + std::chrono::duration_cast<Clock::duration>(gap),
               nullptr);
}

bool LoadRun::MayStart() const {
  return stopped_at_ == Clock::time_point::max() &&
         (options_.requests == 0 || turns_started_ < options_.requests);
}

void LoadRun::StartDueTurns(Clock::time_point now) {
  while (!due_.empty() && due_.begin()->first <= now && MayStart()) {
    const auto [when, slot] = *due_.begin();
    due_.erase(due_.begin());
    if (slot != nullptr) {
      StartTurn(slot, now);
      continue;
    }
    PushArrivalAfter(when);
    // Its time counts from the arrival, also where the load itself was late.
    if (Slot* const place = TakePlace()) {
      StartTurn(place, when);
    } else if (Counts(when)) {
      absl::MutexLock lock(&mutex_);
      ++figures_.arrivals_skipped;
    }
  }
}

LoadRun::Slot* LoadRun::TakePlace() {
  const int limit =
      options_.rate > 0 ? options_.sessions_max : options_.sessions;
  if (free_slots_.empty()) {
    if (slots_.size() >= static_cast<size_t>(limit)) return nullptr;
    slots_.push_back(std::make_unique<Slot>(this));
    return slots_.back().get();
  }
  Slot* const slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

void LoadRun::StartTurn(Slot* slot, Clock::time_point began) {
  if (slot->session == nullptr) {
    slot->session = target_->NewSession();
    slot->session_number = sessions_begun_++;
    slot->next_turn = 0;
  }
  const LoadTurn turn = source_.Make(slot->session_number, slot->next_turn++);
  slot->Begin(began, static_cast<int64_t>(turn.prompt.size()));
  ++turns_started_;
  ++turns_running_;
  slot->session->Start(turn, slot);
}

void LoadRun::HandleEnds(Clock::time_point now) {
  std::vector<Slot*> ended;
  {
    absl::MutexLock lock(&mutex_);
    ended.swap(ended_);
  }
  for (Slot* const slot : ended) {
    slot->running = false;
    --turns_running_;
    const bool session_is_over =
        slot->failed || slot->next_turn >= options_.turns;
    if (session_is_over) slot->session.reset();
    if (session_is_over && options_.rate > 0) {
      free_slots_.push_back(slot);
      continue;
    }
    const Clock::duration pause =
        slot->failed ? std::max(kPauseAfterFailure, options_.think)
                     : options_.think;
    due_.emplace(now + pause, slot);
  }
}

void LoadRun::BeginStopping(Clock::time_point now) {
  if (stopped_at_ != Clock::time_point::max()) return;
  stopped_at_ = now;
  abort_at_ = now + kCancelGrace;
  for (const auto& slot : slots_) {
    if (!slot->running) continue;
    slot->cancelled = true;
    slot->session->Cancel();
  }
}

void LoadRun::Report(Clock::time_point now) {
  next_progress_ = now + kProgressInterval;
  if (!on_progress_) return;
  on_progress_({.seconds = std::chrono::duration<double>(now - began_).count(),
                .turns_running = turns_running_,
                .figures = FiguresAt(now)});
}

bool LoadRun::Wait() {
  Clock::time_point wake = std::min(next_progress_, abort_at_);
  if (MayStart() && options_.duration.count() > 0) {
    wake = std::min(wake, began_ + options_.duration);
  }
  if (MayStart() && !due_.empty()) wake = std::min(wake, due_.begin()->first);
  const bool stopping = stopped_at_ != Clock::time_point::max();
  const auto has_event = [this, stopping]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                               return !ended_.empty() || (stop_ && !stopping);
                             };
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(
      absl::Condition(&has_event),
      absl::FromChrono(std::max(Clock::duration{0}, wake - Clock::now())));
  return stop_;
}

}  // namespace tandem::load
