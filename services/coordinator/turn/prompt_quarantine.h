// Prompts that end workers: such a prompt is not tried for some time, however
// often clients send it.
//
// The rule: a prompt is suspect when a worker dies that had it and had not
// answered one request of its turn. Turns of suspects go to workers one at a
// time, and an answer clears the prompt. A second death with nobody else under
// suspicion at that worker convicts it; that death then says nothing of the
// other prompts there. Where a suspect runs so long that another one is let in
// beside it, the third death convicts. So a prompt takes two workers with it,
// and one that was beside it, or at two workers that were killed otherwise,
// each time before its first answer, is cleared by its next try.
//
// A worker that is lost looks dead. Where the same process answers again, only
// the way to it was cut, and that death does not count.
//
// A prompt is known by a hash of the model's fingerprint and of all tokens
// before the turn's first generated one. Owned by the server; everything
// belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_PROMPT_QUARANTINE_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_PROMPT_QUARANTINE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/types.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

// How long a prompt is suspect, or quarantined. A worker that dies is back
// within a minute or two; so one prompt keeps less than a third of a worker
// down, and an operator has seen the metric before it is let in again.
inline constexpr std::chrono::minutes kQuarantineTime(10);
// A suspect keeps others waiting no longer: those that only were at the worker
// too should be served soon.
inline constexpr std::chrono::seconds kTrialMax(1);
inline constexpr int kDeathsMax = 3;
// A conviction waits for news of the worker for this long: the first two tries
// to connect to it are within 0.5 s.
inline constexpr std::chrono::seconds kProofTime(1);
// Prompts that are remembered, of 100 bytes each; beyond them the one whose
// last death is the oldest is forgotten.
inline constexpr size_t kSuspectsMax = 1024;

using PromptHash = std::pair<uint64_t, uint64_t>;
PromptHash HashPrompt(absl::string_view fingerprint,
                      absl::Span<const TokenId> prompt);

class PromptQuarantine {
 public:
  enum class Leave {
    kGo,     // a worker may be opened
    kWait,   // another suspect is on trial, or whether a worker died is open
    kNever,  // quarantined: Refusal() says so
  };

  // A turn at a worker. Not before it was let in, and not beyond the
  // quarantine.
  class Stay {
   public:
    Stay(PromptQuarantine* quarantine, const PromptHash& prompt,
         std::string worker);
    ~Stay();
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;

    // The worker has answered.
    void OnAnswer();
    // The worker has died without an answer.
    void OnDeath();

   private:
    friend class PromptQuarantine;

    PromptQuarantine* const quarantine_;
    const PromptHash prompt_;
    const std::string worker_;
    const MonotonicTime began_;
  };

  // `loop` outlives the quarantine; `on_convicted` is called for each prompt,
  // when it is refused first.
  PromptQuarantine(EventLoop* loop, std::function<void()> on_convicted)
      : loop_(loop), on_convicted_(std::move(on_convicted)) {}

  PromptQuarantine(const PromptQuarantine&) = delete;
  PromptQuarantine& operator=(const PromptQuarantine&) = delete;

  Leave Ask(const PromptHash& prompt);
  // The worker's process that was lost is connected again.
  void OnAlive(const std::string& worker);
  // For the client: FAILED_PRECONDITION with PROMPT_QUARANTINED.
  static absl::Status Refusal();

  size_t suspects() const { return suspects_.size(); }

 private:
  // A worker's death, or the last one of a prompt.
  struct Death {
    std::string worker;
    MonotonicTime at;
  };
  struct Suspect {
    int deaths = 0;
    bool is_convicted = false;
    bool is_refused = false;  // once
    Death last;
  };

  // Nothing where there is none, or not any more.
  Suspect* Find(const PromptHash& prompt);
  Suspect* Add(const PromptHash& prompt);
  void OnDeath(const Stay& stay);
  bool IsAlone(const Stay& stay) const;
  void Convict(const Stay& stay, Suspect* suspect);
  // `death` is that of the worker at which `stay` is.
  static bool IsDeathOf(const Death& death, const Stay& stay) {
    return death.worker == stay.worker_ && death.at >= stay.began_;
  }

  EventLoop* const loop_;
  const std::function<void()> on_convicted_;
  std::map<PromptHash, Suspect> suspects_;
  // Of suspects, before the first answer.
  std::vector<const Stay*> trials_;
  // That a conviction was for.
  std::optional<Death> explained_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_PROMPT_QUARANTINE_H_
