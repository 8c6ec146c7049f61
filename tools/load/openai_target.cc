// Load for a server with an OpenAI API.

#include <httplib.h>

#include <atomic>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/check.h"
#include "nlohmann/json.hpp"
#include "tools/load/load_target.h"
#include "tools/tandem/base/command.h"

namespace tandem::load {
namespace {

using Json = nlohmann::json;

// A server that is silent for longer fails the turn.
constexpr int kSilenceSecondsMax = 300;
// One line of a stream of events, and an answer that is no stream.
constexpr size_t kEventBytesMax = 1 << 20;

Json Parsed(absl::string_view text) {
  return Json::parse(text.begin(), text.end(), nullptr,
                     /*allow_exceptions=*/false);
}

// What stands at `path` in `json`; null where there is nothing.
Json At(const Json& json, const char* path) {
  const Json::json_pointer place(path);
  return json.is_structured() && json.contains(place) ? json.at(place) : Json();
}

// The number at `path`; `missing` where there is none.
int64_t NumberAt(const Json& json, const char* path, int64_t missing) {
  const Json number = At(json, path);
  return number.is_number() ? number.get<int64_t>() : missing;
}

std::string TextAt(const Json& json, const char* path) {
  const Json text = At(json, path);
  return text.is_string() ? text.get<std::string>() : std::string();
}

// An answer with an error: {"error": {"message": ..., "code": ...}}, another
// text, or a status alone.
absl::Status ErrorOf(const Json& body, int http_status) {
  const int64_t code = NumberAt(body, "/error/code", http_status);
  const std::string text =
      absl::StrCat("HTTP ", code, " ", TextAt(body, "/error/message"));
  if (code == 429) return absl::ResourceExhaustedError(text);
  if (code == 503) return absl::UnavailableError(text);
  return code < 500 ? absl::InvalidArgumentError(text)
                    : absl::InternalError(text);
}

std::string BodyOf(const LoadTurn& turn, const v1::TurnRequest& common) {
  const v1::GenerationOptions& options = common.options();
  Json body = {{"prompt", turn.prompt},
               {"max_tokens", turn.output_tokens},
               // Signed in some servers.
               {"seed", turn.seed >> 33},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}}};
  if (options.ignore_eos()) body["ignore_eos"] = true;
  if (!common.model_id().empty()) body["model"] = common.model_id();
  if (options.has_temperature()) body["temperature"] = options.temperature();
  if (options.has_top_p()) body["top_p"] = options.top_p();
  if (options.has_top_k()) body["top_k"] = options.top_k();
  return body.dump();
}

// One turn, on a thread of its own from Start to the session's end.
class OpenAiSession final : public LoadSession {
 public:
  OpenAiSession(const std::string& url, const v1::TurnRequest& common)
      : common_(common), client_(url) {
    client_.set_read_timeout(kSilenceSecondsMax);
  }

  ~OpenAiSession() override {
    if (thread_.joinable()) thread_.join();
  }

  void Start(const LoadTurn& turn, TurnObserver* observer) override {
    TANDEM_CHECK(!thread_.joinable());
    observer_ = observer;
    thread_ = std::thread([this, body = BodyOf(turn, common_)]() mutable {
      outcome_.status = Post(std::move(body));
      observer_->OnEnd(outcome_);
    });
  }

  void Cancel() override {
    cancelled_ = true;
    client_.stop();
  }
  void Abort() override { Cancel(); }

 private:
  // Errors: what the answer reports, CANCELLED, UNAVAILABLE without an answer,
  // INTERNAL for a stream that ended without "[DONE]" and a finish reason.
  absl::Status Post(std::string body) {
    httplib::Request request;
    request.method = "POST";
    request.path = "/v1/completions";
    request.set_header("Content-Type", "application/json");
    request.body = std::move(body);
    request.response_handler = [this](const httplib::Response& response) {
      http_status_ = response.status;
      return true;
    };
    absl::Status status;
    request.content_receiver = [&](const char* data, size_t size,
                                   uint64_t /*offset*/, uint64_t /*total*/) {
      if (cancelled_) return false;
      status = Take({data, size});
      return status.ok();
    };
    const httplib::Result result = client_.send(request);
    if (!status.ok()) return status;
    if (cancelled_) return absl::CancelledError("cancelled");
    if (!result) {
      return absl::UnavailableError(
          absl::StrCat("HTTP: ", httplib::to_string(result.error())));
    }
    if (http_status_ != 200) return ErrorOf(Parsed(line_), http_status_);
    if (!is_done_ && outcome_.finish_reason.empty()) {
      return absl::InternalError("the answer ended before it was complete");
    }
    if (outcome_.finish_reason.empty()) outcome_.finish_reason = "none";
    if (outcome_.usage.generated_tokens() == 0) {
      outcome_.usage.set_generated_tokens(tokens_seen_);
    }
    return absl::OkStatus();
  }

  // Takes the next bytes of the answer, in whatever pieces it comes. Every line
  // "data: ..." of a stream is an event, as all such servers send them.
  absl::Status Take(absl::string_view bytes) {
    for (const char byte : bytes) {
      if (http_status_ == 200 && (byte == '\n' || byte == '\r')) {
        // Other fields, and comments, say nothing here.
        absl::string_view data = line_;
        if (absl::ConsumePrefix(&data, "data:")) {
          TANDEM_RETURN_IF_ERROR(TakeEvent(absl::StripPrefix(data, " ")));
        }
        line_.clear();
        continue;
      }
      line_.push_back(byte);
      if (line_.size() > kEventBytesMax) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "the server sent more than ", kEventBytesMax, " bytes at once"));
      }
    }
    return absl::OkStatus();
  }

  // Tokens go to the observer: as many as an event lists ids; where an event
  // lists none, one if it has text.
  absl::Status TakeEvent(absl::string_view data) {
    is_done_ |= data == "[DONE]";
    if (data == "[DONE]") return absl::OkStatus();
    const Json event = Parsed(data);
    if (!event.is_object()) {
      return absl::InternalError("the server sent an event that is no object");
    }
    if (event.contains("error")) return ErrorOf(event, 500);
    const std::string reason = TextAt(event, "/choices/0/finish_reason");
    if (!reason.empty()) outcome_.finish_reason = reason;
    int64_t tokens = TextAt(event, "/choices/0/text").empty() ? 0 : 1;
    const Json ids = At(event, "/choices/0/tokens");
    if (ids.is_array()) tokens = static_cast<int64_t>(ids.size());
    if (tokens > 0) observer_->OnTokens(tokens);
    tokens_seen_ += tokens;
    v1::Usage& usage = outcome_.usage;
    usage.set_generated_tokens(
        NumberAt(event, "/usage/completion_tokens", usage.generated_tokens()));
    usage.set_cached_prompt_tokens(
        NumberAt(event, "/usage/prompt_tokens_details/cached_tokens",
                 usage.cached_prompt_tokens()));
    // llama-server's own.
    usage.set_cached_prompt_tokens(
        NumberAt(event, "/timings/cache_n", usage.cached_prompt_tokens()));
    v1::SpeculationStats& stats = outcome_.speculation;
    stats.set_drafted_tokens(
        NumberAt(event, "/timings/draft_n", stats.drafted_tokens()));
    stats.set_accepted_tokens(
        NumberAt(event, "/timings/draft_n_accepted", stats.accepted_tokens()));
    return absl::OkStatus();
  }

  const v1::TurnRequest& common_;
  httplib::Client client_;
  std::atomic<bool> cancelled_{false};
  TurnObserver* observer_ = nullptr;
  std::thread thread_;
  // The thread's.
  int http_status_ = 0;
  std::string line_;  // begun; of an answer that is no stream: all of it
  bool is_done_ = false;
  int64_t tokens_seen_ = 0;
  TurnOutcome outcome_;
};

class OpenAiTarget final : public LoadTarget {
 public:
  OpenAiTarget(const std::string& url, const v1::TurnRequest& common)
      : url_(url), common_(common) {}

  std::unique_ptr<LoadSession> NewSession() override {
    return std::make_unique<OpenAiSession>(url_, common_);
  }

 private:
  const std::string url_;
  const v1::TurnRequest common_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LoadTarget>> MakeOpenAiTarget(
    const std::string& url, const v1::TurnRequest& common) {
  if (!absl::StartsWith(url, "http://") || !httplib::Client(url).is_valid()) {
    return cli::UsageError(absl::StrCat(
        "--openai ", url, " is no address of the form http://host:port"));
  }
  return std::make_unique<OpenAiTarget>(url, common);
}

}  // namespace tandem::load
