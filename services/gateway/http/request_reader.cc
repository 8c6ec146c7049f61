#include "services/gateway/http/request_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace tandem::gateway {
namespace {

namespace http = boost::beast::http;

constexpr unsigned kHttp11 = 11;

std::string ToString(boost::beast::string_view text) {
  return std::string(text.data(), text.size());
}

RequestReader::State StateOf(const boost::beast::error_code& error) {
  if (error == http::error::header_limit) {
    return RequestReader::State::kHeadTooLarge;
  }
  if (error == http::error::body_limit ||
      error == http::error::buffer_overflow) {
    return RequestReader::State::kBodyTooLarge;
  }
  return RequestReader::State::kMalformed;
}

}  // namespace

struct RequestReader::Parser {
  http::request_parser<http::string_body> request;
};

RequestReader::RequestReader() : parser_(std::make_unique<Parser>()) {
  parser_->request.eager(true);
  parser_->request.header_limit(kHeadBytesMax);
  parser_->request.body_limit(kBodyBytesMax);
}

RequestReader::~RequestReader() = default;

RequestReader::State RequestReader::Read(std::string* input) {
  size_t used = 0;
  State state = State::kNeedMore;
  // Each call of put takes at least a byte, asks for more or ends.
  while (used < input->size()) {
    boost::beast::error_code error;
    used += parser_->request.put(
        boost::asio::buffer(input->data() + used, input->size() - used), error);
    if (error == http::error::need_more) break;
    if (error) {
      state = StateOf(error);
      break;
    }
    if (parser_->request.is_done()) {
      state = State::kDone;
      break;
    }
  }
  input->erase(0, used);
  return state;
}

size_t RequestReader::body_bytes() const {
  return parser_->request.get().body().size();
}

bool RequestReader::TakeExpectsContinue() {
  if (has_looked_at_expect_ || !parser_->request.is_header_done()) return false;
  has_looked_at_expect_ = true;
  const boost::beast::string_view expect =
      parser_->request.get()[http::field::expect];
  return absl::EqualsIgnoreCase(absl::string_view(expect.data(), expect.size()),
                                "100-continue");
}

HttpRequest RequestReader::Take() {
  http::request<http::string_body> message = parser_->request.release();
  HttpRequest request;
  request.method = ToString(message.method_string());
  request.path = ToString(message.target());
  if (const size_t query = request.path.find('?'); query != std::string::npos) {
    request.path.resize(query);
  }
  for (const auto& field : message) {
    request.headers.push_back({.name = ToString(field.name_string()),
                               .value = ToString(field.value())});
  }
  request.keep_alive = message.keep_alive();
  request.takes_chunks = message.version() >= kHttp11;
  request.body = std::move(message.body());
  return request;
}

}  // namespace tandem::gateway
