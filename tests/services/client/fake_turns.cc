#include "tests/services/client/fake_turns.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "services/common/channel.h"

namespace tandem::client {

FakeTurns::FakeTurns(const std::string& address) : address_(address) {
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  int port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  TANDEM_CHECK(server_ != nullptr);
  if (address == "127.0.0.1:0") address_ = absl::StrCat("127.0.0.1:", port);
}

FakeTurns::~FakeTurns() { server_->Shutdown(std::chrono::system_clock::now()); }

void FakeTurns::Expect(std::deque<StreamScript> scripts) {
  absl::MutexLock lock(&mutex_);
  scripts_ = std::move(scripts);
}

std::vector<v1::ConverseRequest> FakeTurns::firsts() const {
  absl::MutexLock lock(&mutex_);
  return firsts_;
}

int FakeTurns::written() const {
  absl::MutexLock lock(&mutex_);
  return written_;
}

int FakeTurns::left() const {
  absl::MutexLock lock(&mutex_);
  return left_;
}

std::string FakeTurns::authorization() const {
  absl::MutexLock lock(&mutex_);
  return authorization_;
}

std::string FakeTurns::Text() const {
  std::string text;
  for (int i = 0; i < kTokens; ++i) {
    text.append(static_cast<size_t>(text_bytes), static_cast<char>('a' + i));
  }
  return text;
}

StreamScript FakeTurns::NoteStream(const grpc::ServerContext& context,
                                   const v1::ConverseRequest& first) {
  const auto found = context.client_metadata().find(kAuthorizationKey);
  absl::MutexLock lock(&mutex_);
  authorization_.clear();
  if (found != context.client_metadata().end()) {
    authorization_.assign(found->second.data(), found->second.size());
  }
  firsts_.push_back(first);
  if (scripts_.empty()) return {};
  const StreamScript script = scripts_.front();
  scripts_.pop_front();
  return script;
}

std::vector<v1::ConverseResponse> FakeTurns::EventsAfter(
    const v1::ResumeRequest& has) const {
  std::vector<v1::ConverseResponse> events(1);
  v1::TurnStarted* const started = events.front().mutable_started();
  started->set_session_id("s1");
  started->set_turn(turn_number);
  started->set_fingerprint("f00d");
  for (int64_t i = has.prompt_tokens_received(); i < prompt_tokens; ++i) {
    v1::PromptScored* const prompt = events.emplace_back().mutable_prompt();
    prompt->set_first_token(i);
    prompt->add_token_ids(50 + static_cast<int32_t>(i));
    prompt->add_logprobs()->set_logprob(-1);
  }
  const std::string text = Text();
  size_t sent = static_cast<size_t>(has.text_bytes_received());
  for (int64_t i = has.tokens_received(); i < kTokens; ++i) {
    v1::TokensGenerated* const tokens = events.emplace_back().mutable_tokens();
    tokens->set_first_token(i);
    tokens->add_token_ids(100 + static_cast<int32_t>(i));
    const size_t decided = static_cast<size_t>(i * text_bytes);
    if (decided > sent) {
      tokens->set_text(text.substr(sent, decided - sent));
      sent = decided;
    }
  }
  v1::TurnEnded* const ended = events.emplace_back().mutable_ended();
  ended->set_finish_reason(waits_for_cancel ? v1::FINISH_REASON_CANCELLED
                                            : v1::FINISH_REASON_LENGTH);
  ended->set_text(text.substr(sent));
  ended->mutable_usage()->set_generated_tokens(kTokens);
  return events;
}

grpc::Status FakeTurns::Converse(grpc::ServerContext* context, Stream* stream) {
  v1::ConverseRequest request;
  if (!stream->Read(&request)) return grpc::Status::OK;
  const StreamScript script = NoteStream(*context, request);
  int events = script.events;
  bool was_cancelled = false;
  for (v1::ConverseResponse& event : EventsAfter(request.resume())) {
    if (events-- == 0) {
      if (script.resets) context->TryCancel();
      return script.status;
    }
    if (event.has_ended() && waits_for_cancel) {
      while (!was_cancelled && stream->Read(&request)) {
        was_cancelled = request.has_cancel();
      }
      if (!was_cancelled) break;  // the client went
    }
    if (event.has_tokens()) {
      event.mutable_tokens()->set_first_token(event.tokens().first_token() +
                                              script.token_shift);
    }
    if (!stream->Write(event)) break;
    absl::MutexLock lock(&mutex_);
    ++written_;
  }
  while (stream->Read(&request)) {  // until the client half-closes
  }
  absl::MutexLock lock(&mutex_);
  left_ += context->IsCancelled() ? 1 : 0;
  return grpc::Status::OK;
}

grpc::Status FakeTurns::Tokenize(grpc::ServerContext* context,
                                 const v1::TokenizeRequest* request,
                                 v1::TokenizeResponse* response) {
  (void)NoteStream(*context, {});
  for (const char c : request->text()) response->add_token_ids(c);
  return grpc::Status::OK;
}

Received ReadAll(TurnStream* stream, int events) {
  Received received;
  for (; events > 0; --events) {
    const NextEvent next = stream->Next();
    if (!next.ok()) {
      received.error = next.status();
      break;
    }
    if (!next->has_value()) break;
    const Event& event = **next;
    received.started += event.has_started() ? 1 : 0;
    received.tokens.insert(received.tokens.end(),
                           event.tokens().token_ids().begin(),
                           event.tokens().token_ids().end());
    received.text += event.tokens().text() + event.ended().text();
    if (event.has_ended())
      received.finish_reason = event.ended().finish_reason();
  }
  return received;
}

}  // namespace tandem::client
