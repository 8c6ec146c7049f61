// The seam between a load and the kind of server that it goes to, and the two
// kinds.

#ifndef TANDEM_TOOLS_LOAD_LOAD_TARGET_H_
#define TANDEM_TOOLS_LOAD_LOAD_TARGET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/client/client.h"
#include "tandem/v1/generation.pb.h"
#include "tools/load/turn_source.h"

namespace tandem::load {

struct TurnOutcome {
  absl::Status status;             // not OK: the turn failed
  std::string finish_reason = {};  // where it is OK
  // What the server reported, in the coordinator's terms; another server
  // reports no rounds and no times.
  v1::Usage usage = {};
  v1::SpeculationStats speculation = {};
};

// Hears of one turn, on any thread, one call at a time; none may block.
class TurnObserver {
 public:
  virtual ~TurnObserver() = default;
  // An event with `count` tokens came; one or more.
  virtual void OnTokens(int64_t count) = 0;
  // The last call of a turn.
  virtual void OnEnd(const TurnOutcome& outcome) = 0;
};

// One session with the server: one turn after the other. Used and destroyed by
// one thread, and destroyed only while no turn is under way.
class LoadSession {
 public:
  virtual ~LoadSession() = default;
  // Starts a turn and returns; `observer` lives until its OnEnd, which may come
  // inside this call. After an outcome that is not OK the session is of no
  // further use.
  virtual void Start(const LoadTurn& turn, TurnObserver* observer) = 0;
  // Asks for the end of the turn under way, by its own event if it can be.
  virtual void Cancel() = 0;
  // Ends the turn under way whatever the server does: OnEnd follows soon.
  virtual void Abort() = 0;
};

// Makes sessions; outlives them. Its destructor waits for what is left of them.
class LoadTarget {
 public:
  virtual ~LoadTarget() = default;
  virtual std::unique_ptr<LoadSession> NewSession() = 0;
};

// A tandem coordinator: a turn is a stream of services/client, thousands of
// them on gRPC's few threads. Sessions take the clients, which are connections,
// in turn; one or more. `common` is part of every turn's request; prompt,
// max_tokens, seed and draft_length are the turn's, and whether
// response_format counts.
std::unique_ptr<LoadTarget> MakeTandemTarget(
    std::vector<std::unique_ptr<client::Client>> clients,
    const v1::TurnRequest& common);

// An OpenAI-compatible server at "http://host:port" (a usage error where `url`
// is not that), for comparison: a session is a thread with a connection of its
// own, and one turn, since such servers keep no history. Requests are streamed
// and have prompts of ids; model, temperature, top_p, top_k and ignore_eos (a
// field that llama-server and vLLM know) are those of `common`.
absl::StatusOr<std::unique_ptr<LoadTarget>> MakeOpenAiTarget(
    const std::string& url, const v1::TurnRequest& common);

// Sessions of such a server at once at most.
inline constexpr int kOpenAiSessionsMax = 512;

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_TARGET_H_
