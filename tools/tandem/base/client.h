// The client of the service (services/client) as commands use it: by flags, and
// with errors in flags and commands. Used by one thread, except CancelTurn.

#ifndef TANDEM_TOOLS_TANDEM_BASE_CLIENT_H_
#define TANDEM_TOOLS_TANDEM_BASE_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "services/client/client.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/service_terms.h"

namespace tandem::cli {

// What RunTurn reports on the way: by its thread, and losses by one of gRPC
// while that thread waits.
struct TurnListener {
  std::function<void(const v1::TurnStarted&)> on_started;
  std::function<void(const v1::TokensGenerated&)> on_tokens;
  std::function<void(const client::LostConnection&)> on_lost = {};
  // Of a turn that asks for log-probabilities of its prompt.
  std::function<void(const v1::PromptScored&)> on_prompt = {};
};

class Client {
 public:
  // Makes the channel; the first call connects. Errors: as ServiceOptions.
  static absl::StatusOr<std::unique_ptr<Client>> Make(
      const ConnectionFlags& flags);

  // Runs a turn to its end, over lost connections too. Errors: as Explain.
  absl::StatusOr<v1::TurnEnded> RunTurn(const v1::TurnRequest& turn,
                                        const TurnListener& listener);
  // Ends the turn under way, or the next one as it starts; it ends by its own
  // event. Any thread.
  void CancelTurn();
  // RESOURCE_EXHAUSTED for a turn that is larger than one message may be; found
  // out before gRPC does, whose error does not say whether the request or the
  // response is.
  absl::Status CheckTurnBytes(const v1::TurnRequest& turn) const;
  // For those who read a turn themselves. Its errors are the library's.
  std::shared_ptr<client::TurnStream> Start(
      v1::TurnRequest turn, const client::CallOptions& call = {}) {
    return service_->Start(std::move(turn), call);
  }

  absl::StatusOr<v1::TokenizeResponse> Tokenize(
      const v1::TokenizeRequest& request);
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request);
  absl::StatusOr<v1::DetokenizeResponse> Detokenize(
      const v1::DetokenizeRequest& request);
  absl::StatusOr<v1::ListModelsResponse> ListModels();
  absl::StatusOr<v1::GetStatusResponse> GetStatus();
  absl::StatusOr<v1::ListSessionsResponse> ListSessions(
      const v1::ListSessionsRequest& request);
  absl::StatusOr<v1::ShowSessionResponse> ShowSession(
      const v1::ShowSessionRequest& request);
  absl::Status DeleteSession(const v1::DeleteSessionRequest& request);
  // The model of this id, or for "" the only one; a usage error where there are
  // several. Errors name the flag --model.
  absl::StatusOr<v1::ModelInfo> FindModel(const std::string& model_id);

  // `error` of the library in the terms of the command line, and UNAVAILABLE
  // with a remedy where nobody answers; may block to find out why.
  absl::Status Explain(const absl::Status& error,
                       const RequestTerms& terms) const;

 private:
  Client(ConnectionFlags flags, std::unique_ptr<client::Client> service);

  const std::string& address() const { return flags_.coordinator; }
  // As CheckTurnBytes. The request holds a `what`: "text".
  absl::Status CheckRequestBytes(const google::protobuf::MessageLite& request,
                                 absl::string_view what) const;
  // A call's response, or its error explained.
  template <typename Response>
  absl::StatusOr<Response> Explained(absl::StatusOr<Response> response,
                                     const RequestTerms& terms) const;
  // The same of a call for operators, which servers of earlier versions do not
  // have; `what` they do not do: "report its status".
  template <typename Response>
  absl::StatusOr<Response> ExplainedToOperator(
      absl::StatusOr<Response> response, absl::string_view what) const;
  // The turn that CancelTurn ends.
  void SetTurn(std::shared_ptr<client::TurnStream> turn);

  const ConnectionFlags flags_;
  const std::unique_ptr<client::Client> service_;
  absl::Mutex mutex_;
  std::shared_ptr<client::TurnStream> turn_ ABSL_GUARDED_BY(mutex_);
  bool cancel_asked_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_CLIENT_H_
