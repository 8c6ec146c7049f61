// The gRPC side of the commands. A Client is one channel; it is used by one
// thread, except CancelTurn.

#ifndef TANDEM_TOOLS_TANDEM_BASE_CLIENT_H_
#define TANDEM_TOOLS_TANDEM_BASE_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/sync_stream.h"
#include "tandem/v1/generation.grpc.pb.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/service_terms.h"

namespace tandem::cli {

// What RunTurn tells on the way; called by its thread.
struct TurnListener {
  std::function<void(const v1::TurnStarted&)> on_started;
  std::function<void(const v1::TokensGenerated&)> on_tokens;
};

class Client {
 public:
  // Makes the channel; the first call connects. Errors: as Connect.
  static absl::StatusOr<std::unique_ptr<Client>> Make(
      const ConnectionFlags& flags);

  // Runs a turn to its end. Errors: those of the service in the terms of the
  // command line, and UNAVAILABLE with a remedy where nobody answers.
  absl::StatusOr<v1::TurnEnded> RunTurn(const v1::TurnRequest& turn,
                                        const TurnListener& listener);
  // Ends the turn under way, or the next one as it starts; it ends by its own
  // event. Any thread.
  void CancelTurn();

  absl::StatusOr<v1::TokenizeResponse> Tokenize(
      const v1::TokenizeRequest& request);
  absl::StatusOr<v1::DetokenizeResponse> Detokenize(
      const v1::DetokenizeRequest& request);
  absl::StatusOr<v1::ListModelsResponse> ListModels();
  // The model of this id, or for "" the only one; a usage error where there are
  // several. Errors name the flag --model.
  absl::StatusOr<v1::ModelInfo> FindModel(const std::string& model_id);

 private:
  using TurnStream =
      grpc::ClientReaderWriter<v1::ConverseRequest, v1::ConverseResponse>;

  Client(ConnectionFlags flags, std::shared_ptr<grpc::Channel> channel);

  const std::string& address() const { return flags_.coordinator; }
  // The limit of one message, found out before gRPC does: its error does not
  // say whether the request or the response is too large. The request holds a
  // `what`: "text".
  absl::Status CheckRequestBytes(const google::protobuf::MessageLite& request,
                                 absl::string_view what) const;
  // One call for a request that holds a `what`.
  template <typename Request, typename Response>
  using Method = grpc::Status (v1::GenerationService::Stub::*)(
      grpc::ClientContext*, const Request&, Response*);
  template <typename Request, typename Response>
  absl::StatusOr<Response> CallUnary(Method<Request, Response> method,
                                     const Request& request,
                                     absl::string_view what,
                                     const RequestTerms& terms) const;
  absl::Status Explain(const grpc::Status& status,
                       const RequestTerms& terms) const;
  void OpenWrites(TurnStream* turn);
  // Ends the writing side; CancelTurn does nothing from here on.
  void CloseWrites();

  const ConnectionFlags flags_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::GenerationService::Stub> stub_;
  absl::Mutex mutex_;
  TurnStream* turn_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool cancel_asked_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_CLIENT_H_
