#include "tools/load/load_run.h"

#include <algorithm>
#include <atomic>

#include "absl/time/time.h"
#include "engine/base/check.h"

namespace tandem::load {

// A place for one session at a time, and the observer of its turns.
class LoadRun::Slot final : public TurnObserver {
 public:
  explicit Slot(LoadRun* run) : run_(run) {}

  void OnTokens(int64_t count) override {
    if (cancelled.load()) return;  // the run's time is over
    run_->recorder_->OnTokens(Clock::now(), count, &times);
  }

  void OnEnd(const TurnOutcome& outcome) override {
    run_->recorder_->OnEnd(Clock::now(), outcome, times, cancelled.load());
    failed = !outcome.status.ok();
    run_->Enqueue(this);
  }

  // The run's thread's, but for `times` and `failed` while a turn is under
  // way: those are the observer's then.
  std::unique_ptr<LoadSession> session;
  int64_t session_number = 0;
  int next_turn = 0;
  bool running = false;
  TurnTimes times;
  bool failed = false;
  std::atomic<bool> cancelled{false};

 private:
  LoadRun* const run_;
};

LoadRun::LoadRun(const LoadOptions& options, const TurnSource& source,
                 LoadTarget* target,
                 std::function<void(const LoadProgress&)> on_progress)
    : options_(options),
      source_(source),
      target_(target),
      on_progress_(std::move(on_progress)),
      arrivals_(options.rate, options.seed) {
  TANDEM_CHECK(options_.requests > 0 || options_.duration.count() > 0);
}

LoadRun::~LoadRun() = default;

void LoadRun::Stop() {
  absl::MutexLock lock(&mutex_);
  stop_ = true;
}

void LoadRun::Enqueue(Slot* slot) {
  absl::MutexLock lock(&mutex_);
  ended_.push_back(slot);
}

LoadFigures LoadRun::Run() {
  began_ = Clock::now();
  next_progress_ = began_ + kProgressInterval;
  recorder_ = std::make_unique<LoadRecorder>(began_ + options_.warmup);
  StartSessions();
  bool stop_asked = false;
  while (true) {
    const Clock::time_point now = Clock::now();
    HandleEnds(now);
    const bool time_is_over =
        options_.duration.count() > 0 && now >= began_ + options_.duration;
    if (stop_asked || time_is_over) BeginStopping(now);
    StartDueTurns(now);
    if (now >= next_progress_) Tell(now);
    if (now >= abort_at_) {
      abort_at_ = Clock::time_point::max();
      for (const auto& slot : slots_) {
        if (slot->running) slot->session->Abort();
      }
    }
    if (IsOver()) break;
    stop_asked = WaitUntil(NextWake(now));
  }
  for (const auto& slot : slots_) slot->session.reset();
  return recorder_->FiguresAt(std::min(Clock::now(), stopped_at_));
}

void LoadRun::StartSessions() {
  if (options_.rate > 0) {
    next_arrival_ = began_ + arrivals_.Next();
    return;
  }
  for (int i = 0; i < options_.sessions; ++i) {
    slots_.push_back(std::make_unique<Slot>(this));
    due_.push({.when = began_, .slot = slots_.back().get()});
  }
}

bool LoadRun::MayStart() const {
  return stopped_at_ == Clock::time_point::max() &&
         (options_.requests == 0 || turns_started_ < options_.requests);
}

bool LoadRun::IsOver() const { return !MayStart() && turns_running_ == 0; }

void LoadRun::StartDueTurns(Clock::time_point now) {
  while (next_arrival_ <= now && MayStart()) {
    Arrive(next_arrival_);
    next_arrival_ = began_ + arrivals_.Next();
  }
  while (!due_.empty() && due_.top().when <= now && MayStart()) {
    Slot* const slot = due_.top().slot;
    due_.pop();
    StartTurn(slot, now);
  }
}

void LoadRun::Arrive(Clock::time_point when) {
  Slot* slot = nullptr;
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else if (static_cast<int>(slots_.size()) < options_.sessions_max) {
    slots_.push_back(std::make_unique<Slot>(this));
    slot = slots_.back().get();
  } else {
    recorder_->OnSkipped(when);
    return;
  }
  // Its time counts from the arrival, also where the load itself was late.
  StartTurn(slot, when);
}

void LoadRun::StartTurn(Slot* slot, Clock::time_point began) {
  if (slot->session == nullptr) {
    slot->session = target_->NewSession();
    slot->session_number = sessions_begun_++;
    slot->next_turn = 0;
  }
  const LoadTurn turn = source_.Make(slot->session_number, slot->next_turn++);
  slot->times = {.began = began,
                 .last_event = began,
                 .has_tokens = false,
                 .prompt_tokens = static_cast<int64_t>(turn.prompt.size())};
  slot->failed = false;
  slot->running = true;
  ++turns_started_;
  ++turns_running_;
  slot->session->Start(turn, slot);
}

void LoadRun::HandleEnds(Clock::time_point now) {
  std::deque<Slot*> ended;
  {
    absl::MutexLock lock(&mutex_);
    ended.swap(ended_);
  }
  for (Slot* slot : ended) HandleEnd(slot, now);
}

void LoadRun::HandleEnd(Slot* slot, Clock::time_point now) {
  slot->running = false;
  --turns_running_;
  const bool session_is_over =
      slot->failed || slot->next_turn >= options_.turns;
  if (session_is_over) slot->session.reset();
  if (session_is_over && options_.rate > 0) {
    free_slots_.push_back(slot);
    return;
  }
  const Clock::duration pause =
      slot->failed ? std::max(kPauseAfterFailure, options_.think)
                   : options_.think;
  due_.push({.when = now + pause, .slot = slot});
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

void LoadRun::Tell(Clock::time_point now) {
  next_progress_ = now + kProgressInterval;
  if (!on_progress_) return;
  on_progress_({.seconds = std::chrono::duration<double>(now - began_).count(),
                .turns_running = turns_running_,
                .figures = recorder_->FiguresAt(now)});
}

Clock::time_point LoadRun::NextWake(Clock::time_point now) const {
  Clock::time_point wake = std::min(next_progress_, abort_at_);
  if (!MayStart()) return wake;
  if (options_.duration.count() > 0) {
    wake = std::min(wake, began_ + options_.duration);
  }
  if (!due_.empty()) wake = std::min(wake, due_.top().when);
  return std::max(now, std::min(wake, next_arrival_));
}

bool LoadRun::WaitUntil(Clock::time_point when) {
  const absl::Duration wait =
      absl::FromChrono(std::max(Clock::duration{0}, when - Clock::now()));
  const bool stopping = stopped_at_ != Clock::time_point::max();
  const auto has_event = [this, stopping]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                               return !ended_.empty() || (stop_ && !stopping);
                             };
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(&has_event), wait);
  return stop_;
}

}  // namespace tandem::load
