// tandem-cost-worker: a worker without weights, to measure coordinators with.

#include "services/common/logging.h"
#include "services/common/process_exit.h"
#include "services/common/signals.h"
#include "services/identity/caller_names.h"
#include "tools/cost_worker/cost_worker.h"

namespace tandem::bench {
namespace {

int Main(int argc, const char* const* argv) {
  CostWorkerOptions options;
  if (const std::optional<int> code =
          ParseCostWorkerFlags(argc, argv, &options)) {
    return *code;
  }
  SignalWatcher signal;
  InitLogging(options.server.log_format, options.server.log_level);
  absl::StatusOr<WorkerModelParts> parts = MakeCostWorkerParts(options);
  if (!parts.ok()) return PrintUsageError(kCostWorkerProgram, parts.status());
  WorkerOptions worker;
  worker.server = options.server;
  worker.loader.role = options.role;
  // It has nothing of anybody's.
  if (!options.server.tls.client_ca.empty()) {
    worker.allow_callers = {kAnyCaller};
  }
  const absl::StatusOr<std::unique_ptr<WorkerServer>> server =
      WorkerServer::Listen(worker);
  if (!server.ok()) return PrintUsageError(kCostWorkerProgram, server.status());
  (*server)->Serve(*std::move(parts));
  signal.Wait();
  (*server)->Drain();
  return kExitOk;
}

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  tandem::BeginProcess();
  tandem::EndProcess(tandem::bench::Main(argc, argv));
}
