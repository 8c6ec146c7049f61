// One Score call: checks the request, makes token ids, and has the
// continuations scored, some at a time. Shared by its gRPC reactor and the
// closures that it posted. Everything but the Post functions belongs to the
// event loop.
//
// A call holds one place among the turns that run, and its prompt and its
// continuations are paid for as a turn's prompt and its tokens. The first
// continuation goes ahead where the prompt is longer than a page of KV: the
// others find the prompt's pages in the worker's prefix cache then.

#ifndef TANDEM_SERVICES_COORDINATOR_SCORE_SCORE_CALL_H_
#define TANDEM_SERVICES_COORDINATOR_SCORE_SCORE_CALL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "services/common/trace_context.h"
#include "services/coordinator/client/client_call.h"
#include "services/coordinator/client/client_stream.h"
#include "services/coordinator/score/score_request.h"
#include "services/coordinator/turn/score_lane.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// Continuations of a call that workers have at once. Four tokens each, with the
// row before them, fill a pass of 64 rows; a pass of more costs as much more.
inline constexpr size_t kScoreLanesMax = 16;
// A worker's page of KV: a prompt that is not longer is shared by none.
inline constexpr size_t kSharedPromptTokens = 32;

// Where the answer goes, once, on the event loop.
class ScoreTransport {
 public:
  virtual ~ScoreTransport() = default;
  virtual void Finish(const absl::StatusOr<v1::ScoreResponse>& response) = 0;
};

struct ScoreCallSetup {
  std::string tenant;
  std::optional<TraceContext> trace = {};
  // When the client itself gives up.
  std::optional<MonotonicTime> deadline = {};
};

class ScoreCall : public std::enable_shared_from_this<ScoreCall>,
                  public ClientCall,
                  private ScoreLaneOwner {
 public:
  // `services` outlive the call; `transport` lives until after Finish.
  ScoreCall(ClientServices* services, ScoreTransport* transport,
            ScoreCallSetup setup);

  // From any thread. Once, first: one of these two.
  void PostRequest(v1::ScoreRequest request);
  void PostRefused(absl::Status status);
  // The client is gone, or its deadline is over.
  void PostCancelled();
  void PostDrain() override {}
  void PostStop() override;

 private:
  // Runs `closure` on the event loop while this lives on.
  void PostToSelf(EventLoop::Closure closure);
  absl::Status Begin(v1::ScoreRequest request);
  // Makes the ids on a helper thread.
  absl::Status EncodeAside(ScoreInput input);
  void OnEncoded(absl::StatusOr<ScoreTokens> tokens);
  void OnLaneChanged() override;
  // Takes what is done, and opens what may be opened.
  void Advance();
  // Takes the lane's result, if it has one; it is over then.
  bool TakeResult(const ScoreLane& lane);
  void OpenLanes();
  ScoreModel model() const;
  v1::ScoreResponse Response();
  void Finish(const absl::StatusOr<v1::ScoreResponse>& response);

  ClientServices* const services_;
  ScoreTransport* transport_;  // null: it has finished
  const ScoreCallSetup setup_;
  std::atomic<bool> is_over_{false};

  ModelSummary model_;
  ScoreTokens tokens_;
  std::optional<TurnAdmission> admission_;
  ScoreContext context_;  // outlives the lanes
  std::list<ScoreLane> lanes_;
  size_t opened_ = 0;  // continuations
  size_t done_ = 0;
  int64_t tokens_done_ = 0;
  std::vector<v1::ContinuationScore> scores_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SCORE_SCORE_CALL_H_
