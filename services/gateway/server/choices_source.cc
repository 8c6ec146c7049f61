#include "services/gateway/server/choices_source.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/client/joined_reply.h"
#include "services/gateway/openai/reply_parts.h"

namespace tandem::gateway {

ChoicesSource::ChoicesSource(Parts parts)
    : parts_(std::move(parts)), open_(parts_.turns->count()) {
  parts_.metrics->streams().Increment();
  for (int choice = 0; choice < parts_.turns->count(); ++choice) {
    ReplyFormat format = parts_.format;
    format.choice = choice;
    writers_.push_back(MakeStreamWriter(format));
  }
}

ChoicesSource::~ChoicesSource() {
  parts_.metrics->streams().Decrement();
  parts_.turns->Cancel();
}

void ChoicesSource::Begin(const v1::TurnStarted& started) {
  Put({.choice = 0, .bytes = writer(0)->Started(started)});
}

void ChoicesSource::Ask(int choice) {
  parts_.turns->Ask(choice, [self = shared_from_this()](
                                int of, const client::NextEvent& event) {
    self->OnEvent(of, event);
  });
}

void ChoicesSource::Next(Done done) {
  std::optional<Piece> piece;
  {
    absl::MutexLock lock(&mutex_);
    if (!ready_.empty()) {
      piece = std::move(ready_.front());
      ready_.pop_front();
    } else if (!is_over_) {
      waiting_ = std::move(done);
      return;
    }
  }
  if (piece.has_value()) return Hand(*std::move(piece), done);
  done(std::nullopt);
}

void ChoicesSource::Put(Piece piece) {
  {
    absl::MutexLock lock(&mutex_);
    if (is_over_) return;
    ready_.push_back(std::move(piece));
  }
  Flush();
}

void ChoicesSource::Flush() {
  Done done;
  Piece piece;
  {
    absl::MutexLock lock(&mutex_);
    if (!waiting_ || ready_.empty()) return;
    done = std::exchange(waiting_, nullptr);
    piece = std::move(ready_.front());
    ready_.pop_front();
  }
  Hand(std::move(piece), done);
}

void ChoicesSource::Hand(Piece piece, const Done& done) {
  // The next event may come inside Ask, and wait; `done` is the last of it.
  if (piece.asks) Ask(piece.choice);
  done(std::move(piece.bytes));
}

void ChoicesSource::OnEvent(int choice, const client::NextEvent& event) {
  if (!event.ok()) return Fail(choice, event.status());
  if (!event->has_value()) {
    return Fail(choice,
                absl::InternalError("the turn ended without its last event"));
  }
  switch ((*event)->event_case()) {
    case v1::ConverseResponse::kStarted:
      return Put({.choice = choice,
                  .bytes = absl::StrCat(
                      writer(choice)->Started((*event)->started()),
                      writer(choice)->Prompt(prompt_, prompt_texts_))});
    case v1::ConverseResponse::kPrompt:
      return OnPrompt((*event)->prompt());
    case v1::ConverseResponse::kTokens:
      return OnTokens(choice, (*event)->tokens());
    case v1::ConverseResponse::kEnded:
      return OnEnded(choice, (*event)->ended());
    default:
      return Ask(choice);
  }
}

void ChoicesSource::OnPrompt(const v1::PromptScored& more) {
  client::JoinPrompt(more, &prompt_);
  if (!writer(0)->WantsPrompt() ||
      prompt_.token_ids_size() < writer(0)->started().prompt_tokens()) {
    return Ask(0);
  }
  parts_.texts->Get(
      writer(0)->started(), parts_.call, IdsOfLogprobs(prompt_),
      [self = shared_from_this()](const absl::StatusOr<TokenTexts>& texts) {
        if (texts.ok()) self->prompt_texts_ = *texts;
        self->Put({.choice = 0,
                   .bytes = self->writer(0)->Prompt(self->prompt_,
                                                    self->prompt_texts_)});
      });
}

void ChoicesSource::OnTokens(int choice, const v1::TokensGenerated& tokens) {
  std::vector<int32_t> ids = writer(choice)->TextsFor(tokens);
  if (ids.empty()) {
    return Put({.choice = choice, .bytes = writer(choice)->Tokens(tokens, {})});
  }
  parts_.texts->Get(
      writer(choice)->started(), parts_.call, std::move(ids),
      [self = shared_from_this(), choice,
       tokens](const absl::StatusOr<TokenTexts>& texts) {
        // Without texts the stream goes on: they only name tokens.
        self->Put({.choice = choice,
                   .bytes = self->writer(choice)->Tokens(
                       tokens, texts.ok() ? *texts : TokenTexts())});
      });
}

void ChoicesSource::OnEnded(int choice, const v1::TurnEnded& ended) {
  {
    // Under the lock, so that the last of them is the last that is put.
    absl::MutexLock lock(&mutex_);
    if (is_over_) return;
    AddChoice(ended.usage(), &usage_);
    is_over_ = --open_ == 0;
    ready_.push_back({.choice = choice,
                      .bytes = is_over_ ? writer(choice)->Ended(ended, usage_)
                                        : writer(choice)->EndedChoice(ended),
                      .asks = false});
  }
  Flush();
}

void ChoicesSource::Fail(int choice, const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(is_over_, true)) return;
    ready_.clear();
    ready_.push_back({.choice = choice,
                      .bytes = writer(choice)->Failed(status),
                      .asks = false});
  }
  parts_.turns->Cancel();
  Flush();
}

void ChoicesSource::Leave() {
  Done done;
  {
    absl::MutexLock lock(&mutex_);
    is_over_ = true;
    ready_.clear();
    done = std::exchange(waiting_, nullptr);
  }
  parts_.turns->Cancel();
  if (done) done(std::nullopt);
}

std::string ChoicesSource::StopText() const {
  return writer(0)->Failed(Draining("the gateway shuts down"));
}

}  // namespace tandem::gateway
