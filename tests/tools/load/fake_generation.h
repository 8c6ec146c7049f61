// A GenerationService that answers any number of turns by a script, on a port
// of its own.

#ifndef TANDEM_TESTS_TOOLS_LOAD_FAKE_GENERATION_H_
#define TANDEM_TESTS_TOOLS_LOAD_FAKE_GENERATION_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "tandem/v1/generation.grpc.pb.h"

namespace tandem::load {

class FakeGeneration final : public v1::GenerationService::Service {
 public:
  FakeGeneration();
  ~FakeGeneration() override;

  const std::string& address() const { return address_; }

  // Set before the call that they are for.
  absl::Status error;             // in place of the second event, where not OK
  bool ends_early = false;        // OK after the tokens
  bool waits_for_cancel = false;  // after the tokens

  std::vector<v1::TurnRequest> turns() const;

 private:
  using Stream =
      grpc::ServerReaderWriter<v1::ConverseResponse, v1::ConverseRequest>;

  grpc::Status Converse(grpc::ServerContext* context, Stream* stream) override;
  // Keeps the turn; the session that it has or gets.
  std::string Keep(const v1::TurnRequest& turn);

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  mutable absl::Mutex mutex_;
  std::vector<v1::TurnRequest> turns_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem::load

#endif  // TANDEM_TESTS_TOOLS_LOAD_FAKE_GENERATION_H_
