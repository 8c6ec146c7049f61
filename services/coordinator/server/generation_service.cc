#include "services/coordinator/server/generation_service.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/base/utf8.h"
#include "services/common/channel.h"
#include "services/common/options_conversion.h"
#include "services/common/status_conversion.h"
#include "services/common/trace_context.h"
#include "services/common/version.h"
#include "services/coordinator/client/request_checks.h"
#include "services/coordinator/score/score_call.h"

namespace tandem {
namespace {

// Ids up to this are made text on gRPC's thread.
constexpr int kInlineTokens = 4096;

template <typename Message>
bool Parse(const grpc::ByteBuffer& bytes, Message* message) {
  grpc::ByteBuffer copy(bytes);  // shares the slices
  return grpc::SerializationTraits<Message>::Deserialize(&copy, message).ok();
}

template <typename Message>
grpc::ByteBuffer Serialize(const Message& message) {
  grpc::ByteBuffer bytes;
  bool own_buffer = false;
  const grpc::Status status = grpc::SerializationTraits<Message>::Serialize(
      message, &bytes, &own_buffer);
  TANDEM_CHECK(status.ok());
  return bytes;
}

// `text` with U+FFFD for each maximal subpart that is not UTF-8.
std::string ReplaceMalformed(absl::string_view text) {
  std::string replaced;
  while (!text.empty()) {
    const Utf8Prefix prefix = FirstUtf8(text);
    if (prefix.kind == Utf8Prefix::Kind::kCharacter) {
      replaced.append(text.data(), prefix.bytes);
    } else {
      replaced.append(kReplacementCharacter);
    }
    text.remove_prefix(prefix.bytes);
  }
  return replaced;
}

// The text of `ids`, which the vocabulary has. INVALID_OPTIONS where it is
// longer than a message that clients take: an id of 2 bytes may stand for 256.
absl::StatusOr<std::string> TextOf(absl::Span<const TokenId> ids,
                                   bool skip_special,
                                   const Tokenizer& tokenizer) {
  size_t bytes = 0;
  for (const TokenId id : ids) {
    bytes += tokenizer.TokenText(id, skip_special).size();
    if (bytes > size_t{kRequestBytesMax}) {
      return InvalidField(
          "token_ids", absl::StrCat("must stand for at most ", kRequestBytesMax,
                                    " bytes of text"));
    }
  }
  return ReplaceMalformed(tokenizer.Decode(ids, skip_special));
}

std::string PathOf(absl::string_view method) {
  return absl::StrCat("/", v1::GenerationService::service_full_name(), "/",
                      method);
}

// When the client itself gives up.
std::optional<MonotonicTime> DeadlineOf(
    const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return {};
  // The wall clock's time, which gRPC made of the time that is left.
  return std::chrono::steady_clock::now() +
         (deadline - std::chrono::system_clock::now());
}

ClientStreamSetup SetupOf(const grpc::CallbackServerContext& context,
                          Caller caller, const char* turn_field) {
  ClientStreamSetup setup;
  setup.tenant = std::move(caller.tenant);
  setup.turn_field = turn_field;
  setup.trace = TraceContextOf(context.client_metadata());
  setup.call_deadline = DeadlineOf(context);
  return setup;
}

// Of a stream whose caller is not admitted.
template <typename Reactor>
class DeniedReactor final : public Reactor {
 public:
  explicit DeniedReactor(const absl::Status& status) {
    this->Finish(ToGrpcStatus(status));
  }
  void OnDone() override { delete this; }
};

using BidiReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;
using WriteReactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

// What the reactors of Converse and Generate share. They live until OnDone,
// which comes after the stream's Finish; the stream may live longer, in
// closures that find it finished.
template <typename Reactor>
class ClientReactor : public Reactor, public ClientTransport {
 public:
  ClientReactor(ClientServices* services, ClientStreamRegistry* registry,
                ClientStreamSetup setup)
      : registry_(registry),
        trace_id_(setup.trace.has_value() ? setup.trace->trace_id : ""),
        stream_(
            std::make_shared<ClientStream>(services, this, std::move(setup))) {}

  void Finish(const absl::Status& status) override {
    Reactor::Finish(ToGrpcStatus(status, trace_id_));
  }
  void OnWriteDone(bool /*ok*/) override { stream_->PostWriteDone(); }
  void OnCancel() override { stream_->PostCancelled(); }
  void OnDone() override {
    registry_->Remove(stream_.get());
    delete this;
  }

 protected:
  // From here on other threads may call; not before the whole object is there.
  void Register() { registry_->Add(stream_); }
  template <typename Message>
  void WriteMessage(const Message& message) {
    write_buffer_ = Serialize(message);
    this->StartWrite(&write_buffer_);
  }
  ClientStream* stream() { return stream_.get(); }

 private:
  ClientStreamRegistry* const registry_;
  const std::string trace_id_;  // empty: none
  const std::shared_ptr<ClientStream> stream_;
  grpc::ByteBuffer write_buffer_;
};

class ConverseReactor : public ClientReactor<BidiReactor> {
 public:
  // `admit`: whether the caller may begin another turn.
  ConverseReactor(ClientServices* services, ClientStreamRegistry* registry,
                  ClientStreamSetup setup,
                  absl::AnyInvocable<absl::Status()> admit)
      : ClientReactor(services, registry, std::move(setup)),
        admit_(std::move(admit)) {
    Register();
    // A stream that the drain did not find there.
    if (services->draining.load()) stream()->PostDrain();
    StartRead(&read_buffer_);
  }

  void Read() override { StartRead(&read_buffer_); }
  void Write(const v1::ConverseResponse& event) override {
    WriteMessage(event);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return stream()->PostHalfClose();
    v1::ConverseRequest message;
    if (!Parse(read_buffer_, &message)) {
      return stream()->PostRefused(MalformedMessage());
    }
    if (message.has_start() || message.has_resume()) {
      const absl::Status status = admit_();
      if (!status.ok()) return stream()->PostRefused(status);
    }
    stream()->PostMessage(std::move(message));
  }

 private:
  absl::AnyInvocable<absl::Status()> admit_;
  grpc::ByteBuffer read_buffer_;
};

v1::GenerateResponse ToGenerateResponse(const v1::ConverseResponse& event) {
  v1::GenerateResponse response;
  switch (event.event_case()) {
    case v1::ConverseResponse::kStarted:
      *response.mutable_started() = event.started();
      break;
    case v1::ConverseResponse::kTokens:
      *response.mutable_tokens() = event.tokens();
      break;
    case v1::ConverseResponse::kEnded:
      *response.mutable_ended() = event.ended();
      break;
    case v1::ConverseResponse::kPrompt:
      *response.mutable_prompt() = event.prompt();
      break;
    case v1::ConverseResponse::EVENT_NOT_SET:
      break;
  }
  return response;
}

// A stream of one turn whose client has half-closed.
class GenerateReactor : public ClientReactor<WriteReactor> {
 public:
  GenerateReactor(ClientServices* services, ClientStreamRegistry* registry,
                  ClientStreamSetup setup, const grpc::ByteBuffer& request)
      : ClientReactor(services, registry, std::move(setup)) {
    Register();
    v1::GenerateRequest generate;
    if (!Parse(request, &generate)) {
      stream()->PostRefused(MalformedMessage());
      return;
    }
    v1::ConverseRequest message;
    *message.mutable_start() = std::move(*generate.mutable_turn());
    stream()->PostMessage(std::move(message));
  }

  // The stream asks for the next message once it has taken the first.
  void Read() override { stream()->PostHalfClose(); }
  void Write(const v1::ConverseResponse& event) override {
    WriteMessage(ToGenerateResponse(event));
  }
};

// As ClientReactor, of a Score call.
class ScoreReactor : public grpc::ServerUnaryReactor, public ScoreTransport {
 public:
  ScoreReactor(ClientServices* services, ClientStreamRegistry* registry,
               ScoreCallSetup setup, grpc::ByteBuffer* response)
      : registry_(registry),
        response_(response),
        trace_id_(setup.trace.has_value() ? setup.trace->trace_id : ""),
        call_(std::make_shared<ScoreCall>(services, this, std::move(setup))) {
    registry_->Add(call_);
  }

  // Once.
  void Begin(const grpc::ByteBuffer& bytes) {
    v1::ScoreRequest request;
    if (Parse(bytes, &request)) {
      call_->PostRequest(std::move(request));
    } else {
      call_->PostRefused(MalformedMessage());
    }
  }

  void Finish(const absl::StatusOr<v1::ScoreResponse>& response) override {
    if (response.ok()) *response_ = Serialize(*response);
    ServerUnaryReactor::Finish(ToGrpcStatus(response.status(), trace_id_));
  }
  void OnCancel() override { call_->PostCancelled(); }
  void OnDone() override {
    registry_->Remove(call_.get());
    delete this;
  }

 private:
  ClientStreamRegistry* const registry_;
  grpc::ByteBuffer* const response_;
  const std::string trace_id_;  // empty: none
  const std::shared_ptr<ScoreCall> call_;
};

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                 const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

// What a call of one answer costs, and who pays.
struct TextWork {
  std::string tenant;
  int64_t bytes = 0;
  bool is_short = false;
  absl::AnyInvocable<absl::Status()> run = {};
};

// Runs `work` here if it is short, else on a helper thread.
grpc::ServerUnaryReactor* AnswerWith(grpc::CallbackServerContext* context,
                                     ClientServices* services, TextWork work) {
  if (work.is_short) return Answer(context, work.run());
  // For the next call: this thread may not touch sessions.
  if (!services->memory->HasRoom(work.tenant, work.bytes)) {
    services->loop->Post([services, tenant = work.tenant, bytes = work.bytes] {
      services->sessions->MakeRoom(tenant, bytes);
    });
  }
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::Status status = services->background->Run(
      {.tenant = std::move(work.tenant),
       .bytes = work.bytes,
       .run =
           [reactor, run = std::move(work.run)]() mutable {
             reactor->Finish(ToGrpcStatus(run()));
           },
       .is_over = [context] { return context->IsCancelled(); },
       .drop =
           [reactor] {
             reactor->Finish(
                 ToGrpcStatus(absl::CancelledError("the client is gone")));
           }});
  if (!status.ok()) reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace

void ClientStreamRegistry::Add(const std::shared_ptr<ClientCall>& call) {
  const absl::MutexLock lock(&mutex_);
  calls_.emplace(call.get(), call);
}

void ClientStreamRegistry::Remove(const ClientCall* call) {
  const absl::MutexLock lock(&mutex_);
  calls_.erase(call);
  removed_.Notify();
}

std::vector<std::shared_ptr<ClientCall>> ClientStreamRegistry::All() const {
  std::vector<std::shared_ptr<ClientCall>> all;
  const absl::MutexLock lock(&mutex_);
  for (const auto& [key, weak] : calls_) {
    if (std::shared_ptr<ClientCall> strong = weak.lock()) {
      all.push_back(std::move(strong));
    }
  }
  return all;
}

void ClientStreamRegistry::PostDrain() {
  for (const auto& call : All()) call->PostDrain();
}

void ClientStreamRegistry::PostStop() {
  for (const auto& call : All()) call->PostStop();
}

bool ClientStreamRegistry::WaitUntilEmpty(std::chrono::milliseconds timeout) {
  const absl::MutexLock lock(&mutex_);
  const auto empty = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return calls_.empty();
  };
  return removed_.Await(&mutex_, MonotonicNow() + absl::FromChrono(timeout),
                        empty);
}

size_t ClientStreamRegistry::size() const {
  const absl::MutexLock lock(&mutex_);
  return calls_.size();
}

absl::StatusOr<Caller> GenerationService::Admit(
    const grpc::CallbackServerContext& context,
    absl::string_view method) const {
  return gate_->Admit(context, PathOf(method));
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
GenerationService::Converse(grpc::CallbackServerContext* context) {
  // The context lives as long as the reactor.
  const auto admit = [this, context] { return Admit(*context, "Converse"); };
  absl::StatusOr<Caller> caller = admit();
  if (!caller.ok()) return new DeniedReactor<BidiReactor>(caller.status());
  return new ConverseReactor(services_, registry_,
                             SetupOf(*context, *std::move(caller), "start"),
                             [admit] { return admit().status(); });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerationService::Generate(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  absl::StatusOr<Caller> caller = Admit(*context, "Generate");
  if (!caller.ok()) return new DeniedReactor<WriteReactor>(caller.status());
  ClientStreamSetup setup = SetupOf(*context, *std::move(caller), "turn");
  setup.use = SessionUse::kOneShot;
  return new GenerateReactor(services_, registry_, std::move(setup), *request);
}

grpc::ServerUnaryReactor* GenerationService::Score(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  absl::StatusOr<Caller> caller = Admit(*context, "Score");
  if (!caller.ok()) return Answer(context, caller.status());
  auto* const reactor =
      new ScoreReactor(services_, registry_,
                       {.tenant = std::move(caller->tenant),
                        .trace = TraceContextOf(context->client_metadata()),
                        .deadline = DeadlineOf(*context)},
                       response);
  reactor->Begin(*request);
  return reactor;
}

grpc::ServerUnaryReactor* GenerationService::Tokenize(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  const absl::StatusOr<Caller> caller = Admit(*context, "Tokenize");
  if (!caller.ok()) return Answer(context, caller.status());
  v1::TokenizeRequest parsed;
  if (!Parse(*request, &parsed)) return Answer(context, MalformedMessage());
  absl::StatusOr<ModelSummary> model =
      services_->router->FindModel(parsed.model_id());
  if (!model.ok()) return Answer(context, model.status());
  TextWork work{.tenant = caller->tenant,
                .bytes = static_cast<int64_t>(parsed.text().size()),
                .is_short = parsed.text().size() <= kInlineTextBytes};
  work.run = [response, parsed = std::move(parsed),
              tokenizer = std::move(model->tokenizer)] {
    const bool add_bos =
        (!parsed.has_add_bos() || parsed.add_bos()) && tokenizer->adds_bos();
    const std::vector<TokenId> ids = tokenizer->Encode(
        parsed.text(),
        {.add_bos = add_bos, .parse_special = parsed.parse_special()});
    v1::TokenizeResponse message;
    message.mutable_token_ids()->Add(ids.begin(), ids.end());
    *response = Serialize(message);
    return absl::OkStatus();
  };
  return AnswerWith(context, services_, std::move(work));
}

grpc::ServerUnaryReactor* GenerationService::Detokenize(
    grpc::CallbackServerContext* context, const v1::DetokenizeRequest* request,
    v1::DetokenizeResponse* response) {
  const absl::StatusOr<Caller> caller = Admit(*context, "Detokenize");
  if (!caller.ok()) return Answer(context, caller.status());
  absl::StatusOr<ModelSummary> model =
      services_->router->FindModel(request->model_id());
  if (!model.ok()) return Answer(context, model.status());
  TextWork work{.tenant = caller->tenant,
                .bytes = request->token_ids_size() * int64_t{sizeof(TokenId)},
                .is_short = request->token_ids_size() <= kInlineTokens};
  work.run = [request, response, model = *std::move(model)]() -> absl::Status {
    const std::vector<TokenId> ids(request->token_ids().begin(),
                                   request->token_ids().end());
    TANDEM_RETURN_IF_ERROR(CheckTokenIds(ids, model.vocab_size, "token_ids"));
    const bool skip_special =
        !request->has_skip_special() || request->skip_special();
    TANDEM_ASSIGN_OR_RETURN(*response->mutable_text(),
                            TextOf(ids, skip_special, *model.tokenizer));
    return absl::OkStatus();
  };
  return AnswerWith(context, services_, std::move(work));
}

grpc::ServerUnaryReactor* GenerationService::ListModels(
    grpc::CallbackServerContext* context,
    const v1::ListModelsRequest* /*request*/,
    v1::ListModelsResponse* response) {
  const absl::StatusOr<Caller> caller = Admit(*context, "ListModels");
  if (!caller.ok()) return Answer(context, caller.status());
  for (const ModelSummary& model : services_->router->Models()) {
    v1::ModelInfo& info = *response->add_models();
    info.set_model_id(model.model_id);
    info.set_fingerprint(model.fingerprint);
    info.set_vocabulary_fingerprint(model.vocabulary_fingerprint);
    info.set_numerics(model.numerics);
    info.set_context_max(model.context_max);
    info.set_vocab_size(model.vocab_size);
    info.set_target_workers(model.target_workers);
    info.set_draft_workers(model.draft_workers);
    const ChatTemplate& chat_template = model.tokenizer->chat_template();
    const absl::Status usable = chat_template.Check({});
    if (usable.ok()) info.set_chat_template(kDefaultChatTemplate);
    info.set_chat_template_error(std::string(usable.message()));
    for (std::string& name : chat_template.names()) {
      info.add_chat_template_names(std::move(name));
    }
    if (model.reply_format == nullptr) continue;
    info.set_tool_format(model.reply_format->tool_format);
    info.set_tool_format_error(
        std::string(model.reply_format->tools_error.message()));
    info.set_has_reasoning(model.reply_format->has_channels ||
                           !model.reply_format->reasoning_end.empty());
  }
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* GenerationService::GetServerInfo(
    grpc::CallbackServerContext* context,
    const v1::GetServerInfoRequest* /*request*/,
    v1::GetServerInfoResponse* response) {
  const absl::StatusOr<Caller> caller = Admit(*context, "GetServerInfo");
  if (!caller.ok()) return Answer(context, caller.status());
  response->set_version(kTandemVersion);
  v1::ServerLimits& limits = *response->mutable_limits();
  const SessionLimits& sessions = services_->sessions->limits();
  limits.set_message_bytes(kRequestBytesMax);
  limits.set_sessions(sessions.sessions_max);
  limits.set_turns(services_->quotas->turns_max());
  const auto seconds = [](MonotonicDuration duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  };
  limits.set_session_idle_seconds(seconds(sessions.idle));
  limits.set_generate_idle_seconds(
      seconds(std::min(sessions.idle, sessions.one_shot_idle)));
  *response->mutable_default_options() = ToProto(GenOptions());
  return Answer(context, absl::OkStatus());
}

}  // namespace tandem
