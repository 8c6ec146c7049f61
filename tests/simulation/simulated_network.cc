#include "tests/simulation/simulated_network.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace tandem {

SimulatedNetwork::SimulatedNetwork(const NetworkOptions& options)
    : options_(options), loop_(&clock_), random_(options.seed) {}

int64_t SimulatedNetwork::NowUs() const {
  const MonotonicDuration since =
      Now() - MonotonicTime() - std::chrono::hours(1);
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

void SimulatedNetwork::After(MonotonicDuration delay,
                             EventLoop::Closure closure) {
  loop_.SetTimer(Now() + delay, std::move(closure));
}

void SimulatedNetwork::Send(Wire* wire, EventLoop::Closure closure) {
  const uint64_t range = static_cast<uint64_t>(
      (options_.latency_max - options_.latency_min).count() + 1);
  const MonotonicDuration latency =
      options_.latency_min + MonotonicDuration(Draw(range));
  wire->last_arrival = std::max(wire->last_arrival, Now() + latency);
  loop_.SetTimer(wire->last_arrival, std::move(closure));
}

MonotonicDuration SimulatedNetwork::Jittered(MonotonicDuration duration) {
  return duration / 2 +
         MonotonicDuration(Draw(static_cast<uint64_t>(duration.count()) + 1));
}

bool SimulatedNetwork::DrawLoss() {
  return options_.losses_per_million > 0 &&
         Draw(1000000) < static_cast<uint64_t>(options_.losses_per_million);
}

void SimulatedNetwork::Log(absl::string_view what,
                           std::initializer_list<int64_t> numbers) {
  ++events_logged_;
  std::string line(what);
  const auto append = [&line](int64_t number) {
    line.append(reinterpret_cast<const char*>(&number), sizeof(number));
  };
  append(NowUs());
  for (const int64_t number : numbers) append(number);
  digest_.AddString(line);
}

bool SimulatedNetwork::Step() {
  if (loop_.RunReady()) return true;
  const std::optional<MonotonicTime> next = loop_.NextTimer();
  if (!next.has_value()) return false;
  clock_.now = std::max(clock_.now, *next);
  return true;
}

}  // namespace tandem
