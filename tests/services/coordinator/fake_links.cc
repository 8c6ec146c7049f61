#include "tests/services/coordinator/fake_links.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tandem {

// Answers are posted as timers that find the stream gone once it is destroyed.
class FakeLinkStream : public WorkerStream {
 public:
  FakeLinkStream(FakeLink* link, OpenRequest open, EventLoop* loop,
                 WorkerStreamEvents* events)
      : link_(link),
        loop_(loop),
        sequence_(open.tokens),
        state_(std::make_shared<State>()) {
    state_->events = events;
    ++link_->streams;
    ++link_->opened;
    link_->streams_max = std::max(link_->streams_max, link_->streams);
    link_->Look(open.tokens);
    if (link_->Draw(link_->faults.open_close)) {
      if (link_->faults.queues) {
        state_->last = loop_->Now() + link_->last_open.queue_timeout;
      }
      Close();
      return;
    }
    Deliver([opened = OpenedSequence{.fingerprint = link_->fingerprint_,
                                     .cached_tokens = link_->cached_tokens,
                                     .queued_us = link_->queued_us}](
                WorkerStreamEvents* to) { to->OnOpened(opened); });
    if (open.score_from > 0 && !link_->silent) {
      Score(open.score_from, open.score_alternatives);
    }
  }
  ~FakeLinkStream() override {
    state_->events = nullptr;
    --link_->streams;
  }

  void Propose(ProposeAction propose) override {
    ++link_->proposes;
    link_->Look(propose.tokens);
    if (link_->silent) return;
    if (link_->Draw(link_->faults.close)) return Close();
    if (!sequence_.Extend(propose.position, propose.tokens)) return Close();
    const auto position = static_cast<Position>(sequence_.tokens().size());
    std::vector<TokenId> draft = sequence_.Propose(propose.draft_length);
    if (link_->Draw(link_->faults.garbage)) {
      draft.resize(link_->random_() % 40);
      for (TokenId& id : draft) {
        id = static_cast<TokenId>(link_->random_()) - 1000000;
      }
    }
    state_->last = std::max(state_->last, loop_->Now()) + link_->propose_delay;
    Answer(position, draft);
  }

  void Verify(VerifyAction verify) override {
    ++link_->verifies;
    if (link_->silent) return;
    if (link_->Draw(link_->faults.close)) return Close();
    if (!sequence_.Extend(verify.position, verify.tokens)) return Close();
    const auto position = static_cast<Position>(sequence_.tokens().size());
    Answer(position, sequence_.Verify(verify.draft));
  }

 private:
  struct State {
    WorkerStreamEvents* events = nullptr;
    MonotonicTime last;  // of the answers so far: they come in order
  };

  void Answer(Position position, absl::Span<const TokenId> ids) {
    WorkerAnswer answer{
        .position = position, .tokens = {}, .compute_us = 10, .served_us = 30};
    for (const TokenId id : ids) {
      answer.tokens.push_back({.id = id, .logprob = -1, .alternatives = {}});
    }
    if (link_->Draw(link_->faults.unasked)) {
      WorkerAnswer unasked = answer;
      unasked.position += link_->Draw(500) ? 1 : -1;
      Deliver([unasked](WorkerStreamEvents* to) { to->OnAnswer(unasked); });
    }
    Deliver([answer](WorkerStreamEvents* to) { to->OnAnswer(answer); });
  }

  // Three at a time.
  void Score(Position from, int alternatives) {
    while (from < static_cast<Position>(sequence_.tokens().size())) {
      if (link_->Draw(link_->faults.close)) return Close();
      WorkerScores scores{
          .position = from,
          .tokens = FakeScores(sequence_.tokens(), from, 3, alternatives)};
      from += static_cast<Position>(scores.tokens.size());
      if (link_->Draw(link_->faults.unasked)) ++scores.position;
      if (link_->Draw(link_->faults.garbage)) {
        scores.tokens.back().token.logprob = NAN;
      }
      Deliver([scores](WorkerStreamEvents* to) { to->OnScored(scores); });
    }
  }

  void Close() {
    Deliver([status = link_->faults.close_status](WorkerStreamEvents* to) {
      to->OnClosed(status);
    });
  }

  template <typename Call>
  void Deliver(Call call) {
    const MonotonicDuration delay(
        link_->random_() %
        static_cast<uint64_t>(link_->faults.delay_max.count() + 1));
    state_->last = std::max(state_->last, loop_->Now() + delay);
    loop_->SetTimer(state_->last, [state = state_, call] {
      if (state->events != nullptr) call(state->events);
    });
  }

  FakeLink* const link_;
  EventLoop* const loop_;
  FakeSequence sequence_;
  const std::shared_ptr<State> state_;
};

std::unique_ptr<WorkerStream> FakeLink::Open(
    OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
    std::optional<MonotonicTime> /*deadline*/) {
  last_open = request;
  return std::make_unique<FakeLinkStream>(this, std::move(request), loop,
                                          events);
}

std::optional<WorkerChoice> FakeDirectory::PickTarget(
    const TargetQuery& query) {
  last_target = query.need.last_worker;
  std::optional<WorkerChoice> choice;
  for (const auto& [name, entry] : targets) {
    if (!entry.up || (!query.fingerprint.empty() &&
                      entry.fingerprint != query.fingerprint)) {
      continue;
    }
    const bool avoided = std::find(query.avoid.begin(), query.avoid.end(),
                                   name) != query.avoid.end();
    if (choice.has_value() && avoided) continue;
    choice = WorkerChoice{.link = entry.link,
                          .name = name,
                          .model_id = "fake",
                          .fingerprint = entry.fingerprint,
                          .vocabulary_fingerprint = "vocabulary",
                          .context_max = entry.context_max,
                          .vocab_size = entry.vocab_size,
                          .cached = entry.cached};
    if (!avoided) return choice;
  }
  return choice;
}

std::optional<WorkerChoice> FakeDirectory::PickDrafter(
    const DrafterQuery& query) {
  last_drafter = query.need.last_worker;
  for (const auto& [name, entry] : drafters) {
    if (!entry.up || entry.context_max <= query.context_min ||
        entry.vocab_size < query.vocab_size_min) {
      continue;
    }
    return WorkerChoice{.link = entry.link,
                        .name = name,
                        .model_id = "fake-draft",
                        .fingerprint = "draft-fp",
                        .vocabulary_fingerprint = "vocabulary",
                        .context_max = entry.context_max,
                        .vocab_size = entry.vocab_size};
  }
  return std::nullopt;
}

void FakeDirectory::OnComputed(const ComputedSequence& sequence) {
  computed[sequence.worker] = sequence.tokens.size();
}

}  // namespace tandem
