#include "services/common/listen/connection_acceptor.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>

#include <optional>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/monotonic_clock.h"
#include "services/common/metric_families.h"

namespace tandem {
namespace {

// The bounds' names in the metric and in the log.
constexpr char kDescriptors[] = "descriptors";
constexpr char kConnections[] = "connections";
constexpr char kPeer[] = "peer";

// From one socket before the others have their turn.
constexpr int kAcceptedInARowMax = 64;

}  // namespace

ConnectionCounters* MakeRefusedConnections(prometheus::Registry* registry) {
  ConnectionCounters& refused = MakeCounters(
      *registry, "tandem_connections_refused_total",
      "Connections that were closed at once, by the bound that was reached.");
  for (const char* bound : {kDescriptors, kConnections, kPeer}) {
    refused.Add({{"bound", bound}});
  }
  return &refused;
}

ConnectionAcceptor::ConnectionAcceptor(
    std::unique_ptr<ListeningSockets> sockets, const AcceptorOptions& options,
    std::function<void(Descriptor)> take)
    : options_(options),
      take_(std::move(take)),
      sockets_(std::move(sockets)),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      connections_({.all = options.limits.connections,
                    .of_peer = options.limits.connections_of_peer}) {
  TANDEM_CHECK(stop_.is_open());
  thread_ = std::thread([this] { Run(); });
}

void ConnectionAcceptor::Stop() {
  if (!thread_.joinable()) return;
  TANDEM_CHECK(eventfd_write(stop_.number(), 1) == 0);
  thread_.join();
  sockets_.reset();
}

void ConnectionAcceptor::Run() {
  std::vector<pollfd> polled;
  for (const Descriptor& socket : sockets_->sockets()) {
    polled.push_back({.fd = socket.number(), .events = POLLIN, .revents = 0});
  }
  polled.push_back({.fd = stop_.number(), .events = POLLIN, .revents = 0});
  while (true) {
    constexpr int kForever = -1;
    if (poll(polled.data(), polled.size(), kForever) < 0) continue;  // EINTR
    if (polled.back().revents != 0) return;
    for (size_t i = 0; i + 1 < polled.size(); ++i) {
      if (polled[i].revents != 0) AcceptFrom(sockets_->sockets()[i]);
    }
  }
}

void ConnectionAcceptor::AcceptFrom(const Descriptor& listener) {
  bool is_full = false;
  for (int i = 0; i < kAcceptedInARowMax; ++i) {
    absl::StatusOr<std::optional<Accepted>> accepted =
        AcceptConnection(listener);
    if (!accepted.ok()) {
      Refuse(kDescriptors);
      is_full = true;
      break;
    }
    if (!accepted->has_value()) break;
    is_full |= Admit(**std::move(accepted)) == Room::kForNobody;
  }
  // Who is refused comes again at once, and the time that this takes is that of
  // those who are served.
  if (is_full) Pause();
}

ConnectionAcceptor::Room ConnectionAcceptor::Admit(Accepted connection) {
  // The lowest free number was given: all below are taken.
  if (connection.socket.number() >= options_.limits.descriptors) {
    Refuse(kDescriptors);
    return Room::kForNobody;
  }
  switch (connections_.Admit(connection.socket.number(), connection.peer,
                             MonotonicNow())) {
    case LiveConnections::Verdict::kAdmitted:
      take_(std::move(connection.socket));
      return Room::kForOthers;
    case LiveConnections::Verdict::kTooMany:
      Refuse(kConnections);
      return Room::kForNobody;
    case LiveConnections::Verdict::kTooManyOfPeer:
      Refuse(kPeer);
      return Room::kForOthers;
  }
  TANDEM_CHECK(false);
}

void ConnectionAcceptor::Refuse(const char* bound) {
  if (options_.refused != nullptr) {
    options_.refused->Add({{"bound", bound}}).Increment();
  }
  const std::optional<int64_t> left_out = refusal_lines_.Admit(MonotonicNow());
  if (!left_out.has_value()) return;
  spdlog::warn(
      "{}: {} connections refused since the last such line, now by the bound "
      "of {}; {} are open",
      sockets_->address(), *left_out + 1, bound, connections_.size());
}

void ConnectionAcceptor::Pause() {
  pollfd polled = {.fd = stop_.number(), .events = POLLIN, .revents = 0};
  (void)poll(&polled, 1,
             static_cast<int>(absl::ToInt64Milliseconds(kAcceptPause)));
}

}  // namespace tandem
