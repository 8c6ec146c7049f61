// When the next pass of an engine starts. One pass costs about the same for one
// stream as for all, so it is worth a little time to have in it the streams
// that are about to ask.
//
// The rule: a pass starts when all streams that are expected have come, or
// after min(kGatherMax, kGatherShare of the last pass). A stream is expected
// that was answered, has not asked again, and
//   - came the last time together with a stream that has come now, or
//   - should come just now, by the time that its last request took after the
//     answer before.
// Both are learned here. A stream that was expected and did not come is
// expected again only after it has come.
//
// Where worker processes share cores, one fact comes from outside: a drafter
// has drafts under way. While it has, the streams that verify drafts are
// expected too, and the pass is held for kDraftPasses of the last pass at most:
// the drafter would have to wait for a pass that its streams then miss. Streams
// that draft must be more than kDraftingShare of all for that.
//
// Owned by the compute loop, guarded by its mutex; time is given, of
// MonotonicNow.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_PASS_GATE_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_PASS_GATE_H_

#include <cstdint>
#include <map>
#include <optional>

#include "absl/time/time.h"

namespace tandem {

// A coordinator's round trip is 0.2 to 1.5 ms: where the wait is shorter,
// streams that fell into different passes stay apart. 2 in place of 0.5 ms gave
// four streams 12% more tokens (round trips of 0.8 ms, passes of 93 ms). With 5
// in place of 15% four streams whose passes take 13 ms stayed apart once one
// had been late (25 in place of 17 ms a token).
inline constexpr absl::Duration kGatherMax = absl::Milliseconds(2);
inline constexpr double kGatherShare = 0.15;
// Four sessions with one draft a round, on 2 cores: 24 ms from pass to pass;
// 60 ms where a target's pass goes before the drafts under way.
inline constexpr double kDraftPasses = 2;
inline constexpr double kDraftingShare = 0.25;

struct PassGateOptions {
  absl::Duration gather_max = kGatherMax;
  double gather_share = kGatherShare;
  double draft_passes = kDraftPasses;
};

class PassGate {
 public:
  explicit PassGate(const PassGateOptions& options) : options_(options) {}

  // A request of the stream came. `drafts`: a draft is made or verified.
  void OnRequest(uint64_t stream, bool drafts, absl::Time now);
  // The oldest request of the stream was answered.
  void OnAnswer(uint64_t stream, absl::Time now);
  // The stream asks no more; nothing where it is not known.
  void OnClosed(uint64_t stream);

  // The next pass has work: until when it is held, `now` for not at all.
  absl::Time HoldUntil(absl::Time now, bool drafts_under_way);
  // Streams that the next pass is held for have not come yet.
  bool is_waiting() const { return expected_ > 0; }
  // A pass begins, with all requests that have come.
  void OnPassBegin();
  // It took `pass_us` microseconds.
  void OnPassEnd(double pass_us);

 private:
  struct Stream {
    int unanswered = 0;
    bool has_come = false;  // since the last pass began
    bool drafts = false;    // in its last request
    bool is_expected = false;
    // The pass that its last request was gathered for; 0: none, or the stream
    // was expected in vain since.
    uint64_t gathered = 0;
    absl::Time answered = absl::InfinitePast();
    absl::Duration return_time = absl::ZeroDuration();  // after the answer
  };

  // Marks the streams that are expected; true: a draft is being made for one.
  bool Expect(absl::Time now, bool drafts_under_way);
  void SetExpected(Stream* stream, bool is_expected);

  const PassGateOptions options_;
  std::map<uint64_t, Stream> streams_;
  int expected_ = 0;
  uint64_t pass_ = 0;  // the last one
  absl::Duration pass_time_ = absl::ZeroDuration();
  absl::Duration gather_time_ = absl::ZeroDuration();
  // Since when the next pass is held, and when drafts were last under way.
  std::optional<absl::Time> held_since_;
  absl::Time drafts_seen_ = absl::InfinitePast();
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_PASS_GATE_H_
