#include "services/gateway/server/whole_turn.h"

#include <utility>

#include "services/gateway/openai/api_error.h"

namespace tandem::gateway {

WholeTurn::WholeTurn(std::shared_ptr<client::TurnStream> turn,
                     ReplyFormat format, client::CallOptions call,
                     TokenTextCache* texts,
                     std::function<void(HttpResponse)> answer)
    : turn_(std::move(turn)),
      format_(std::move(format)),
      call_(std::move(call)),
      texts_(texts),
      answer_(std::move(answer)) {}

void WholeTurn::Begin(const v1::ConverseResponse& started) {
  gathered_.Add(started);
  Next();
}

void WholeTurn::Next() {
  turn_->Next([self = shared_from_this()](const client::NextEvent& event) {
    self->OnEvent(event);
  });
}

void WholeTurn::OnEvent(const client::NextEvent& event) {
  if (!event.ok()) {
    return answer_(ErrorResponse(InTermsOf(event.status(), format_.names)));
  }
  if (!event->has_value()) {
    return answer_(ErrorResponse(
        absl::InternalError("the turn ended without its last event")));
  }
  gathered_.Add(**event);
  if ((*event)->has_ended()) return OnEnded();
  Next();
}

void WholeTurn::OnEnded() {
  std::vector<int32_t> ids;
  if (format_.api != ReplyFormat::Api::kResponse) {
    ids = IdsOfLogprobs(gathered_.prompt);
    const std::vector<int32_t> more = IdsOfLogprobs(gathered_.tokens);
    ids.insert(ids.end(), more.begin(), more.end());
  }
  texts_->Get(
      gathered_.started, call_, std::move(ids),
      [self = shared_from_this()](const absl::StatusOr<TokenTexts>& texts) {
        if (!texts.ok()) {
          return self->answer_(ErrorResponse(texts.status()));
        }
        self->answer_({.body = WriteJson(WholeReply(self->format_,
                                                    self->gathered_, *texts))});
      });
}

}  // namespace tandem::gateway
