// A client over a ClientStream that the test drives: it reads at once, or does
// not, and keeps what it got. Owned by the test; one thread.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_CLIENT_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_CLIENT_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/coordinator/client/client_stream.h"

namespace tandem {

class FakeClient : public ClientTransport {
 public:
  FakeClient(ClientServices* services, const std::string& tenant,
             SessionUse use)
      : stream_(std::make_shared<ClientStream>(
            services, this,
            ClientStreamSetup{.tenant = tenant,
                              .turn_field = "start",
                              .use = use,
                              .call_deadline = std::nullopt})) {}

  void Read() override {
    // A Generate's client has said all.
    if (half_closes) stream_->PostHalfClose();
  }
  void Write(const v1::ConverseResponse& event) override {
    if (event.has_started()) {
      session_id = event.started().session_id();
      turn = event.started().turn();
      prompt_tokens = event.started().prompt_tokens();
      started = event.started();
      has_started = true;
    }
    if (event.has_tokens()) {
      EXPECT_EQ(event.tokens().first_token(),
                static_cast<int64_t>(tokens.size()));
      for (const int32_t id : event.tokens().token_ids()) tokens.push_back(id);
      text += event.tokens().text();
      AddParts(event.tokens().reply());
      for (const v1::PositionLogprobs& position : event.tokens().logprobs()) {
        logprobs += position.logprob() == -1 ? 1 : 0;
      }
      for (const v1::VerifiedRound& round : event.tokens().rounds()) {
        EXPECT_LE(round.tokens(), round.accepted_tokens() + 1);
      }
    }
    if (event.has_ended()) {
      has_ended = true;
      ended = event.ended();
      text += ended.text();
      AddParts(ended.reply());
    }
    if (reads) {
      stream_->PostWriteDone();
    } else {
      is_write_pending = true;
    }
  }
  void Finish(const absl::Status& status) override { finished = status; }
  void AddParts(const v1::ReplyDelta& reply) {
    content += reply.content();
    reasoning += reply.reasoning();
  }

  void Send(v1::ConverseRequest message) {
    stream_->PostMessage(std::move(message));
  }
  // With `more` set.
  void Start(const std::string& prompt, int max_tokens,
             v1::TurnRequest more = {}) {
    v1::ConverseRequest message;
    v1::TurnRequest& start = *message.mutable_start();
    start = std::move(more);
    start.set_text(prompt);
    start.set_session_id(session_id);
    v1::GenerationOptions& options = *start.mutable_options();
    options.set_max_tokens(max_tokens);
    options.set_seed(7);
    options.set_ignore_eos(true);
    Send(std::move(message));
  }
  // Part of the prompt of the next turn, with `more` set.
  void Append(const std::string& words, v1::AppendRequest more = {}) {
    v1::ConverseRequest message;
    v1::AppendRequest& part = *message.mutable_append();
    part = std::move(more);
    part.set_text(words);
    part.set_session_id(session_id);
    Send(std::move(message));
  }
  void Cancel() {
    v1::ConverseRequest message;
    message.mutable_cancel();
    Send(std::move(message));
  }
  void ReadAgain() {
    reads = true;
    if (std::exchange(is_write_pending, false)) stream_->PostWriteDone();
  }
  void Leave() { stream_->PostCancelled(); }

  bool half_closes = false;
  bool reads = true;
  bool is_write_pending = false;
  std::string session_id;
  int64_t turn = 0;
  int64_t prompt_tokens = 0;
  std::vector<TokenId> tokens;
  std::string text;
  std::string content, reasoning;  // of a reply in parts
  int logprobs = 0;                // those that a fake worker has made
  bool has_started = false;
  v1::TurnStarted started;
  bool has_ended = false;
  v1::TurnEnded ended;
  std::optional<absl::Status> finished;

 private:
  const std::shared_ptr<ClientStream> stream_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_FAKE_CLIENT_H_
