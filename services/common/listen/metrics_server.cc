#include "services/common/listen/metrics_server.h"

#include <poll.h>
#include <prometheus/text_serializer.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "engine/base/monotonic_clock.h"
#include "services/common/listen/http_answer.h"
#include "services/common/listen/inbound_limits.h"

namespace tandem {
namespace {

constexpr char kFlag[] = "--metrics-listen";

pollfd Polled(const Descriptor& descriptor, int events) {
  return {.fd = descriptor.number(),
          .events = static_cast<int16_t>(events),
          .revents = 0};
}

int MillisecondsUntil(absl::Time end) {
  const absl::Duration left =
      absl::Ceil(end - MonotonicNow(), absl::Milliseconds(1));
  return static_cast<int>(
      std::max(int64_t{0}, absl::ToInt64Milliseconds(left)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const MetricsFlags& flags, MetricsSource source) {
  TANDEM_RETURN_IF_ERROR(CheckMetricsFlags(flags));
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<ListeningSockets> sockets,
                          ListeningSockets::Open(kFlag, flags.listen));
  // The constructor is private.
  return std::unique_ptr<MetricsServer>(
      new MetricsServer(std::move(sockets), std::move(source)));
}

MetricsServer::MetricsServer(std::unique_ptr<ListeningSockets> sockets,
                             MetricsSource source)
    : sockets_(std::move(sockets)),
      source_(std::move(source)),
      descriptors_max_(InboundLimitsOf(PortUse::kOperators, ReadProcessLimits())
                           .descriptors),
      stop_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  TANDEM_CHECK(stop_.is_open());
  thread_ = std::thread([this] { Run(); });
}

MetricsServer::~MetricsServer() {
  TANDEM_CHECK(eventfd_write(stop_.number(), 1) == 0);
  thread_.join();
}

void MetricsServer::Run() {
  while (RunOnce()) {
  }
}

bool MetricsServer::RunOnce() {
  const bool may_accept = MonotonicNow() >= accept_from_;
  absl::Time end = may_accept ? absl::InfiniteFuture() : accept_from_;
  std::vector<pollfd> polled = {Polled(stop_, POLLIN)};
  for (const Connection& connection : connections_) {
    const bool sends = !connection.answer.empty();
    polled.push_back(Polled(connection.socket, sends ? POLLOUT : POLLIN));
    end = std::min(end, connection.end);
  }
  if (may_accept) {
    for (const Descriptor& socket : sockets_->sockets()) {
      polled.push_back(Polled(socket, POLLIN));
    }
  }
  constexpr int kForever = -1;
  const int limit_ms =
      end == absl::InfiniteFuture() ? kForever : MillisecondsUntil(end);
  if (poll(polled.data(), polled.size(), limit_ms) < 0) return true;  // EINTR
  if (polled[0].revents != 0) return false;
  const absl::Time now = MonotonicNow();
  size_t at = 1;  // in `polled`
  for (Connection& connection : connections_) {
    const bool is_ready = polled[at++].revents != 0;
    const bool goes_on =
        connection.end > now && (!is_ready || Serve(&connection));
    if (!goes_on) connection.socket = Descriptor();
  }
  std::erase_if(connections_, [](const Connection& connection) {
    return !connection.socket.is_open();
  });
  for (size_t i = 0; at < polled.size(); ++i, ++at) {
    if (polled[at].revents != 0) Accept(sockets_->sockets()[i]);
  }
  return true;
}

void MetricsServer::Accept(const Descriptor& listener) {
  absl::StatusOr<std::optional<Accepted>> accepted = AcceptConnection(listener);
  const absl::Time now = MonotonicNow();
  if (!accepted.ok()) {
    accept_from_ = now + kAcceptPause;
    return;
  }
  if (!accepted->has_value()) return;
  Descriptor socket = std::move((*accepted)->socket);
  if (socket.number() >= descriptors_max_) return;
  if (connections_.size() == kMetricsConnectionsMax) connections_.pop_front();
  connections_.push_back(
      {.socket = std::move(socket), .end = now + kMetricsTimeLimit});
}

bool MetricsServer::Serve(Connection* connection) {
  return connection->answer.empty() ? Receive(connection) : Send(connection);
}

bool MetricsServer::Receive(Connection* connection) {
  char bytes[kHttpRequestBytesMax];
  const ssize_t count =
      recv(connection->socket.number(), bytes, sizeof(bytes), 0);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0) return false;  // also one that sends nothing more
  if (connection->is_answered) return true;
  connection->request.append(bytes, static_cast<size_t>(count));
  if (!IsHttpRequestComplete(connection->request)) return true;
  const auto may_read = [this](absl::string_view authorization) {
    return source_.may_read == nullptr || source_.may_read(authorization);
  };
  const auto metrics = [this] {
    source_.refresh();
    return prometheus::TextSerializer().Serialize(source_.registry->Collect());
  };
  connection->answer =
      AnswerHttpRequest(connection->request, absl::Now(),
                        {.may_read = may_read, .metrics = metrics});
  connection->request.clear();
  connection->is_answered = true;
  return Send(connection);
}

bool MetricsServer::Send(Connection* connection) {
  const std::string& answer = connection->answer;
  const ssize_t count =
      send(connection->socket.number(), answer.data() + connection->sent,
           answer.size() - connection->sent, MSG_NOSIGNAL);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  connection->sent += static_cast<size_t>(count);
  if (connection->sent < answer.size()) return true;
  connection->answer.clear();
  return shutdown(connection->socket.number(), SHUT_WR) == 0;
}

}  // namespace tandem
