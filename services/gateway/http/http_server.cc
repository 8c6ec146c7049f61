#include "services/gateway/http/http_server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/memory/memory.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/monotonic_clock.h"
#include "services/common/listen/inbound_limits.h"
#include "services/common/listen/listening_sockets.h"
#include "services/gateway/http/http_connection.h"

namespace tandem::gateway {

class HttpServer::Loop {
 public:
  Loop(const HttpServerOptions& options, HttpHandler* handler,
       std::unique_ptr<ListeningSockets> sockets)
      : address_(sockets->address()),
        context_(kIoThreads),
        work_(context_.get_executor()),
        shared_{.handler = handler,
                .limits = options.limits,
                .bodies = ByteBudget(options.limits.body_bytes),
                .on_destroyed = [this](HttpConnection* connection) {
                  Forget(connection);
                }} {
    for (int i = 0; i < kIoThreads; ++i) {
      threads_.emplace_back([this] { context_.run(); });
    }
    acceptor_ = std::make_unique<ConnectionAcceptor>(
        std::move(sockets),
        AcceptorOptions{
            .limits = InboundLimitsOf(PortUse::kClients, ReadProcessLimits()),
            .refused = options.refused},
        [this](Descriptor socket) { Take(std::move(socket)); });
  }

  ~Loop() { Stop(absl::ZeroDuration()); }

  const std::string& address() const { return address_; }

  void Stop(absl::Duration drain) {
    if (threads_.empty()) return;
    acceptor_->Stop();
    ForAll([](HttpConnection* connection) { connection->Drain(); });
    if (!WaitUntilEmpty(drain)) {
      ForAll([](HttpConnection* connection) { connection->Cut(); });
      // Who still holds a connection has asked the coordinator something, and
      // each such call has a time limit.
      WaitUntilEmpty(absl::InfiniteDuration());
    }
    work_.reset();
    context_.stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void Take(Descriptor socket) {
    auto connection = std::make_shared<HttpConnection>(
        &context_, std::move(socket), &shared_);
    {
      absl::MutexLock lock(&mutex_);
      connections_.emplace(connection.get(), connection);
    }
    connection->Start();
  }

  void Forget(HttpConnection* connection) {
    absl::MutexLock lock(&mutex_);
    connections_.erase(connection);
    if (connections_.empty()) empty_.Notify();
  }

  template <typename Function>
  void ForAll(Function function) {
    // Whoever lets go of a connection last destroys it, which takes the lock.
    std::vector<std::shared_ptr<HttpConnection>> alive;
    {
      absl::MutexLock lock(&mutex_);
      for (const auto& [key, connection] : connections_) {
        alive.push_back(connection.lock());
      }
    }
    for (const std::shared_ptr<HttpConnection>& connection : alive) {
      if (connection != nullptr) function(connection.get());
    }
  }

  bool WaitUntilEmpty(absl::Duration limit) {
    absl::MutexLock lock(&mutex_);
    return empty_.Await(&mutex_, MonotonicNow() + limit,
                        [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
                          return connections_.empty();
                        });
  }

  const std::string address_;
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type>
      work_;
  HttpConnection::Shared shared_;
  std::vector<std::thread> threads_;
  absl::Mutex mutex_;
  std::unordered_map<HttpConnection*, std::weak_ptr<HttpConnection>>
      connections_ ABSL_GUARDED_BY(mutex_);
  TimedWait empty_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(
    const HttpServerOptions& options, HttpHandler* handler) {
  TANDEM_ASSIGN_OR_RETURN(
      std::unique_ptr<ListeningSockets> sockets,
      ListeningSockets::Open(options.flag, options.address));
  return absl::WrapUnique(new HttpServer(
      std::make_unique<Loop>(options, handler, std::move(sockets))));
}

HttpServer::HttpServer(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

HttpServer::~HttpServer() = default;

const std::string& HttpServer::address() const { return loop_->address(); }

void HttpServer::Stop(absl::Duration drain) { loop_->Stop(drain); }

}  // namespace tandem::gateway
