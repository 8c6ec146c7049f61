#include "services/gateway/server/gateway_handler.h"

#include <openssl/rand.h>

#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "services/common/channel.h"
#include "services/gateway/openai/api_error.h"
#include "services/gateway/openai/echo.h"
#include "services/gateway/server/choices_source.h"
#include "services/gateway/server/turn_end.h"
#include "services/gateway/server/turn_source.h"
#include "services/gateway/server/unary_replies.h"
#include "services/gateway/server/whole_choices.h"
#include "services/gateway/server/whole_turn.h"

namespace tandem::gateway {
namespace {

// Of replies; as OpenAI's.
std::string NewReplyId(ReplyFormat::Api api) {
  unsigned char bytes[12];
  TANDEM_CHECK(RAND_bytes(bytes, sizeof(bytes)) == 1);
  return absl::StrCat(
      api == ReplyFormat::Api::kChat ? "chatcmpl-" : "cmpl-",
      absl::BytesToHexString(absl::string_view(
          reinterpret_cast<const char*>(bytes), sizeof(bytes))));
}

HttpResponse NoSuchStream() {
  return ErrorResponse(
      404, "unknown_stream",
      "there is no such stream of this client, or its 30 s are over");
}

HttpResponse TooManyWait() {
  return ErrorResponse(503, "exhausted", "too many requests wait; try again");
}

// What is answered where a turn does not begin with its first event; nothing
// where it does.
std::optional<HttpResponse> NoBeginning(const client::NextEvent& event,
                                        const ReplyFormat& format) {
  if (!event.ok()) {
    return ErrorResponse(InTermsOf(event.status(), format.names));
  }
  if (!event->has_value() || !(*event)->has_started()) {
    return ErrorResponse(
        absl::InternalError("the turn did not begin with its first event"));
  }
  return std::nullopt;
}

HttpResponse StreamHead() {
  return {.content_type = "text/event-stream; charset=utf-8",
          .headers = {{"Cache-Control", "no-cache"},
                      // nginx: send each event at once.
                      {"X-Accel-Buffering", "no"}}};
}

}  // namespace

std::string KeyOf(const HttpRequest& request) {
  const absl::string_view kScheme = kBearerPrefix;
  const absl::string_view value =
      request.Header(kAuthorizationKey).value_or("");
  return absl::StartsWithIgnoreCase(value, kScheme)
             ? std::string(value.substr(kScheme.size()))
             : std::string();
}

// A path ends with `prefix`, or goes on where `suffix` is set: then the rest is
// between both.
struct GatewayHandler::Route {
  absl::string_view name;  // of the metrics
  absl::string_view method;
  absl::string_view prefix;
  bool goes_on;
  absl::string_view suffix;
  void (GatewayHandler::*handle)(const AskedPtr&, absl::string_view);

  // What is between; nothing where `path` is not of this route.
  std::optional<absl::string_view> Match(absl::string_view path) const {
    if (!goes_on) {
      if (path != prefix) return std::nullopt;
      return absl::string_view();
    }
    if (!absl::ConsumePrefix(&path, prefix) ||
        !absl::ConsumeSuffix(&path, suffix) || path.empty()) {
      return std::nullopt;
    }
    return path;
  }
};

absl::Span<const GatewayHandler::Route> GatewayHandler::Routes() {
  using H = GatewayHandler;
  // The first that matches.
  static constexpr Route kRoutes[] = {
      {"chat", "POST", "/v1/chat/completions", false, "",
       &H::HandleTurn<&ParseChatRequest>},
      {"completions", "POST", "/v1/completions", false, "",
       &H::HandleTurn<&ParseCompletionRequest>},
      {"responses", "POST", "/v1/responses", false, "",
       &H::HandleTurn<&ParseResponseRequest>},
      {"models", "GET", "/v1/models", false, "", &H::HandleModels},
      {"models", "GET", "/v1/models/", true, "", &H::HandleModel},
      {"cancel", "POST", "/v1/streams/", true, "/cancel", &H::HandleCancel},
      {"resume", "GET", "/v1/streams/", true, "", &H::HandleResume},
      {"status", "GET", "/tandem/v1/status", false, "", &H::HandleStatus},
      {"info", "GET", "/tandem/v1/info", false, "", &H::HandleInfo},
      {"tokenize", "POST", "/tandem/v1/tokenize", false, "",
       &H::HandleTokenize},
      {"detokenize", "POST", "/tandem/v1/detokenize", false, "",
       &H::HandleDetokenize},
      {"health", "GET", "/health", false, "", &H::HandleHealth},
  };
  return kRoutes;
}

void GatewayHandler::Handle(HttpRequest request,
                            std::shared_ptr<Exchange> exchange) {
  const AskedPtr asked =
      std::make_shared<Asked>(Asked{.request = std::move(request),
                                    .exchange = std::move(exchange),
                                    .route = "other",
                                    .call = {},
                                    .cors = {}});
  asked->call = {.api_key = KeyOf(asked->request)};
  asked->cors = CorsHeaders(asked->request, parts_.origins);
  const absl::Status status = CheckOrigin(asked->request, parts_.origins);
  if (!status.ok()) {
    const bool is_host = absl::IsInvalidArgument(status);
    return Answer(asked,
                  ErrorResponse(is_host ? 421 : 403,
                                is_host ? "unknown_host" : "unknown_origin",
                                status.message()));
  }
  if (IsPreflight(asked->request)) return Answer(asked, AnswerPreflight());
  HandleRoute(asked);
}

HttpResponse GatewayHandler::Refuse(int status, const std::string& message) {
  parts_.metrics->CountRequest("other", status);
  return ErrorResponse(status, status == 503 ? "exhausted" : "invalid_request",
                       message);
}

void GatewayHandler::HandleRoute(const AskedPtr& asked) {
  const HttpRequest& request = asked->request;
  const bool is_head = request.method == "HEAD";
  bool is_known = FindAsset(parts_.assets, request.path) != nullptr;
  if (is_known && (is_head || request.method == "GET")) {
    return HandlePage(asked);
  }
  for (const Route& route : Routes()) {
    const std::optional<absl::string_view> rest = route.Match(request.path);
    if (!rest.has_value()) continue;
    is_known = true;
    // Probes ask for heads.
    const bool is_probe =
        is_head && route.handle == &GatewayHandler::HandleHealth;
    if (request.method != route.method && !is_probe) continue;
    asked->route = std::string(route.name);
    return (this->*route.handle)(asked, *rest);
  }
  if (is_known) {
    return Answer(asked, ErrorResponse(405, "method_not_allowed",
                                       "this path has another method"));
  }
  Answer(asked, ErrorResponse(404, "unknown_path",
                              "there is no such path; the README of "
                              "services/gateway lists them"));
}

void GatewayHandler::HandlePage(const AskedPtr& asked) {
  asked->route = "page";
  Answer(asked, AnswerAsset(*FindAsset(parts_.assets, asked->request.path),
                            asked->request));
}

template <GatewayHandler::Parse parse>
void GatewayHandler::HandleTurn(const AskedPtr& asked,
                                absl::string_view /*rest*/) {
  const absl::StatusOr<Json> body = ParseJsonObject(asked->request.body);
  if (!body.ok()) return Answer(asked, ErrorResponse(body.status()));
  absl::StatusOr<ApiRequest> request = parse(*body, asked->request.body);
  if (!request.ok()) return Answer(asked, ErrorResponse(request.status()));
  // Not kept for the length of the turn.
  asked->request.body = {};
  if (request->format.echo.has_value() && request->turn.has_tokens()) {
    return EchoTokens(asked, *std::move(request));
  }
  BeginTurn(asked, *std::move(request));
}

void GatewayHandler::EchoTokens(const AskedPtr& asked, ApiRequest request) {
  const auto held = std::make_shared<ApiRequest>(std::move(request));
  const bool runs = parts_.pool->Run([this, asked, held] {
    const absl::StatusOr<std::string> text =
        TextOfPrompt(parts_.client, asked->call, held->turn);
    if (!text.ok()) {
      return Answer(
          asked, ErrorResponse(InTermsOf(text.status(), held->format.names)));
    }
    held->format.echo->text = *text;
    BeginTurn(asked, std::move(*held));
  });
  if (!runs) Answer(asked, TooManyWait());
}

void GatewayHandler::BeginTurn(const AskedPtr& asked, ApiRequest request) {
  ReplyFormat& format = request.format;
  format.id = NewReplyId(format.api);
  format.created = absl::ToUnixSeconds(absl::Now());
  // Without text the ids of events do not say whether the client has it.
  if (format.echo.has_value() && format.echo->text.empty()) {
    format.resumable = false;
  }
  if (format.choices > 1) return AnswerChoices(asked, std::move(request));
  std::unique_ptr<StreamWriter> writer;
  if (format.stream) writer = MakeStreamWriter(format);
  AnswerTurn(asked, format,
             parts_.client->Start(std::move(request.turn), asked->call),
             std::move(writer));
}

void GatewayHandler::HandleResume(const AskedPtr& asked,
                                  absl::string_view rest) {
  const std::optional<TurnName> name = ParseTurnName(rest);
  if (!name.has_value()) return Answer(asked, NoSuchStream());
  StreamPosition from = {.session_id = name->session_id, .turn = name->turn};
  if (const std::optional<absl::string_view> last =
          asked->request.Header("last-event-id")) {
    const std::optional<StreamPosition> had = ParseEventId(*last);
    if (!had.has_value() || had->session_id != from.session_id ||
        had->turn != from.turn) {
      return Answer(asked, ErrorResponse(400, "invalid_event_id",
                                         "Last-Event-ID must be the id of an "
                                         "event of this stream"));
    }
    from = *had;
  }
  const std::optional<StoredStream> stored =
      parts_.store->Find(*name, asked->call.api_key);
  if (!stored.has_value()) return Answer(asked, NoSuchStream());
  std::unique_ptr<StreamWriter> writer = MakeStreamWriter(stored->format);
  const StreamPosition begin = writer->Resume(from);
  const std::optional<Echo>& echo = stored->format.echo;
  const bool has_scores =
      echo.has_value() && echo->logprobs.has_value() && !writer->WantsPrompt();
  const int64_t prompt_tokens = has_scores ? stored->prompt_tokens : 0;
  parts_.metrics->resumed().Increment();
  AnswerTurn(asked, stored->format,
             parts_.client->Resume({.session_id = begin.session_id,
                                    .turn = begin.turn,
                                    .tokens = begin.tokens,
                                    .text_bytes = begin.text_bytes,
                                    .prompt_tokens = prompt_tokens},
                                   asked->call),
             std::move(writer));
}

void GatewayHandler::HandleCancel(const AskedPtr& asked,
                                  absl::string_view rest) {
  const std::optional<TurnName> name = ParseTurnName(rest);
  std::optional<StoredStream> stored;
  if (name.has_value()) {
    stored = parts_.store->Find(*name, asked->call.api_key);
  }
  if (!stored.has_value()) return Answer(asked, NoSuchStream());
  if (stored->turn != nullptr) {
    stored->turn->Cancel();
  } else {
    EndTurn(parts_.client->Resume(
        {.session_id = name->session_id, .turn = name->turn}, asked->call));
  }
  OrderedJson json;
  json["id"] = std::string(rest);
  json["cancelled"] = true;
  Answer(asked, {.body = WriteJson(json)});
}

void GatewayHandler::AnswerTurn(const AskedPtr& asked,
                                const ReplyFormat& format,
                                std::shared_ptr<client::TurnStream> turn,
                                std::unique_ptr<StreamWriter> writer) {
  // Nothing is kept of a turn whose client goes before it begins, or that is
  // answered as a whole.
  asked->exchange->OnGone([turn] { turn->Cancel(); });
  client::TurnStream* const stream = turn.get();
  stream->Next([this, asked, format, turn = std::move(turn),
                holder = std::make_shared<std::unique_ptr<StreamWriter>>(
                    std::move(writer))](const client::NextEvent& event) {
    OnFirstEvent(asked, format, turn, std::move(*holder), event);
  });
}

void GatewayHandler::OnFirstEvent(
    const AskedPtr& asked, const ReplyFormat& format,
    const std::shared_ptr<client::TurnStream>& turn,
    std::unique_ptr<StreamWriter> writer, const client::NextEvent& event) {
  if (std::optional<HttpResponse> none = NoBeginning(event, format)) {
    return Answer(asked, *std::move(none));
  }
  const v1::TurnStarted& started = (*event)->started();
  if (format.previous_turn > 0 && started.turn() != format.previous_turn + 1) {
    EndTurn(turn);
    return Answer(asked, ErrorResponse(InvalidField(
                             "previous_response_id",
                             "is not the last response of its session")));
  }
  const absl::Status echoes = CheckEcho(format, started);
  if (!echoes.ok()) {
    EndTurn(turn);
    return Answer(asked, ErrorResponse(echoes));
  }
  if (writer != nullptr) {
    return BeginStream(asked, turn, std::move(writer), started);
  }
  std::make_shared<WholeTurn>(turn, format, asked->call, parts_.texts,
                              [this, asked](HttpResponse response) {
                                Answer(asked, std::move(response));
                              })
      ->Begin(**event);
}

void GatewayHandler::AnswerChoices(const AskedPtr& asked, ApiRequest request) {
  const ReplyFormat format = request.format;
  const auto turns = std::make_shared<ChoiceTurns>(
      parts_.client, std::move(request.turn), asked->call, format.choices);
  asked->exchange->OnGone([turns] { turns->Cancel(); });
  turns->Ask(0, [this, asked, format, turns](int /*choice*/,
                                             const client::NextEvent& event) {
    OnFirstChoice(asked, format, turns, event);
  });
}

void GatewayHandler::OnFirstChoice(const AskedPtr& asked,
                                   const ReplyFormat& format,
                                   const std::shared_ptr<ChoiceTurns>& turns,
                                   const client::NextEvent& event) {
  if (std::optional<HttpResponse> none = NoBeginning(event, format)) {
    return Answer(asked, *std::move(none));
  }
  const absl::Status echoes = CheckEcho(format, (*event)->started());
  if (!echoes.ok()) {
    turns->Cancel();
    return Answer(asked, ErrorResponse(echoes));
  }
  if (!format.stream) {
    std::make_shared<WholeChoices>(turns, format, asked->call, parts_.texts,
                                   [this, asked](HttpResponse response) {
                                     Answer(asked, std::move(response));
                                   })
        ->Begin(**event);
    return;
  }
  const auto source = std::make_shared<ChoicesSource>(
      ChoicesSource::Parts{.turns = turns,
                           .format = format,
                           .call = asked->call,
                           .texts = parts_.texts,
                           .metrics = parts_.metrics});
  source->Begin((*event)->started());
  Stream(asked, StreamHead(), source);
}

void GatewayHandler::BeginStream(const AskedPtr& asked,
                                 std::shared_ptr<client::TurnStream> turn,
                                 std::unique_ptr<StreamWriter> writer,
                                 const v1::TurnStarted& started) {
  HttpResponse head = StreamHead();
  head.headers.push_back(
      {"X-Tandem-Stream", WriteTurnName(started.session_id(), started.turn())});
  Stream(asked, std::move(head),
         std::make_shared<TurnSource>(
             TurnSource::Parts{.turn = std::move(turn),
                               .writer = std::move(writer),
                               .call = asked->call,
                               .store = parts_.store,
                               .texts = parts_.texts,
                               .metrics = parts_.metrics},
             started));
}

void GatewayHandler::Stream(const AskedPtr& asked, HttpResponse head,
                            std::shared_ptr<EventSource> source) {
  head.headers.insert(head.headers.end(), asked->cors.begin(),
                      asked->cors.end());
  parts_.metrics->CountRequest(asked->route, head.status);
  asked->exchange->Stream(std::move(head), std::move(source));
}

void GatewayHandler::HandleModels(const AskedPtr& asked,
                                  absl::string_view /*rest*/) {
  AnswerByCall(asked, [client = parts_.client, call = asked->call] {
    return ReplyModels(client, call);
  });
}

void GatewayHandler::HandleModel(const AskedPtr& asked,
                                 absl::string_view rest) {
  AnswerByCall(
      asked, [client = parts_.client, call = asked->call,
              id = std::string(rest)] { return ReplyModel(client, call, id); });
}

void GatewayHandler::HandleStatus(const AskedPtr& asked,
                                  absl::string_view /*rest*/) {
  AnswerByCall(asked, [client = parts_.client, call = asked->call] {
    return ReplyStatus(client, call);
  });
}

void GatewayHandler::HandleInfo(const AskedPtr& asked,
                                absl::string_view /*rest*/) {
  AnswerByCall(asked, [client = parts_.client, call = asked->call] {
    return ReplyInfo(client, call);
  });
}

void GatewayHandler::HandleTokenize(const AskedPtr& asked,
                                    absl::string_view /*rest*/) {
  AnswerByCall(asked, [client = parts_.client, call = asked->call, asked] {
    return ReplyTokenize(client, call, asked->request.body);
  });
}

void GatewayHandler::HandleDetokenize(const AskedPtr& asked,
                                      absl::string_view /*rest*/) {
  AnswerByCall(asked, [client = parts_.client, call = asked->call, asked] {
    return ReplyDetokenize(client, call, asked->request.body);
  });
}

void GatewayHandler::HandleHealth(const AskedPtr& asked,
                                  absl::string_view /*rest*/) {
  AnswerByCall(asked, [client = parts_.client] { return ReplyHealth(client); });
}

void GatewayHandler::AnswerByCall(const AskedPtr& asked,
                                  std::function<HttpResponse()> call) {
  asked->call.timeout = kCallTimeout;
  if (!parts_.pool->Run(
          [this, asked, ask = std::move(call)] { Answer(asked, ask()); })) {
    Answer(asked, TooManyWait());
  }
}

void GatewayHandler::Answer(const AskedPtr& asked, HttpResponse response) {
  parts_.metrics->CountRequest(asked->route, response.status);
  response.headers.insert(response.headers.end(), asked->cors.begin(),
                          asked->cors.end());
  asked->exchange->Answer(std::move(response));
}

}  // namespace tandem::gateway
