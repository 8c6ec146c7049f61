#include "tools/load/completion_events.h"

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace tandem::load {
namespace {

using Json = nlohmann::json;

// The member at `name`, or null where there is none.
const Json& Member(const Json& object, const char* name) {
  static const Json none;
  if (!object.is_object()) return none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

std::optional<int64_t> Integer(const Json& value) {
  if (!value.is_number()) return std::nullopt;
  return value.get<int64_t>();
}

absl::StatusCode CodeOf(int http_status) {
  switch (http_status) {
    case 400:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 501:
      return absl::StatusCode::kUnimplemented;
    case 503:
      return absl::StatusCode::kUnavailable;
    case 504:
      return absl::StatusCode::kDeadlineExceeded;
    default:
      return http_status >= 500 ? absl::StatusCode::kInternal
                                : absl::StatusCode::kUnknown;
  }
}

// {"error": {"message": ..., "code": ...}}, or a message alone.
absl::Status ErrorOf(const Json& error, int http_status) {
  const int code =
      static_cast<int>(Integer(Member(error, "code")).value_or(http_status));
  const Json& message = Member(error, "message");
  std::string text = absl::StrCat("HTTP ", code);
  if (message.is_string()) text = message.get<std::string>();
  if (error.is_string()) text = error.get<std::string>();
  return absl::Status(CodeOf(code), text);
}

}  // namespace

std::string CompletionBody(const LoadTurn& turn,
                           const CompletionOptions& options) {
  Json body = {{"prompt", turn.prompt},
               {"max_tokens", turn.output_tokens},
               // Signed in some servers.
               {"seed", turn.seed >> 33},
               {"stream", true},
               {"stream_options", {{"include_usage", true}}}};
  if (!options.stops_at_eos) body["ignore_eos"] = true;
  if (!options.model.empty()) body["model"] = options.model;
  if (options.temperature) body["temperature"] = *options.temperature;
  if (options.top_p) body["top_p"] = *options.top_p;
  if (options.top_k) body["top_k"] = *options.top_k;
  return body.dump();
}

absl::Status CompletionError(int http_status, absl::string_view body) {
  const Json json = Json::parse(body.begin(), body.end(), nullptr,
                                /*allow_exceptions=*/false);
  return ErrorOf(Member(json, "error"), http_status);
}

absl::Status CompletionEvents::Take(absl::string_view data) {
  if (data == "[DONE]") {
    is_done_ = true;
    return absl::OkStatus();
  }
  const Json event = Json::parse(data.begin(), data.end(), nullptr,
                                 /*allow_exceptions=*/false);
  if (!event.is_object()) {
    return absl::InternalError("the server sent an event that is no object");
  }
  if (event.contains("error")) return ErrorOf(event["error"], 500);
  const Json& choices = Member(event, "choices");
  if (choices.is_array() && !choices.empty()) {
    const Json& choice = choices[0];
    const Json& reason = Member(choice, "finish_reason");
    if (reason.is_string()) finish_reason_ = reason.get<std::string>();
    const Json& ids = Member(choice, "tokens");
    const Json& text = Member(choice, "text");
    int64_t count = 0;
    if (text.is_string() && !text.get_ref<const std::string&>().empty()) {
      count = 1;
    }
    if (ids.is_array()) count = static_cast<int64_t>(ids.size());
    if (count > 0) observer_->OnTokens(count);
    tokens_seen_ += count;
  }
  const Json& usage = Member(event, "usage");
  if (const auto told = Integer(Member(usage, "completion_tokens"))) {
    tokens_told_ = told;
  }
  if (const auto cached = Integer(
          Member(Member(usage, "prompt_tokens_details"), "cached_tokens"))) {
    figures_.cached_tokens = cached;
  }
  // llama-server's own.
  const Json& timings = Member(event, "timings");
  if (const auto cached = Integer(Member(timings, "cache_n"))) {
    figures_.cached_tokens = cached;
  }
  if (const auto drafted = Integer(Member(timings, "draft_n"))) {
    figures_.drafted_tokens = *drafted;
    figures_.accepted_tokens =
        Integer(Member(timings, "draft_n_accepted")).value_or(0);
  }
  return absl::OkStatus();
}

TurnOutcome CompletionEvents::Outcome() const {
  TurnOutcome outcome;
  if (!is_done_ && finish_reason_.empty()) {
    outcome.status =
        absl::InternalError("the answer ended before it was complete");
    return outcome;
  }
  outcome.finish_reason = finish_reason_.empty() ? "none" : finish_reason_;
  outcome.figures = figures_;
  outcome.figures.generated_tokens = tokens_told_.value_or(tokens_seen_);
  return outcome;
}

}  // namespace tandem::load
