// The public service over gRPC's callback API: each method translates and
// hands over to a ClientStream, the router or a tokenizer. Owned by the
// server; gRPC's threads call.
//
// Each method first asks the gate who calls; a Converse stream asks again for
// each turn, since a key may have been revoked meanwhile.
//
// Messages with text come as raw bytes, because gRPC has no answer of its own
// to one that does not parse: it would look like a half-close to Converse.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_GENERATION_SERVICE_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_GENERATION_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/access/caller.h"
#include "services/coordinator/client/client_stream.h"
#include "tandem/v1/generation.grpc.pb.h"

namespace tandem {

// The streams and Score calls that are under way, so that a drain reaches them.
// Owned by the server; any thread.
class ClientStreamRegistry {
 public:
  void Add(const std::shared_ptr<ClientCall>& call);
  void Remove(const ClientCall* call);

  void PostDrain();
  void PostStop();
  // True when there is none, within `timeout`.
  bool WaitUntilEmpty(std::chrono::milliseconds timeout);
  size_t size() const;

 private:
  std::vector<std::shared_ptr<ClientCall>> All() const;

  TimedWait removed_;
  mutable absl::Mutex mutex_;
  std::map<const ClientCall*, std::weak_ptr<ClientCall>> calls_
      ABSL_GUARDED_BY(mutex_);
};

using GenerationServiceUnary =
    v1::GenerationService::WithRawCallbackMethod_Tokenize<
        v1::GenerationService::WithCallbackMethod_Detokenize<
            v1::GenerationService::WithCallbackMethod_ListModels<
                v1::GenerationService::WithCallbackMethod_GetServerInfo<
                    v1::GenerationService::Service>>>>;
using GenerationServiceBase =
    v1::GenerationService::WithRawCallbackMethod_Converse<
        v1::GenerationService::WithRawCallbackMethod_Generate<
            v1::GenerationService::WithRawCallbackMethod_Score<
                GenerationServiceUnary>>>;

class GenerationService final : public GenerationServiceBase {
 public:
  // All outlive the service.
  GenerationService(ClientServices* services, ClientStreamRegistry* registry,
                    const CallerGate* gate)
      : services_(services), registry_(registry), gate_(gate) {}

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Converse(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;
  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Tokenize(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Detokenize(
      grpc::CallbackServerContext* context,
      const v1::DetokenizeRequest* request,
      v1::DetokenizeResponse* response) override;
  grpc::ServerUnaryReactor* ListModels(
      grpc::CallbackServerContext* context,
      const v1::ListModelsRequest* request,
      v1::ListModelsResponse* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(
      grpc::CallbackServerContext* context,
      const v1::GetServerInfoRequest* request,
      v1::GetServerInfoResponse* response) override;

 private:
  // Who calls the method of this name.
  absl::StatusOr<Caller> Admit(const grpc::CallbackServerContext& context,
                               absl::string_view method) const;

  ClientServices* const services_;
  ClientStreamRegistry* const registry_;
  const CallerGate* const gate_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_GENERATION_SERVICE_H_
