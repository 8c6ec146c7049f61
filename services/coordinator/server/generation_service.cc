#include "services/coordinator/server/generation_service.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/base/utf8.h"
#include "services/common/channel.h"
#include "services/common/options_conversion.h"
#include "services/common/status_conversion.h"
#include "services/common/trace_context.h"
#include "services/common/version.h"
#include "services/coordinator/client/request_checks.h"
#include "services/coordinator/server/tenant.h"

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

ConversationSetup SetupOf(const grpc::CallbackServerContext& context,
                          const char* turn_field) {
  ConversationSetup setup;
  setup.tenant = TenantOf(context.auth_context().get());
  setup.turn_field = turn_field;
  setup.trace = TraceContextOf(context.client_metadata());
  const auto deadline = context.deadline();
  if (deadline != std::chrono::system_clock::time_point::max()) {
    setup.call_deadline = deadline;
  }
  return setup;
}

std::string TraceIdOf(const ConversationSetup& setup) {
  return setup.trace.has_value() ? setup.trace->trace_id : "";
}

// Reactors live until OnDone, which comes after the conversation's Finish; the
// conversation may live longer, in closures that find it finished.
class ConverseReactor
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
      public ClientStream {
 public:
  ConverseReactor(ConversationServices* services,
                  ConversationRegistry* registry, EventLoop* loop,
                  ConversationSetup setup)
      : registry_(registry),
        trace_id_(TraceIdOf(setup)),
        conversation_(std::make_shared<Conversation>(services, loop, this,
                                                     std::move(setup))) {
    registry_->Add(conversation_);
    // A stream that the drain did not find there.
    if (services->draining.load()) conversation_->PostDrain();
    StartRead(&read_buffer_);
  }

  void Read() override { StartRead(&read_buffer_); }
  void Write(const v1::ConverseResponse& event) override {
    write_buffer_ = Serialize(event);
    StartWrite(&write_buffer_);
  }
  void Finish(const absl::Status& status) override {
    ServerBidiReactor::Finish(ToGrpcStatus(status, trace_id_));
  }

  void OnReadDone(bool ok) override {
    if (!ok) return conversation_->PostHalfClose();
    v1::ConverseRequest message;
    if (!Parse(read_buffer_, &message)) return conversation_->PostMalformed();
    conversation_->PostMessage(std::move(message));
  }
  void OnWriteDone(bool /*ok*/) override { conversation_->PostWriteDone(); }
  void OnCancel() override { conversation_->PostCancelled(); }
  void OnDone() override {
    registry_->Remove(conversation_.get());
    delete this;
  }

 private:
  ConversationRegistry* const registry_;
  const std::string trace_id_;  // empty: none
  const std::shared_ptr<Conversation> conversation_;
  grpc::ByteBuffer read_buffer_;
  grpc::ByteBuffer write_buffer_;
};

v1::GenerateResponse ToGenerateResponse(v1::ConverseResponse event) {
  v1::GenerateResponse response;
  switch (event.event_case()) {
    case v1::ConverseResponse::kStarted:
      *response.mutable_started() = std::move(*event.mutable_started());
      break;
    case v1::ConverseResponse::kTokens:
      *response.mutable_tokens() = std::move(*event.mutable_tokens());
      break;
    case v1::ConverseResponse::kEnded:
      *response.mutable_ended() = std::move(*event.mutable_ended());
      break;
    case v1::ConverseResponse::EVENT_NOT_SET:
      break;
  }
  return response;
}

// A conversation of one turn whose client has half-closed.
class GenerateReactor : public grpc::ServerWriteReactor<grpc::ByteBuffer>,
                        public ClientStream {
 public:
  GenerateReactor(ConversationServices* services,
                  ConversationRegistry* registry, EventLoop* loop,
                  ConversationSetup setup, const grpc::ByteBuffer& request)
      : registry_(registry),
        trace_id_(TraceIdOf(setup)),
        conversation_(std::make_shared<Conversation>(services, loop, this,
                                                     std::move(setup))) {
    registry_->Add(conversation_);
    v1::GenerateRequest generate;
    if (!Parse(request, &generate)) {
      conversation_->PostMalformed();
      return;
    }
    v1::ConverseRequest message;
    *message.mutable_start() = std::move(*generate.mutable_turn());
    conversation_->PostMessage(std::move(message));
  }

  // The conversation asks for the next message once it has taken the first.
  void Read() override { conversation_->PostHalfClose(); }
  void Write(const v1::ConverseResponse& event) override {
    write_buffer_ = Serialize(ToGenerateResponse(event));
    StartWrite(&write_buffer_);
  }
  void Finish(const absl::Status& status) override {
    ServerWriteReactor::Finish(ToGrpcStatus(status, trace_id_));
  }

  void OnWriteDone(bool /*ok*/) override { conversation_->PostWriteDone(); }
  void OnCancel() override { conversation_->PostCancelled(); }
  void OnDone() override {
    registry_->Remove(conversation_.get());
    delete this;
  }

 private:
  ConversationRegistry* const registry_;
  const std::string trace_id_;  // empty: none
  const std::shared_ptr<Conversation> conversation_;
  grpc::ByteBuffer write_buffer_;
};

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                 const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

// Runs `work` here if it is short, else on the background thread.
grpc::ServerUnaryReactor* AnswerWith(grpc::CallbackServerContext* context,
                                     BackgroundThread* background,
                                     bool is_short,
                                     absl::AnyInvocable<absl::Status()> work) {
  if (is_short) return Answer(context, work());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::Status status =
      background->Run([reactor, work = std::move(work)]() mutable {
        reactor->Finish(ToGrpcStatus(work()));
      });
  if (!status.ok()) reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace

void ConversationRegistry::Add(
    const std::shared_ptr<Conversation>& conversation) {
  const std::lock_guard<std::mutex> lock(mutex_);
  conversations_.emplace(conversation.get(), conversation);
}

void ConversationRegistry::Remove(const Conversation* conversation) {
  const std::lock_guard<std::mutex> lock(mutex_);
  conversations_.erase(conversation);
  if (conversations_.empty()) empty_.notify_all();
}

std::vector<std::shared_ptr<Conversation>> ConversationRegistry::All() const {
  std::vector<std::shared_ptr<Conversation>> all;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [key, weak] : conversations_) {
    if (std::shared_ptr<Conversation> strong = weak.lock()) {
      all.push_back(std::move(strong));
    }
  }
  return all;
}

void ConversationRegistry::PostDrain() {
  for (const auto& conversation : All()) conversation->PostDrain();
}

void ConversationRegistry::PostStop() {
  for (const auto& conversation : All()) conversation->PostStop();
}

bool ConversationRegistry::WaitUntilEmpty(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  return empty_.wait_for(lock, timeout,
                         [this] { return conversations_.empty(); });
}

size_t ConversationRegistry::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return conversations_.size();
}

GenerationService::GenerationService(ConversationServices* services,
                                     ConversationRegistry* registry,
                                     std::vector<EventLoop*> loops)
    : services_(services), registry_(registry), loops_(std::move(loops)) {}

EventLoop* GenerationService::NextLoop() {
  return loops_[next_loop_.fetch_add(1) % loops_.size()];
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>*
GenerationService::Converse(grpc::CallbackServerContext* context) {
  return new ConverseReactor(services_, registry_, NextLoop(),
                             SetupOf(*context, "start"));
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* GenerationService::Generate(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request) {
  return new GenerateReactor(services_, registry_, NextLoop(),
                             SetupOf(*context, "turn"), *request);
}

grpc::ServerUnaryReactor* GenerationService::Tokenize(
    grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
    grpc::ByteBuffer* response) {
  v1::TokenizeRequest parsed;
  if (!Parse(*request, &parsed)) return Answer(context, MalformedMessage());
  absl::StatusOr<ModelSummary> model =
      services_->router->FindModel(parsed.model_id());
  if (!model.ok()) return Answer(context, model.status());
  const bool is_short = parsed.text().size() <= kInlineTextBytes;
  return AnswerWith(
      context, services_->background, is_short,
      [response, parsed = std::move(parsed),
       tokenizer = std::move(model->tokenizer)] {
        const bool add_bos = (!parsed.has_add_bos() || parsed.add_bos()) &&
                             tokenizer->adds_bos();
        const std::vector<TokenId> ids = tokenizer->Encode(
            parsed.text(),
            {.add_bos = add_bos, .parse_special = parsed.parse_special()});
        v1::TokenizeResponse message;
        message.mutable_token_ids()->Add(ids.begin(), ids.end());
        *response = Serialize(message);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GenerationService::Detokenize(
    grpc::CallbackServerContext* context, const v1::DetokenizeRequest* request,
    v1::DetokenizeResponse* response) {
  absl::StatusOr<ModelSummary> model =
      services_->router->FindModel(request->model_id());
  if (!model.ok()) return Answer(context, model.status());
  return AnswerWith(
      context, services_->background,
      request->token_ids_size() <= kInlineTokens,
      [request, response, model = *std::move(model)] {
        const std::vector<TokenId> ids(request->token_ids().begin(),
                                       request->token_ids().end());
        TANDEM_RETURN_IF_ERROR(
            CheckTokenIds(ids, model.vocab_size, "token_ids"));
        const bool skip_special =
            !request->has_skip_special() || request->skip_special();
        response->set_text(
            ReplaceMalformed(model.tokenizer->Decode(ids, skip_special)));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* GenerationService::ListModels(
    grpc::CallbackServerContext* context,
    const v1::ListModelsRequest* /*request*/,
    v1::ListModelsResponse* response) {
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
  }
  return Answer(context, absl::OkStatus());
}

grpc::ServerUnaryReactor* GenerationService::GetServerInfo(
    grpc::CallbackServerContext* context,
    const v1::GetServerInfoRequest* /*request*/,
    v1::GetServerInfoResponse* response) {
  response->set_version(kTandemVersion);
  v1::ServerLimits& limits = *response->mutable_limits();
  const SessionLimits& sessions = services_->sessions->limits();
  limits.set_message_bytes(kRequestBytesMax);
  limits.set_sessions(sessions.sessions_max);
  limits.set_turns(services_->admission->turns_max());
  limits.set_session_idle_seconds(
      std::chrono::duration_cast<std::chrono::seconds>(sessions.idle).count());
  *response->mutable_default_options() = ToProto(GenOptions());
  return Answer(context, absl::OkStatus());
}

}  // namespace tandem
