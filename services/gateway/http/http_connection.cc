#include "services/gateway/http/http_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>

namespace tandem::gateway {
namespace {

using boost::system::error_code;

constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";
// Server-sent events: a line that begins with a colon is a comment.
constexpr char kComment[] = ":\n\n";
// For the last event, where the server stops.
constexpr absl::Duration kCutTime = absl::Seconds(1);

int FamilyOf(const Descriptor& socket) {
  sockaddr_storage address = {};
  socklen_t bytes = sizeof(address);
  if (getsockname(socket.number(), reinterpret_cast<sockaddr*>(&address),
                  &bytes) != 0) {
    return AF_UNSPEC;
  }
  return address.ss_family;
}

// What fails here, as TCP's options on a unix socket do, is only slower.
void SetOptions(const Descriptor& socket) {
  const auto set = [&socket](int level, int name, int value) {
    (void)setsockopt(socket.number(), level, name, &value, sizeof(value));
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT,
      static_cast<int>(absl::ToInt64Milliseconds(kUnacknowledgedMax)));
  set(SOL_SOCKET, SO_SNDBUF, kSendBufferBytes);
}

}  // namespace

// The handler's end of one request.
class HttpConnection::PendingAnswer final : public Exchange {
 public:
  PendingAnswer(std::shared_ptr<HttpConnection> connection, int64_t request)
      : connection_(std::move(connection)), request_(request) {}

  void Answer(HttpResponse response) override {
    HttpConnection* const connection = connection_.get();
    connection->Post([connection, request = request_,
                      answer = std::move(response)]() mutable {
      connection->OnAnswer(request, std::move(answer));
    });
  }
  void Stream(HttpResponse head, std::shared_ptr<EventSource> events) override {
    HttpConnection* const connection = connection_.get();
    connection->Post([connection, request = request_, begin = std::move(head),
                      source = std::move(events)]() mutable {
      connection->OnStream(request, std::move(begin), std::move(source));
    });
  }
  void OnGone(std::function<void()> gone) override {
    HttpConnection* const connection = connection_.get();
    connection->Post(
        [connection, request = request_, what = std::move(gone)]() mutable {
          connection->OnGone(request, std::move(what));
        });
  }

 private:
  const std::shared_ptr<HttpConnection> connection_;
  const int64_t request_;
};

HttpConnection::HttpConnection(boost::asio::io_context* context,
                               Descriptor socket, Shared* shared)
    : shared_(shared),
      farewell_{.shared = shared, .self = this},
      socket_(boost::asio::make_strand(*context)),
      deadline_(socket_.get_executor()) {
  SetOptions(socket);
  error_code error;
  const boost::asio::generic::stream_protocol protocol(FamilyOf(socket), 0);
  socket_.assign(protocol, socket.number(), error);
  // The socket is the descriptor's owner from here on; where the system has no
  // place for it Start finds it closed.
  if (!error) (void)socket.Release();
}

void HttpConnection::Post(std::function<void()> work) {
  boost::asio::post(socket_.get_executor(), [self = shared_from_this(),
                                             run = std::move(work)] { run(); });
}

void HttpConnection::Start() {
  Post([this] {
    if (!socket_.is_open()) return Close();
    deadline_.SetOwner(weak_from_this(), [this] { OnDeadline(); });
    deadline_.Set(shared_->limits.idle_time);
    Read();
  });
}

void HttpConnection::Drain() {
  Post([this] {
    is_draining_ = true;
    if (state_ == State::kIdle || state_ == State::kReading) Close();
  });
}

void HttpConnection::Cut() {
  Post([this] {
    if (state_ != State::kStreaming) return Close();
    deadline_.Set(kCutTime);
    is_stopping_ = true;
    if (!is_writing_) StopStream();
  });
}

void HttpConnection::Read() {
  if (is_reading_ || state_ == State::kClosed) return;
  is_reading_ = true;
  socket_.async_read_some(
      boost::asio::buffer(read_),
      [self = shared_from_this()](const error_code& error, size_t bytes) {
        self->OnRead(error, bytes);
      });
}

void HttpConnection::OnRead(const error_code& error, size_t bytes) {
  is_reading_ = false;
  if (error) return Close();  // the client has gone
  if (state_ == State::kLingering) return Read();
  input_.append(read_.data(), bytes);
  OnBytes();
}

void HttpConnection::OnBytes() {
  switch (state_) {
    case State::kIdle:
      state_ = State::kReading;
      deadline_.Set(shared_->limits.request_time);
      reader_ = std::make_unique<RequestReader>();
      return ReadRequest();
    case State::kReading:
      return ReadRequest();
    case State::kAnswering:
    case State::kStreaming:
    case State::kSending:
      // Above the bound the client is read again when it has its answer.
      if (input_.size() <= kEarlyBytesMax) Read();
      return;
    case State::kLingering:
    case State::kClosed:
      return;
  }
}

bool HttpConnection::CountBody() {
  const int64_t more =
      static_cast<int64_t>(reader_->body_bytes()) - body_bytes_;
  if (!shared_->bodies.Take(more)) return false;
  body_bytes_ += more;
  return true;
}

void HttpConnection::ReturnBody() {
  shared_->bodies.Return(body_bytes_);
  body_bytes_ = 0;
}

void HttpConnection::ReadRequest() {
  switch (reader_->Read(&input_)) {
    case RequestReader::State::kDone:
      return HandleRequest();
    case RequestReader::State::kNeedMore:
      // A line that does not end.
      if (input_.size() > kHeadBytesMax) break;
      if (!CountBody()) {
        return Refuse(503, "too many large requests are coming; try again");
      }
      if (reader_->TakeExpectsContinue()) {
        out_ = kContinue;
        return Write([this] {
          deadline_.Set(shared_->limits.request_time);
          Read();
        });
      }
      return Read();
    case RequestReader::State::kHeadTooLarge:
      break;
    case RequestReader::State::kBodyTooLarge:
      return Refuse(413, "the body must have at most 8388608 bytes");
    case RequestReader::State::kMalformed:
      return Refuse(400, "this is no request of HTTP/1.1");
  }
  Refuse(431, "the headers must have at most 16384 bytes");
}

void HttpConnection::HandleRequest() {
  ReturnBody();
  HttpRequest request = reader_->Take();
  reader_.reset();
  current_ = {.number = current_.number + 1,
              .keep_alive = request.keep_alive,
              .takes_chunks = request.takes_chunks,
              .wants_body = request.method != "HEAD"};
  state_ = State::kAnswering;
  // How long an answer takes is the handler's own matter.
  deadline_.Clear();
  // From here on what comes is the client's end, or the next request.
  Read();
  shared_->handler->Handle(
      std::move(request),
      std::make_shared<PendingAnswer>(shared_from_this(), current_.number));
}

void HttpConnection::Refuse(int status, const std::string& message) {
  ReturnBody();
  reader_.reset();
  current_.keep_alive = false;
  current_.wants_body = true;
  Send(shared_->handler->Refuse(status, message));
}

void HttpConnection::OnAnswer(int64_t request, HttpResponse response) {
  if (state_ != State::kAnswering || request != current_.number) return;
  Send(std::move(response));
}

void HttpConnection::OnStream(int64_t request, HttpResponse head,
                              std::shared_ptr<EventSource> events) {
  if (state_ != State::kAnswering || request != current_.number) {
    return events->Leave();
  }
  current_.gone = nullptr;
  current_.events = std::move(events);
  current_.keep_alive = current_.keep_alive && current_.takes_chunks;
  state_ = State::kStreaming;
  out_ =
      WriteHead(head, {.body_end = current_.takes_chunks ? BodyEnd::kChunked
                                                         : BodyEnd::kConnection,
                       .keep_alive = current_.keep_alive && !is_draining_});
  Write([this] { AfterEvent(); });
}

void HttpConnection::OnGone(int64_t request, std::function<void()> gone) {
  if (request != current_.number) return;
  if (state_ == State::kAnswering) {
    current_.gone = std::move(gone);
  } else if (state_ == State::kClosed) {
    gone();
  }
}

void HttpConnection::Send(HttpResponse response) {
  current_.gone = nullptr;
  current_.keep_alive = current_.keep_alive && !is_draining_;
  state_ = State::kSending;
  out_ = WriteHead(response, {.keep_alive = current_.keep_alive});
  if (current_.wants_body) out_ += response.body;
  Write([this] { AfterAnswer(); });
}

void HttpConnection::AskForEvent() {
  deadline_.Set(shared_->limits.comment_interval);
  // The connection lives until the event has come: the source outlives its
  // Next.
  current_.events->Next([self = shared_from_this(), request = current_.number](
                            std::optional<std::string> event) {
    HttpConnection* const connection = self.get();
    connection->Post([connection, request, next = std::move(event)]() mutable {
      if (connection->state_ != State::kStreaming ||
          connection->current_.number != request) {
        return;
      }
      connection->OnEvent(std::move(next));
    });
  });
}

void HttpConnection::OnEvent(std::optional<std::string> event) {
  if (is_writing_) {
    current_.early_event = std::move(event);
    return;
  }
  if (event.has_value() && event->empty()) return AskForEvent();
  if (event.has_value()) {
    out_ = Framed(*event);
    return Write([this] { AfterEvent(); });
  }
  current_.events = nullptr;
  state_ = State::kSending;
  out_ = current_.takes_chunks ? kLastChunk : "";
  Write([this] { AfterAnswer(); });
}

std::string HttpConnection::Framed(const std::string& event) const {
  return current_.takes_chunks ? WriteChunk(event) : event;
}

void HttpConnection::SendComment() {
  out_ = Framed(kComment);
  Write([this] {
    if (is_stopping_) return StopStream();
    deadline_.Set(shared_->limits.comment_interval);
    if (!current_.early_event.has_value()) return;
    std::optional<std::string> event = *std::move(current_.early_event);
    current_.early_event.reset();
    OnEvent(std::move(event));
  });
}

void HttpConnection::AfterEvent() {
  if (is_stopping_) return StopStream();
  AskForEvent();
}

void HttpConnection::StopStream() {
  out_ = Framed(current_.events->StopText());
  if (current_.takes_chunks) out_ += kLastChunk;
  current_.events->Leave();
  current_.events = nullptr;
  current_.keep_alive = false;
  state_ = State::kSending;
  Write([this] { AfterAnswer(); });
}

void HttpConnection::Write(std::function<void()> then) {
  is_writing_ = true;
  if (!is_stopping_) deadline_.Set(shared_->limits.write_time);
  boost::asio::async_write(socket_, boost::asio::buffer(out_),
                           [self = shared_from_this(), next = std::move(then)](
                               const error_code& error, size_t /*bytes*/) {
                             self->is_writing_ = false;
                             if (self->state_ == State::kClosed) return;
                             if (error) return self->Close();
                             next();
                           });
}

void HttpConnection::AfterAnswer() {
  if (!current_.keep_alive || is_draining_) return Linger();
  state_ = State::kIdle;
  deadline_.Set(shared_->limits.idle_time);
  out_ = {};
  if (!input_.empty()) return OnBytes();
  Read();
}

void HttpConnection::Linger() {
  state_ = State::kLingering;
  deadline_.Set(shared_->limits.linger_time);
  error_code error;
  socket_.shutdown(Socket::shutdown_send, error);
  if (error) return Close();
  Read();
}

void HttpConnection::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  deadline_.Stop();
  ReturnBody();
  error_code ignored;
  socket_.close(ignored);
  if (const std::shared_ptr<EventSource> events = std::move(current_.events)) {
    events->Leave();
  }
  if (const std::function<void()> gone = std::move(current_.gone)) gone();
}

void HttpConnection::OnDeadline() {
  if (state_ == State::kReading && !is_writing_) {
    return Refuse(408, "the request took longer than 30 s to come");
  }
  if (state_ == State::kStreaming && !is_writing_ && !is_stopping_) {
    return SendComment();
  }
  Close();
}

}  // namespace tandem::gateway
