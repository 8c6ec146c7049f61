// A session that is one Converse stream.

#ifndef TANDEM_TOOLS_LOAD_CONVERSE_SESSION_H_
#define TANDEM_TOOLS_LOAD_CONVERSE_SESSION_H_

#include <memory>

#include "tandem/v1/generation.grpc.pb.h"
#include "tools/load/load_target.h"
#include "tools/load/stream_count.h"

namespace tandem::load {

class ConverseStream;

class ConverseSession final : public LoadSession {
 public:
  // All three outlive the stream, which may outlive the session: `streams`
  // counts it. `common` is part of every request.
  ConverseSession(v1::GenerationService::StubInterface* stub,
                  const v1::TurnRequest& common, StreamCount* streams);
  // Half-closes the stream, which then ends.
  ~ConverseSession() override;

  void Start(const LoadTurn& turn, TurnObserver* observer) override;
  void Cancel() override;
  void Abort() override;

 private:
  ConverseStream* const stream_;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_CONVERSE_SESSION_H_
