#include "tools/load/openai_target.h"

#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "nlohmann/json.hpp"
#include "tools/load/sse_parser.h"

namespace tandem::load {
namespace {

// The turn on a thread of its own, from Start to the session's end.
class OpenAiSession final : public LoadSession {
 public:
  OpenAiSession(const std::string& url, const CompletionOptions& options)
      : options_(options), client_(url) {
    client_.set_read_timeout(kHttpSilenceSecondsMax);
  }

  ~OpenAiSession() override {
    if (thread_.joinable()) thread_.join();
  }

  void Start(const LoadTurn& turn, TurnObserver* observer) override {
    TANDEM_CHECK(!thread_.joinable());
    thread_ = std::thread(
        [this, observer, body = CompletionBody(turn, options_)]() mutable {
          observer->OnEnd(Run(std::move(body), observer));
        });
  }

  void Cancel() override {
    cancelled_ = true;
    client_.stop();
  }
  void Abort() override { Cancel(); }

 private:
  TurnOutcome Run(std::string body, TurnObserver* observer) {
    CompletionEvents events(observer);
    absl::Status status;
    SseParser parser([&](absl::string_view data) {
      if (status.ok()) status = events.Take(data);
    });
    int http_status = 0;
    std::string error_body;
    httplib::Request request;
    request.method = "POST";
    request.path = "/v1/completions";
    request.set_header("Content-Type", "application/json");
    request.set_header("Accept", "text/event-stream");
    request.body = std::move(body);
    request.response_handler = [&](const httplib::Response& response) {
      http_status = response.status;
      return true;
    };
    request.content_receiver = [&](const char* data, size_t size,
                                   uint64_t /*offset*/, uint64_t /*total*/) {
      if (cancelled_) return false;
      if (http_status != 200) {
        error_body.append(
            data, std::min(size, kErrorBodyBytesMax - error_body.size()));
        return true;
      }
      const absl::Status fed = parser.Feed({data, size});
      if (status.ok()) status = fed;
      return status.ok();
    };
    const httplib::Result result = client_.send(request);
    if (!status.ok()) return {.status = status, .finish_reason = {}};
    if (cancelled_) {
      return {.status = absl::CancelledError("cancelled"), .finish_reason = {}};
    }
    if (!result) {
      return {.status = absl::UnavailableError(
                  absl::StrCat("HTTP: ", httplib::to_string(result.error()))),
              .finish_reason = {}};
    }
    if (http_status != 200) {
      return {.status = CompletionError(http_status, error_body),
              .finish_reason = {}};
    }
    return events.Outcome();
  }

  const CompletionOptions options_;
  httplib::Client client_;
  std::atomic<bool> cancelled_{false};
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<OpenAiTarget>> OpenAiTarget::Create(
    const std::string& url, const CompletionOptions& options) {
  if (!absl::StartsWith(url, "http://") || !httplib::Client(url).is_valid()) {
    return absl::InvalidArgumentError(
        absl::StrCat(url, " is no address of the form http://host:port"));
  }
  return std::unique_ptr<OpenAiTarget>(new OpenAiTarget(url, options));
}

absl::StatusOr<int> OpenAiTarget::AskVocabSize() const {
  httplib::Client client(url_);
  const httplib::Result result = client.Get("/v1/models");
  if (!result) {
    return absl::UnavailableError(
        absl::StrCat("cannot reach a server at ", url_, ": ",
                     httplib::to_string(result.error())));
  }
  const auto json = nlohmann::json::parse(result->body, nullptr,
                                          /*allow_exceptions=*/false);
  const nlohmann::json::json_pointer place("/data/0/meta/n_vocab");
  if (json.is_object() && json.contains(place) &&
      json.at(place).is_number_integer()) {
    return json.at(place).get<int>();
  }
  return absl::NotFoundError(
      absl::StrCat(url_, " does not tell the size of its vocabulary"));
}

std::unique_ptr<LoadSession> OpenAiTarget::NewSession() {
  return std::make_unique<OpenAiSession>(url_, options_);
}

}  // namespace tandem::load
