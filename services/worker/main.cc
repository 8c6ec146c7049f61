// tandem-worker: computes with one model, as draft or target.

#include <unistd.h>

#include <map>
#include <string>
#include <thread>
#include <utility>

#include "engine/kernels/numerics_mode.h"
#include "services/common/logging.h"
#include "services/common/server_flags.h"
#include "services/common/signals.h"
#include "services/worker/worker_server.h"

namespace tandem {
namespace {

constexpr char kProgram[] = "tandem-worker";

struct Flags {
  WorkerOptions options;
  std::string numerics;
  std::string kv_type;
};

void AddModelFlags(CLI::App* app, Flags* flags) {
  const std::map<std::string, v1::WorkerRole> roles = {
      {"draft", v1::WORKER_ROLE_DRAFT}, {"target", v1::WORKER_ROLE_TARGET}};
  app->add_option("--role", flags->options.role,
                  "draft (proposes tokens) or target (decides them)")
      ->transform(CLI::CheckedTransformer(roles))
      ->required();
  app->add_option("--model", flags->options.model_path, "GGUF file")
      ->required();
  app->add_option("--model-id", flags->options.model_id,
                  "Name of the model; default: the file's name");
  app->add_option("--threads", flags->options.engine.threads,
                  "Computing threads; 0: one per CPU")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app->add_option("--numerics", flags->numerics,
                  "int8, bf16 or f32; default: what the file holds")
      ->check(CLI::IsMember({"int8", "bf16", "f32"}));
  app->add_option("--kv-type", flags->kv_type,
                  "Storage of keys and values, bf16 or f32; default: by "
                  "--numerics")
      ->check(CLI::IsMember({"bf16", "f32"}));
  app->add_option("--context-max", flags->options.engine.context_max,
                  "Tokens of one sequence at most; 0: what the model allows")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  app->add_option("--kv-tokens", flags->options.engine.kv_tokens,
                  "Tokens of all sequences together; 0: four full contexts")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  app->add_option("--rows-max", flags->options.engine.rows_max,
                  "Rows of one pass at most")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app->add_option("--sequences-max", flags->options.engine.sequences_max,
                  "Sequences at once at most")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app->add_option("--compute-turn", flags->options.compute_turn,
                  "File that workers on the same cores share to take turns, "
                  "one pass each");
}

// Errors that the user's flags or files have made.
bool IsUsageError(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

int Fail(const absl::Status& status) {
  const int usage = PrintUsageError(kProgram, status);
  return IsUsageError(status) ? usage : kExitFailed;
}

int Main(int argc, const char* const* argv) {
  Flags flags;
  flags.options.server.listen = "127.0.0.1:7071";
  CLI::App app("Computes with one language model for a tandem coordinator.",
               kProgram);
  AddModelFlags(&app, &flags);
  AddServerFlags(&app, &flags.options.server);
  if (const std::optional<int> code = ParseFlags(&app, argc, argv)) {
    return *code;
  }
  flags.options.model.numerics = ParseNumericsMode(flags.numerics);
  flags.options.model.threads = flags.options.engine.threads;
  flags.options.engine.kv_type = ParseKvType(flags.kv_type);

  ShutdownSignal signal;
  absl::Status status = InitLogging(flags.options.server.log_format,
                                    flags.options.server.log_level);
  if (!status.ok()) return Fail(status);
  absl::StatusOr<std::unique_ptr<WorkerServer>> server =
      WorkerServer::Listen(flags.options);
  if (!server.ok()) return Fail(server.status());

  absl::Notification loaded;
  absl::Status load_status;
  std::thread loader([&] {
    load_status = (*server)->Load();
    loaded.Notify();
    if (!load_status.ok()) signal.Request();
  });
  signal.Wait();
  if (!loaded.HasBeenNotified()) {
    // Loading can not be stopped half way, and nobody waits for it any more.
    _exit(kExitOk);
  }
  loader.join();
  if (!load_status.ok()) return Fail(load_status);
  (*server)->Drain();
  return kExitOk;
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) { return tandem::Main(argc, argv); }
