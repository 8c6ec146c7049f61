// What all parts of a simulation share: one event loop over a clock that only
// the simulation moves, one generator of random numbers, the network's delays,
// and a digest of all that happened. So a seed decides everything. Owned by the
// simulation; one thread.

#ifndef TANDEM_TESTS_SIMULATION_SIMULATED_NETWORK_H_
#define TANDEM_TESTS_SIMULATION_SIMULATED_NETWORK_H_

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/hash.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

struct NetworkOptions {
  uint64_t seed = 1;
  // One way.
  MonotonicDuration latency_min = std::chrono::microseconds(80);
  MonotonicDuration latency_max = std::chrono::microseconds(250);
  // Of a million messages to or from a worker, so many break their stream.
  int losses_per_million = 0;
};

class SimulatedNetwork {
 public:
  // One direction of one connection: messages arrive in order.
  struct Wire {
    MonotonicTime last_arrival;
  };

  explicit SimulatedNetwork(const NetworkOptions& options);

  EventLoop* loop() { return &loop_; }
  MonotonicTime Now() const { return clock_.Now(); }
  // Since the beginning.
  int64_t NowUs() const;

  void After(MonotonicDuration delay, EventLoop::Closure closure);
  // Runs `closure` when the message has arrived.
  void Send(Wire* wire, EventLoop::Closure closure);

  // Uniform in [0, below); below at least 1.
  uint64_t Draw(uint64_t below) { return random_() % below; }
  // From half to one and a half times.
  MonotonicDuration Jittered(MonotonicDuration duration);
  bool DrawLoss();

  // Adds to the digest: what happened, now, and to whom.
  void Log(absl::string_view what, std::initializer_list<int64_t> numbers);
  int64_t events_logged() const { return events_logged_; }
  // Once, at the end.
  std::string Digest() { return digest_.HexDigest(); }

  // Runs what is due, or moves the clock to the next timer; false where nothing
  // will ever happen again.
  bool Step();

 private:
  class ManualClock : public Clock {
   public:
    MonotonicTime Now() const override { return now; }
    MonotonicTime now = MonotonicTime() + std::chrono::hours(1);
  };

  const NetworkOptions options_;
  ManualClock clock_;
  EventLoop loop_;
  std::mt19937_64 random_;
  Sha256 digest_;
  int64_t events_logged_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SIMULATION_SIMULATED_NETWORK_H_
