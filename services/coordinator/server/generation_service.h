// The public service over gRPC's callback API: each method translates and
// hands over to a Conversation, the router or a tokenizer. Owned by the
// server; gRPC's threads call.
//
// Messages with text come as raw bytes, because gRPC has no answer of its own
// to one that does not parse: it would look like a half-close to Converse.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_GENERATION_SERVICE_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_GENERATION_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "services/coordinator/client/conversation.h"
#include "tandem/v1/generation.grpc.pb.h"

namespace tandem {

// The streams that are open, so that a drain reaches them. Owned by the
// server; any thread.
class ConversationRegistry {
 public:
  void Add(const std::shared_ptr<Conversation>& conversation);
  void Remove(const Conversation* conversation);

  void PostDrain();
  void PostStop();
  // True when no stream is open, within `timeout`.
  bool WaitUntilEmpty(std::chrono::milliseconds timeout);
  size_t size() const;

 private:
  std::vector<std::shared_ptr<Conversation>> All() const;

  mutable std::mutex mutex_;
  std::condition_variable empty_;
  // Guarded by mutex_.
  std::map<const Conversation*, std::weak_ptr<Conversation>> conversations_;
};

using GenerationServiceBase =
    v1::GenerationService::WithRawCallbackMethod_Converse<
        v1::GenerationService::WithRawCallbackMethod_Generate<
            v1::GenerationService::WithRawCallbackMethod_Tokenize<
                v1::GenerationService::WithCallbackMethod_Detokenize<
                    v1::GenerationService::WithCallbackMethod_ListModels<
                        v1::GenerationService::WithCallbackMethod_GetServerInfo<
                            v1::GenerationService::Service>>>>>>;

class GenerationService final : public GenerationServiceBase {
 public:
  // All outlive the service.
  GenerationService(ConversationServices* services,
                    ConversationRegistry* registry,
                    std::vector<EventLoop*> loops);

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Converse(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override;
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
  EventLoop* NextLoop();

  ConversationServices* const services_;
  ConversationRegistry* const registry_;
  const std::vector<EventLoop*> loops_;
  std::atomic<size_t> next_loop_{0};
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_GENERATION_SERVICE_H_
