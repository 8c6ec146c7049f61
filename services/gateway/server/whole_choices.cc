#include "services/gateway/server/whole_choices.h"

#include <utility>

#include "services/gateway/openai/api_error.h"

namespace tandem::gateway {

WholeChoices::WholeChoices(std::shared_ptr<ChoiceTurns> turns,
                           ReplyFormat format, client::CallOptions call,
                           TokenTextCache* texts,
                           std::function<void(HttpResponse)> answer)
    : turns_(std::move(turns)),
      format_(std::move(format)),
      call_(std::move(call)),
      texts_(texts),
      answer_(std::move(answer)),
      gathered_(static_cast<size_t>(turns_->count())),
      open_(turns_->count()) {}

void WholeChoices::Begin(const v1::ConverseResponse& started) {
  gathered_[0].Add(started);
  Ask(0);
}

void WholeChoices::Ask(int choice) {
  turns_->Ask(choice, [self = shared_from_this()](
                          int of, const client::NextEvent& event) {
    self->OnEvent(of, event);
  });
}

void WholeChoices::OnEvent(int choice, const client::NextEvent& event) {
  if (!event.ok()) return Fail(event.status());
  if (!event->has_value()) {
    return Fail(absl::InternalError("the turn ended without its last event"));
  }
  gathered_[static_cast<size_t>(choice)].Add(**event);
  if (!(*event)->has_ended()) return Ask(choice);
  {
    absl::MutexLock lock(&mutex_);
    if (--open_ > 0 || has_failed_) return;
  }
  OnAllEnded();
}

void WholeChoices::OnAllEnded() {
  std::vector<int32_t> ids = IdsOfLogprobs(gathered_[0].prompt);
  for (const GatheredTurn& turn : gathered_) {
    const std::vector<int32_t> more = IdsOfLogprobs(turn.tokens);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  texts_->Get(
      gathered_[0].started, call_, std::move(ids),
      [self = shared_from_this()](const absl::StatusOr<TokenTexts>& texts) {
        if (!texts.ok()) {
          return self->answer_(ErrorResponse(texts.status()));
        }
        self->answer_({.body = WriteJson(ReplyOfChoices(
                           self->format_, self->gathered_, *texts))});
      });
}

void WholeChoices::Fail(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(has_failed_, true)) return;
  }
  turns_->Cancel();
  answer_(ErrorResponse(InTermsOf(status, format_.names)));
}

}  // namespace tandem::gateway
