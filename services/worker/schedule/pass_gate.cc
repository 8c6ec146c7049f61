#include "services/worker/schedule/pass_gate.h"

#include <algorithm>
#include <set>

namespace tandem {

void PassGate::OnRequest(uint64_t stream, bool drafts, absl::Time now) {
  Stream& asking = streams_[stream];
  if (asking.unanswered++ == 0 && asking.answered != absl::InfinitePast()) {
    asking.return_time = now - asking.answered;
  }
  asking.has_come = true;
  asking.drafts = drafts;
  SetExpected(&asking, false);
}

void PassGate::OnAnswer(uint64_t stream, absl::Time now) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  --found->second.unanswered;
  found->second.answered = now;
}

void PassGate::OnClosed(uint64_t stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  SetExpected(&found->second, false);
  streams_.erase(found);
}

void PassGate::SetExpected(Stream* stream, bool is_expected) {
  expected_ += (is_expected ? 1 : 0) - (stream->is_expected ? 1 : 0);
  stream->is_expected = is_expected;
}

absl::Time PassGate::HoldUntil(absl::Time now, bool drafts_under_way) {
  if (!held_since_.has_value()) held_since_ = now;
  const bool awaits_drafts = Expect(now, drafts_under_way);
  if (!is_waiting()) return now;
  const absl::Time gathered = *held_since_ + gather_time_;
  const absl::Time latest = *held_since_ + options_.draft_passes * pass_time_;
  if (awaits_drafts) {
    drafts_seen_ = now;
    return std::max(latest, gathered);
  }
  // What was drafted last is on its way.
  return std::max(std::min(drafts_seen_ + gather_time_, latest), gathered);
}

bool PassGate::Expect(absl::Time now, bool drafts_under_way) {
  std::set<uint64_t> passes;  // that the streams were last gathered for
  int known = 0;
  int drafting = 0;
  for (const auto& [id, stream] : streams_) {
    if (stream.gathered == 0 && stream.unanswered == 0) continue;
    ++known;
    drafting += stream.drafts ? 1 : 0;
    if (stream.has_come && stream.gathered != 0) passes.insert(stream.gathered);
  }
  drafts_under_way = drafts_under_way && drafting > kDraftingShare * known;
  bool awaits_drafts = false;
  for (auto& [id, stream] : streams_) {
    if (stream.gathered == 0 || stream.unanswered > 0) continue;
    const absl::Time due = stream.answered + stream.return_time;
    const bool is_drafting = drafts_under_way && stream.drafts;
    if (is_drafting || passes.contains(stream.gathered) ||
        absl::AbsDuration(due - now) <= gather_time_) {
      SetExpected(&stream, true);
    }
    awaits_drafts |= is_drafting;
  }
  return awaits_drafts;
}

void PassGate::OnPassBegin() {
  ++pass_;
  for (auto& [id, stream] : streams_) {
    if (stream.has_come) stream.gathered = pass_;
    if (stream.is_expected) stream.gathered = 0;
    stream.has_come = false;
    SetExpected(&stream, false);
  }
  held_since_.reset();
  drafts_seen_ = absl::InfinitePast();
}

void PassGate::OnPassEnd(double pass_us) {
  pass_time_ = absl::Microseconds(pass_us);
  gather_time_ =
      std::min(options_.gather_max, pass_time_ * options_.gather_share);
}

}  // namespace tandem
