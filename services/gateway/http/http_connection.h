// One connection of HTTP/1.1: reads a request, has it answered, sends the
// answer, and so on until one side ends it. While an answer is under way the
// connection keeps reading, so that a client that goes is noticed at once.
//
// Everything runs on the connection's strand, but for what says "any thread".
// Held by its operations that are under way, and by whoever is to answer.

#ifndef TANDEM_SERVICES_GATEWAY_HTTP_HTTP_CONNECTION_H_
#define TANDEM_SERVICES_GATEWAY_HTTP_HTTP_CONNECTION_H_

#include <array>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/descriptor.h"
#include "services/gateway/http/deadline_timer.h"
#include "services/gateway/http/http_exchange.h"
#include "services/gateway/http/http_limits.h"
#include "services/gateway/http/request_reader.h"

namespace tandem::gateway {

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  // What the connections of one server share; outlives them.
  struct Shared {
    HttpHandler* handler = nullptr;
    HttpLimits limits;
    ByteBudget bodies;
    // The connection is over and nothing refers to it. Any thread.
    std::function<void(HttpConnection*)> on_destroyed;
  };

  HttpConnection(boost::asio::io_context* context, Descriptor socket,
                 Shared* shared);

  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  // Any thread, once.
  void Start();
  // Takes no more requests: ends at once where none is under way, else after
  // its answer. Any thread.
  void Drain();
  // Ends what is under way: a stream by its StopText, any other answer without
  // a word. Any thread.
  void Cut();

 private:
  class PendingAnswer;
  using Socket = boost::asio::generic::stream_protocol::socket;
  enum class State {
    kIdle,       // no byte of a request has come
    kReading,    // a request is coming
    kAnswering,  // the handler has it
    kStreaming,  // its answer comes by events
    kSending,    // its answer, or the end of it, is being sent
    kLingering,  // all is sent; what comes is dropped
    kClosed,
  };

  // Destroyed last of all members.
  struct Farewell {
    Shared* shared;
    HttpConnection* self;
    ~Farewell() { shared->on_destroyed(self); }
  };
  // The request that is answered.
  struct Current {
    int64_t number = 0;
    bool keep_alive = true;
    bool takes_chunks = true;
    bool wants_body = true;  // not a HEAD
    std::function<void()> gone = nullptr;
    std::shared_ptr<EventSource> events = nullptr;
    // What Next brought while a comment was being sent.
    std::optional<std::optional<std::string>> early_event = {};
  };

  // Runs `work` on the strand.
  void Post(std::function<void()> work);

  void Read();
  void OnRead(const boost::system::error_code& error, size_t bytes);
  void OnBytes();
  void ReadRequest();
  // Whether the bodies of all connections have room for what has come.
  bool CountBody();
  void ReturnBody();
  void HandleRequest();
  // For what has not come to the handler; the connection ends after it.
  void Refuse(int status, const std::string& message);

  // Of PendingAnswer. `request` is the number of the request that is answered.
  void OnAnswer(int64_t request, HttpResponse response);
  void OnStream(int64_t request, HttpResponse head,
                std::shared_ptr<EventSource> events);
  void OnGone(int64_t request, std::function<void()> gone);

  void Send(HttpResponse response);
  void AskForEvent();
  void OnEvent(std::optional<std::string> event);
  std::string Framed(const std::string& event) const;
  void SendComment();
  void StopStream();

  // Sends out_, then calls `then`.
  void Write(std::function<void()> then);
  void AfterEvent();
  void AfterAnswer();
  void Linger();
  void Close();

  void OnDeadline();

  Shared* const shared_;
  const Farewell farewell_;
  Socket socket_;
  // When the state has lasted too long.
  DeadlineTimer deadline_;
  State state_ = State::kIdle;
  bool is_reading_ = false;
  bool is_writing_ = false;
  bool is_draining_ = false;
  bool is_stopping_ = false;  // Cut came while an event was being sent

  std::array<char, kReadBytes> read_;
  std::string input_;
  std::unique_ptr<RequestReader> reader_;
  int64_t body_bytes_ = 0;  // taken of Shared::bodies

  Current current_;
  std::string out_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_HTTP_HTTP_CONNECTION_H_
