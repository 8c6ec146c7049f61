// A prompt that comes in parts before the turn's `start`: the parts joined, and
// a sequence of their own at a target worker that computes their whole tokens
// as they come. The turn finds that sequence's pages in the worker's prefix
// cache. Owned by a ClientStream; everything belongs to the event loop.
//
// One piece is under way at a time: a stream is opened with all ids so far,
// which costs the worker the new ones and less than a page, and asked for the
// token that follows; when that comes, which says that the ids are computed, it
// is dropped, and the next piece may go. In between the stream stays open, so
// that its pages do. A piece that fails costs time only: the turn computes what
// is missing.
//
// The sequence holds a place among the turns that run, and its ids are taken
// from the tenant's account; `start` gives both back, since the turn pays for
// its prompt itself.

#ifndef TANDEM_SERVICES_COORDINATOR_APPEND_APPENDED_PROMPT_H_
#define TANDEM_SERVICES_COORDINATOR_APPEND_APPENDED_PROMPT_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "services/coordinator/client/client_stream.h"
#include "services/coordinator/client/prompt.h"
#include "services/coordinator/client/turn_quotas.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/prompt_quarantine.h"
#include "services/coordinator/turn/worker_link.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// Who types pauses for less; who has left the keyboard keeps no KV.
inline constexpr MonotonicDuration kAppendIdle = std::chrono::seconds(30);
// New ids that are worth a piece: a worker's page of KV. Fewer leave the turn
// no page more.
inline constexpr size_t kPieceTokensMin = 32;

class AppendedPrompt : public PromptParts, private WorkerStreamEvents {
 public:
  // `services` outlive the prompt. After `idle` without a part the sequence is
  // closed until the next one.
  AppendedPrompt(ClientServices* services, const ClientStreamSetup& setup,
                 MonotonicDuration idle);
  ~AppendedPrompt() override;

  AppendedPrompt(const AppendedPrompt&) = delete;
  AppendedPrompt& operator=(const AppendedPrompt&) = delete;

  // Errors of the first part: those of a start with its session and model. Of
  // each: INVALID_OPTIONS for a part that is missing, not of the kind, session
  // or model of those before, or too long with them; INVALID_TOKEN;
  // CONTEXT_EXCEEDED; EXHAUSTED for memory.
  absl::Status Add(v1::AppendRequest part) override;
  absl::Status Complete(v1::TurnRequest* turn) override;

 private:
  void OnOpened(const OpenedSequence& opened) override;
  void OnAnswer(WorkerAnswer answer) override;
  void OnClosed(const absl::Status& status) override;

  // Finds session and model of the first part.
  absl::Status Begin(const v1::AppendRequest& part);
  // Joins the part to those before.
  absl::Status Join(v1::AppendRequest* part);
  // Sends the next piece, where one is worth it and may go.
  void Advance();
  // Makes ids of some more text; false where there is none to be cut off.
  bool EncodeMore();
  void Open(const WorkerChoice& worker);
  // False where the prompt's quarantine lets no worker have it now.
  bool MayOpen(const std::string& fingerprint) const;
  // Takes a place for the sequence as it is now, and its ids from the account.
  bool Admit();
  void CloseSequence();
  void OnIdle();

  ClientServices* const services_;
  const ClientStreamSetup setup_;
  const MonotonicDuration idle_;

  // Of the first part; without its text or ids.
  std::optional<v1::AppendRequest> first_;
  ModelSummary model_;
  PromptSource prompt_;
  int64_t bytes_counted_ = 0;  // in the memory budget
  // The session's history, and the ids of prompt_ that no later part changes.
  std::vector<TokenId> ids_;
  size_t history_ = 0;  // ids
  size_t encoded_ = 0;  // bytes of the prompt's text that ids_ has
  LastWorker last_worker_;

  std::unique_ptr<WorkerStream> stream_;
  size_t asked_ = 0;  // ids that the last piece had
  bool is_under_way_ = false;
  // Where the last piece went, and how many ids have been computed there.
  std::string worker_;
  size_t computed_ = 0;
  // No worker can take the sequence, or keeps what it has computed.
  bool is_hopeless_ = false;
  std::optional<PromptQuarantine::Stay> stay_;
  std::optional<TurnAdmission> admission_;
  EventLoop::TimerId idle_timer_;
};

// Has the client streams of `services` take appended prompts.
void TakeAppends(MonotonicDuration idle, ClientServices* services);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_APPEND_APPENDED_PROMPT_H_
