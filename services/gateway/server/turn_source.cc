#include "services/gateway/server/turn_source.h"

#include <utility>

#include "services/client/joined_reply.h"
#include "services/gateway/server/turn_end.h"

namespace tandem::gateway {

TurnSource::TurnSource(Parts parts, v1::TurnStarted started)
    : parts_(std::move(parts)), started_(std::move(started)) {
  parts_.metrics->streams().Increment();
  if (!parts_.writer->format().resumable) return;
  number_ = parts_.store->Put(
      {.name = {.session_id = started_.session_id(), .turn = started_.turn()},
       .format = parts_.writer->format(),
       .call = parts_.call,
       .turn = parts_.turn,
       .prompt_tokens = started_.prompt_tokens()});
}

TurnSource::~TurnSource() {
  parts_.metrics->streams().Decrement();
  if (number_ > 0) {
    parts_.store->Leave(
        {.session_id = started_.session_id(), .turn = started_.turn()}, number_,
        has_ended_);
  } else if (!has_ended_) {
    EndTurn(parts_.turn);
  }
}

void TurnSource::Next(Done done) {
  if (!has_begun_) {
    has_begun_ = true;
    return done(parts_.writer->Started(started_));
  }
  if (is_over_) return done(std::nullopt);
  parts_.turn->Next([self = shared_from_this(), done](client::NextEvent event) {
    self->OnEvent(std::move(event), done);
  });
}

void TurnSource::OnEvent(client::NextEvent event, const Done& done) {
  if (!event.ok()) {
    is_over_ = true;
    return done(parts_.writer->Failed(event.status()));
  }
  if (!event->has_value()) {
    is_over_ = true;
    return done(std::nullopt);
  }
  switch ((*event)->event_case()) {
    case v1::ConverseResponse::kTokens:
      return OnTokens((*event)->tokens(), done);
    case v1::ConverseResponse::kEnded:
      is_over_ = true;
      has_ended_ = true;
      return done(parts_.writer->Ended((*event)->ended()));
    case v1::ConverseResponse::kPrompt:
      return OnPrompt((*event)->prompt(), done);
    case v1::ConverseResponse::kStarted:
    case v1::ConverseResponse::EVENT_NOT_SET:
      // The client has resumed by itself.
      return done(std::string());
  }
}

void TurnSource::OnPrompt(const v1::PromptScored& more, const Done& done) {
  client::JoinPrompt(more, &prompt_);
  if (!parts_.writer->WantsPrompt() ||
      prompt_.token_ids_size() < started_.prompt_tokens()) {
    return done(std::string());
  }
  parts_.texts->Get(started_, parts_.call, IdsOfLogprobs(prompt_),
                    [self = shared_from_this(),
                     done](const absl::StatusOr<TokenTexts>& texts) {
                      const v1::PromptScored prompt =
                          std::exchange(self->prompt_, {});
                      done(self->parts_.writer->Prompt(
                          prompt, texts.ok() ? *texts : TokenTexts()));
                    });
}

void TurnSource::OnTokens(const v1::TokensGenerated& tokens, const Done& done) {
  std::vector<int32_t> ids = parts_.writer->TextsFor(tokens);
  if (ids.empty()) return done(parts_.writer->Tokens(tokens, {}));
  parts_.texts->Get(started_, parts_.call, std::move(ids),
                    [self = shared_from_this(), tokens,
                     done](const absl::StatusOr<TokenTexts>& texts) {
                      // Without texts the stream goes on: they only name
                      // tokens.
                      done(self->parts_.writer->Tokens(
                          tokens, texts.ok() ? *texts : TokenTexts()));
                    });
}

void TurnSource::Leave() { parts_.turn->Leave(); }

std::string TurnSource::StopText() const {
  return parts_.writer->Failed(Draining("the gateway shuts down"));
}

}  // namespace tandem::gateway
