// A server of HTTP with a handler that answers as a test says, and clients that
// send bytes as they are.

#ifndef TANDEM_TESTS_SERVICES_GATEWAY_HTTP_TEST_SERVER_H_
#define TANDEM_TESTS_SERVICES_GATEWAY_HTTP_TEST_SERVER_H_

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "engine/base/descriptor.h"
#include "services/common/address.h"
#include "services/gateway/http/http_server.h"

namespace tandem::gateway {

// Events that a test gives one by one.
class ScriptedEvents final : public EventSource {
 public:
  void Next(Done done) override {
    absl::MutexLock lock(&mutex_);
    ++asked_;
    waiting_ = std::move(done);
  }
  // Answers a Next that waits, as every source does at some time.
  void Leave() override {
    Done done;
    {
      absl::MutexLock lock(&mutex_);
      left_ = true;
      done = std::exchange(waiting_, nullptr);
    }
    if (done) done(std::nullopt);
  }
  std::string StopText() const override { return "stopped"; }

  // Answers a Next, also one that is still to come, but none after Leave;
  // nothing: the end.
  void Give(std::optional<std::string> event) {
    Done done;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &ScriptedEvents::IsAsked));
      done = std::exchange(waiting_, nullptr);
    }
    if (done) done(std::move(event));
  }
  int asked() const {
    absl::MutexLock lock(&mutex_);
    return asked_;
  }
  bool left() const { return left_; }

 private:
  bool IsAsked() const { return waiting_ != nullptr || left_; }

  mutable absl::Mutex mutex_;
  Done waiting_;
  int asked_ = 0;
  std::atomic<bool> left_ = false;
};

class ScriptedHandler final : public HttpHandler {
 public:
  void Handle(HttpRequest request,
              std::shared_ptr<Exchange> exchange) override {
    ++requests;
    answer(std::move(request), std::move(exchange));
  }
  HttpResponse Refuse(int status, const std::string& message) override {
    return {.status = status, .content_type = "text/plain", .body = message};
  }

  // By default: method, path and body.
  std::function<void(HttpRequest, std::shared_ptr<Exchange>)> answer =
      [](const HttpRequest& request,
         const std::shared_ptr<Exchange>& exchange) {
        exchange->Answer(
            {.body = absl::StrCat(request.method, " ", request.path, " ",
                                  request.body)});
      };
  std::atomic<int> requests = 0;
};

class RawClient {
 public:
  explicit RawClient(const std::string& address, int receive_bytes = 0)
      : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_bytes > 0) {
      (void)setsockopt(socket_.number(), SOL_SOCKET, SO_RCVBUF, &receive_bytes,
                       sizeof(receive_bytes));
    }
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(ParseHostPort(address)->port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    TANDEM_CHECK(connect(socket_.number(), reinterpret_cast<sockaddr*>(&to),
                         sizeof(to)) == 0);
  }

  void Send(const std::string& bytes) {
    ASSERT_EQ(send(socket_.number(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  // Until what was received ends with `end`; less where the server closes.
  std::string ReceiveUntil(const std::string& end) {
    std::string received;
    char byte = 0;
    while (!(received.size() >= end.size() &&
             received.compare(received.size() - end.size(), end.size(), end) ==
                 0) &&
           recv(socket_.number(), &byte, 1, 0) == 1) {
      received += byte;
    }
    return received;
  }
  std::string ReceiveAll() {
    std::string received;
    char bytes[4096];
    ssize_t count = 0;
    while ((count = recv(socket_.number(), bytes, sizeof(bytes), 0)) > 0) {
      received.append(bytes, static_cast<size_t>(count));
    }
    return received;
  }
  void Close() { socket_ = Descriptor(); }

 private:
  Descriptor socket_;
};

class HttpServerFixture : public ::testing::Test {
 protected:
  void StartServer(const HttpLimits& limits = {}) {
    absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Start(
        {.flag = "--listen", .address = "127.0.0.1:0", .limits = limits},
        &handler_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  // The handler streams events_ from now on.
  void StreamEvents() {
    handler_.answer = [this](const HttpRequest&,
                             const std::shared_ptr<Exchange>& exchange) {
      exchange->Stream({.content_type = "text/event-stream"}, events_);
    };
  }
  // A test that hangs is ended by its runner.
  template <typename Condition>
  static void WaitFor(Condition condition) {
    while (!condition()) absl::SleepFor(absl::Milliseconds(1));
  }

  ScriptedHandler handler_;
  std::shared_ptr<ScriptedEvents> events_ = std::make_shared<ScriptedEvents>();
  std::unique_ptr<HttpServer> server_;
};

inline constexpr char kGet[] = "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n";

}  // namespace tandem::gateway

#endif  // TANDEM_TESTS_SERVICES_GATEWAY_HTTP_TEST_SERVER_H_
