// Sessions with a tandem coordinator over gRPC's callback API: thousands of
// streams on the library's few threads.

#ifndef TANDEM_TOOLS_LOAD_TANDEM_TARGET_H_
#define TANDEM_TOOLS_LOAD_TANDEM_TARGET_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>
#include <vector>

#include "tandem/v1/generation.grpc.pb.h"
#include "tools/load/load_target.h"
#include "tools/load/stream_count.h"

namespace tandem::load {

enum class TandemCall {
  kConverse,  // a session is one stream
  kGenerate,  // a turn is one call
};

struct TandemTargetOptions {
  // Sessions take them in turn; one or more.
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  TandemCall call = TandemCall::kConverse;
  std::string model_id;  // empty: the server's only one
  // Of every turn; max_tokens, seed and draft_length come from the turn.
  v1::GenerationOptions generation;
};

class TandemTarget final : public LoadTarget {
 public:
  explicit TandemTarget(TandemTargetOptions options);

  std::unique_ptr<LoadSession> NewSession() override;

 private:
  const TandemTargetOptions options_;
  v1::TurnRequest common_;
  std::vector<std::unique_ptr<v1::GenerationService::Stub>> stubs_;
  size_t next_stub_ = 0;
  StreamCount streams_;  // last: waits before the stubs go
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_TANDEM_TARGET_H_
