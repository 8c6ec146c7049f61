// The worker's command line.

#ifndef TANDEM_SERVICES_WORKER_SERVER_WORKER_FLAGS_H_
#define TANDEM_SERVICES_WORKER_SERVER_WORKER_FLAGS_H_

#include <optional>

#include "services/worker/server/worker_server.h"

namespace tandem {

inline constexpr char kWorkerProgram[] = "tandem-worker";
inline constexpr char kWorkerListenDefault[] = "127.0.0.1:7071";

// Parses flags, environment and config file into `options`. Nothing where the
// program goes on, else its exit code (server_flags.h).
std::optional<int> ParseWorkerFlags(int argc, const char* const* argv,
                                    WorkerOptions* options);

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_WORKER_FLAGS_H_
