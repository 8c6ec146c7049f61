#include "services/gateway/server/choice_turns.h"

#include <utility>

namespace tandem::gateway {

ChoiceTurns::ChoiceTurns(client::Client* client, v1::TurnRequest request,
                         const client::CallOptions& call, int count)
    : client_(client), call_(call), count_(count), request_(request) {
  turns_.push_back({.stream = client_->Start(std::move(request), call_)});
  request_.clear_prompt_logprobs();
}

void ChoiceTurns::Ask(int choice, Listener listener) {
  std::shared_ptr<client::TurnStream> stream;
  {
    absl::MutexLock lock(&mutex_);
    Turn& turn = turns_[static_cast<size_t>(choice)];
    if (std::exchange(turn.is_asked, true)) return;
    stream = turn.stream;
  }
  stream->Next(
      [self = shared_from_this(), choice,
       listener = std::move(listener)](const client::NextEvent& event) {
        self->OnEvent(choice, event, listener);
      });
}

bool ChoiceTurns::Take(int choice) {
  absl::MutexLock lock(&mutex_);
  turns_[static_cast<size_t>(choice)].is_asked = false;
  return !is_cancelled_;
}

void ChoiceTurns::OnEvent(int choice, const client::NextEvent& event,
                          const Listener& listener) {
  const bool has_event = event.ok() && event->has_value();
  if (!Take(choice)) {
    if (has_event) Ask(choice, listener);
    return;
  }
  if (choice == 0 && has_event) OnFirstChoice(**event, listener);
  listener(choice, event);
}

void ChoiceTurns::OnFirstChoice(const client::Event& event,
                                const Listener& listener) {
  int started = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (event.has_started()) {
      request_.mutable_options()->set_seed(event.started().seed());
      if (!event.started().template_date().empty()) {
        (*request_.mutable_template_options())["date"].set_text_value(
            event.started().template_date());
      }
      return;
    }
    if (event.has_prompt()) return;
    if (turns_.size() > 1 || is_cancelled_) return;
    for (int choice = 1; choice < count_; ++choice) {
      request_.mutable_options()->set_choice(choice);
      turns_.push_back({.stream = client_->Start(request_, call_)});
      ++started;
    }
  }
  for (int choice = 1; choice <= started; ++choice) Ask(choice, listener);
}

void ChoiceTurns::Cancel() {
  std::vector<std::shared_ptr<client::TurnStream>> streams;
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(is_cancelled_, true)) return;
    for (const Turn& turn : turns_) streams.push_back(turn.stream);
  }
  for (size_t choice = 0; choice < streams.size(); ++choice) {
    streams[choice]->Cancel();
    // To their ends, of which nobody hears.
    Ask(static_cast<int>(choice), nullptr);
  }
}

}  // namespace tandem::gateway
