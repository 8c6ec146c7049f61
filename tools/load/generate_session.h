// A session whose turns are one Generate call each.

#ifndef TANDEM_TOOLS_LOAD_GENERATE_SESSION_H_
#define TANDEM_TOOLS_LOAD_GENERATE_SESSION_H_

#include <memory>
#include <string>

#include "tandem/v1/generation.grpc.pb.h"
#include "tools/load/load_target.h"
#include "tools/load/stream_count.h"

namespace tandem::load {

class GenerateCall;

class GenerateSession final : public LoadSession {
 public:
  // All three outlive its calls, which `streams` counts.
  GenerateSession(v1::GenerationService::StubInterface* stub,
                  const v1::TurnRequest& common, StreamCount* streams);
  ~GenerateSession() override;

  void Start(const LoadTurn& turn, TurnObserver* observer) override;
  // Generate has no cancel of its own: the call is cancelled.
  void Cancel() override;
  void Abort() override { Cancel(); }

 private:
  void ReleaseCall();

  v1::GenerationService::StubInterface* const stub_;
  const v1::TurnRequest& common_;
  StreamCount* const streams_;
  GenerateCall* call_ = nullptr;  // of the last turn
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_GENERATE_SESSION_H_
