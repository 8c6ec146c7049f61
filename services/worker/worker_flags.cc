#include "services/worker/worker_flags.h"

#include <string>

#include "engine/kernels/numerics_mode.h"
#include "services/common/server_flags.h"

namespace tandem {
namespace {

// Flags whose values are names.
struct NamedValues {
  std::string role;
  std::string numerics;
  std::string kv_type;
};

// Empty for the hexadecimal form of a SHA-256.
std::string CheckDigest(const std::string& text) {
  constexpr size_t kDigits = 64;
  const bool is_digest =
      text.size() == kDigits &&
      text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  return is_digest ? "" : "is no SHA-256 of 64 hexadecimal digits: " + text;
}

void AddModelFlags(CLI::App* app, WorkerOptions* options, NamedValues* names) {
  app->add_option("--role", names->role,
                  "draft (proposes tokens) or target (decides them)")
      ->check(CLI::IsMember({"draft", "target"}))
      ->required();
  app->add_option("--model", options->model_path,
                  "GGUF file; of a split model the first one")
      ->required();
  app->add_option("--model-sha256", options->model.sha256,
                  "SHA-256 that the file must have, in hexadecimal; of a split "
                  "model one for each file, with commas between")
      ->delimiter(',')
      ->check(CheckDigest);
  app->add_option("--model-id", options->model_id,
                  "Name of the model; default: the file's name");
  app->add_option("--numerics", names->numerics,
                  "int8, bf16 or f32; default: what the file holds")
      ->check(CLI::IsMember({"int8", "bf16", "f32"}));
  app->add_option("--kv-type", names->kv_type,
                  "Storage of keys and values, bf16 or f32; default: by "
                  "--numerics")
      ->check(CLI::IsMember({"bf16", "f32"}));
}

void AddEngineFlags(CLI::App* app, WorkerOptions* options) {
  app->add_option("--threads", options->engine.threads,
                  "Computing threads; 0: one per CPU")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app->add_flag_callback(
      "--pin-threads",
      [options] { options->engine.pinning = Pinning::kOneCpuEach; },
      "Keeps each computing thread on one CPU of those that the process may "
      "use; for CPUs that nothing else uses");
  app->add_option("--context-max", options->engine.context_max,
                  "Tokens of one sequence at most; 0: what the model allows")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  app->add_option("--kv-tokens", options->engine.kv_tokens,
                  "Tokens of all sequences together; 0: four full contexts")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  app->add_option("--rows-max", options->engine.rows_max,
                  "Rows of one pass at most")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app->add_option("--sequences-max", options->engine.sequences_max,
                  "Sequences at once at most")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  app->add_option("--queue-max", options->queue_max,
                  "Sequences that wait for KV at once at most; 0: none, they "
                  "are refused")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  app->add_option("--compute-turn", options->compute_turn,
                  "File that workers on the same cores share to take turns, "
                  "one pass each");
}

}  // namespace

std::optional<int> ParseWorkerFlags(int argc, const char* const* argv,
                                    WorkerOptions* options) {
  options->server.listen = kWorkerListenDefault;
  CLI::App app("Computes with one language model for a tandem coordinator.",
               kWorkerProgram);
  NamedValues names;
  AddModelFlags(&app, options, &names);
  AddEngineFlags(&app, options);
  AddServerFlags(&app, &options->server);
  if (const std::optional<int> code = ParseFlags(&app, argc, argv)) {
    return code;
  }
  options->role =
      names.role == "draft" ? v1::WORKER_ROLE_DRAFT : v1::WORKER_ROLE_TARGET;
  options->model.numerics = ParseNumericsMode(names.numerics);
  options->model.threads = options->engine.threads;
  options->engine.kv_type = ParseKvType(names.kv_type);
  return std::nullopt;
}

}  // namespace tandem
