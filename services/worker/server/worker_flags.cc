#include "services/worker/server/worker_flags.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/kernels/numerics_mode.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/server_flags.h"

namespace tandem {
namespace {

// Flags whose values are names.
struct NamedValues {
  std::string prefix_cache = "on";
  std::string role;
  std::string numerics;
  std::string kv_type;
  std::vector<std::string> models;   // PATH or ID=PATH
  std::vector<std::string> digests;  // HEX or ID=HEX
  std::string model_id;
};

// Empty for the hexadecimal form of a SHA-256, with "ID=" before it or not.
std::string CheckDigest(const std::string& text) {
  constexpr size_t kDigits = 64;
  const size_t equals = text.rfind('=');
  const std::string digest =
      equals == std::string::npos ? text : text.substr(equals + 1);
  const bool is_digest =
      digest.size() == kDigits &&
      digest.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  return is_digest ? "" : "is no SHA-256 of 64 hexadecimal digits: " + text;
}

// A name with a slash before its first = is a path.
ModelSpec ParseModel(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || text.find('/') < equals) {
    return {.id = "", .path = text};
  }
  return {.id = text.substr(0, equals), .path = text.substr(equals + 1)};
}

// Gives each digest to its model: the one that it names, else the one that
// the digest before it names, else the only one.
absl::Status AddDigests(const std::vector<std::string>& digests,
                        std::vector<ModelSpec>* models) {
  ModelSpec* model = models->size() == 1 ? &models->front() : nullptr;
  for (const std::string& digest : digests) {
    const size_t equals = digest.rfind('=');
    if (equals != std::string::npos) {
      const std::string id = digest.substr(0, equals);
      const auto found = std::find_if(
          models->begin(), models->end(),
          [&id](const ModelSpec& it) { return ModelIdOf(it) == id; });
      if (found == models->end()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "--model-sha256 ", digest, ": no --model is named ", id));
      }
      model = &*found;
    }
    if (model == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("--model-sha256 ", digest,
                       ": with several models it must be ID=", digest));
    }
    model->sha256.push_back(
        equals == std::string::npos ? digest : digest.substr(equals + 1));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ModelSpec>> ParseModels(const NamedValues& names) {
  std::vector<ModelSpec> models;
  std::vector<std::string> ids;
  for (const std::string& text : names.models) {
    models.push_back(ParseModel(text));
    if (models.back().path.empty() || text.front() == '=') {
      return absl::InvalidArgumentError(
          absl::StrCat("--model ", text, ": must be PATH or ID=PATH"));
    }
  }
  if (!names.model_id.empty()) {
    if (models.size() > 1 || !models.front().id.empty()) {
      return absl::InvalidArgumentError(
          "--model-id names the one model of --model PATH; give --model "
          "ID=PATH instead");
    }
    models.front().id = names.model_id;
  }
  for (const ModelSpec& model : models) {
    const std::string id = ModelIdOf(model);
    if (std::count(ids.begin(), ids.end(), id) > 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--model: two models are named ", id, "; give --model ID=PATH"));
    }
    ids.push_back(id);
  }
  TANDEM_RETURN_IF_ERROR(AddDigests(names.digests, &models));
  return models;
}

void AddModelFlags(CLI::App* app, NamedValues* names) {
  app->add_option("--role", names->role,
                  "draft (proposes tokens) or target (decides them)")
      ->check(OneOf({"draft", "target"}))
      ->required();
  app->add_option("--model", names->models,
                  "GGUF file; of a split model the first one. Once for each "
                  "model, several as ID=PATH")
      ->allow_extra_args(false)
      ->required();
  app->add_option("--model-sha256", names->digests,
                  "SHA-256 that the file must have, in hexadecimal; of a split "
                  "model one for each file, with commas between; with several "
                  "models ID=SHA256")
      ->delimiter(',')
      ->check(CheckDigest);
  app->add_option("--model-id", names->model_id,
                  "Name of the only model; default: the file's name");
  app->add_option("--numerics", names->numerics,
                  "int8, int8+float, bf16 or f32; default: what the file holds")
      ->check(OneOf(NumericsModeNames()));
  app->add_option("--kv-type", names->kv_type,
                  "Storage of keys and values, bf16 or f32; default: by "
                  "--numerics")
      ->check(OneOf({"bf16", "f32"}));
}

void AddCallerFlags(CLI::App* app, WorkerOptions* options) {
  app->add_option("--allow-caller", options->allow_callers,
                  "A name (URI, DNS or common name) in the certificates of "
                  "those who may call this worker, its coordinators; "
                  "repeatable; needed with --tls-client-ca; *: everybody "
                  "whose certificate that signed")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(NotEmpty("a name"));
}

void AddAdminFlags(CLI::App* app, WorkerOptions* options) {
  app->add_option("--model-memory-max-bytes", options->bounds.weight_bytes_max,
                  "Weights of all models together; a load that needs more "
                  "unloads models that nobody uses, the least recently used "
                  "first; 0: no bound. KV comes on top")
      ->check(WholeNumber(int64_t{0}, int64_t{1} << 50))
      ->capture_default_str();
  app->add_option("--model-folder", options->model_folder,
                  "Folder whose files the admin service may load; default: "
                  "none");
  app->add_option("--admin-listen", options->admin_listen,
                  "Address of the admin service, which loads and unloads "
                  "models: loopback or unix:PATH, others with --tls-client-ca "
                  "only; default: none");
  app->add_option("--admin-address-file", options->admin_address_file,
                  "File to write the admin service's bound address to");
  app->add_option("--admin-allow-caller", options->admin_allow_callers,
                  "A name (URI, DNS or common name) in the certificates of "
                  "those who may call the admin service; repeatable; *: "
                  "everybody whose certificate --tls-client-ca signed")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(NotEmpty("a name"));
}

void AddEngineFlags(CLI::App* app, WorkerOptions* options, NamedValues* names) {
  app->add_option("--threads", options->loader.engine.threads,
                  "Computing threads; 0: one per CPU, within the quota of a "
                  "container")
      ->check(WholeNumber(0, 1024))
      ->capture_default_str();
  app->add_flag_callback(
      "--pin-threads",
      [options] { options->loader.engine.pinning = Pinning::kOneCpuEach; },
      "Keeps each computing thread on one CPU of those that the process may "
      "use; for CPUs that nothing else uses");
  app->add_option("--context-max", options->loader.engine.context_max,
                  "Tokens of one sequence at most; 0: what the model allows")
      ->check(WholeNumber(0, 1 << 30))
      ->capture_default_str();
  app->add_option("--kv-tokens", options->loader.engine.kv_tokens,
                  "Tokens of all sequences of a model together; 0: what the "
                  "memory holds, four full contexts at most")
      ->check(WholeNumber(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  app->add_option(
         "--memory-max-bytes", options->bounds.memory.process_bytes_max,
         "Memory of the process at most: weights and KV of all models, "
         "and the rest; 0: what a container's limit and the machine "
         "leave")
      ->check(WholeNumber(int64_t{0}, int64_t{1} << 50))
      ->capture_default_str();
  app->add_option("--prefix-cache", names->prefix_cache,
                  "on: the KV of sequences that are over stays for later ones "
                  "of the same tenant, as long as the memory is not needed; or "
                  "off")
      ->check(OneOf({"on", "off"}))
      ->capture_default_str();
  app->add_option("--rows-max", options->loader.engine.rows_max,
                  "Rows of one pass at most")
      ->check(WholeNumber(1, 4096))
      ->capture_default_str();
  app->add_option("--sequences-max", options->loader.engine.sequences_max,
                  "Sequences of a model at once at most")
      ->check(WholeNumber(1, 65536))
      ->capture_default_str();
  app->add_option("--queue-max", options->loader.queue_max,
                  "Sequences that wait for KV of a model at once at most; 0: "
                  "none, they are refused")
      ->check(WholeNumber(0, 65536))
      ->capture_default_str();
  app->add_option("--tenant-kv-share", options->loader.tenant_kv_share,
                  "Part of a model's KV beyond which a tenant's sequences wait "
                  "while another tenant's do, 0.01 to 1; 1: all")
      ->check(Number(0.01, 1))
      ->capture_default_str();
  app->add_option("--compute-turn", options->loader.compute_turn,
                  "File that workers on the same cores share to take turns, "
                  "one pass each");
}

}  // namespace

std::optional<int> ParseWorkerFlags(int argc, const char* const* argv,
                                    WorkerOptions* options) {
  options->server.listen = kWorkerListenDefault;
  CLI::App app("Computes with language models for a tandem coordinator.",
               kWorkerProgram);
  NamedValues names;
  AddModelFlags(&app, &names);
  AddEngineFlags(&app, options, &names);
  AddCallerFlags(&app, options);
  AddAdminFlags(&app, options);
  AddServerFlags(&app, &options->server);
  SetExamples(&app, {"tandem-worker --role target --model model.gguf",
                     "tandem-worker --role draft --model small.gguf --listen "
                     "127.0.0.1:7072",
                     "tandem-worker --role target --model a=first.gguf "
                     "--model b=second.gguf --threads 8"});
  if (const std::optional<int> code = ParseFlags(&app, argc, argv)) {
    return code;
  }
  absl::StatusOr<std::vector<ModelSpec>> models = ParseModels(names);
  if (!models.ok()) return PrintUsageError(kWorkerProgram, models.status());
  options->models = *std::move(models);
  ModelLoaderOptions& loader = options->loader;
  loader.role =
      names.role == "draft" ? v1::WORKER_ROLE_DRAFT : v1::WORKER_ROLE_TARGET;
  loader.model.numerics = ParseNumericsMode(names.numerics);
  loader.model.threads = loader.engine.threads;
  loader.engine.kv_type = ParseKvType(names.kv_type);
  loader.engine.prefix_cache = names.prefix_cache == "on";
  options->bounds.memory.more_to_come = !options->admin_listen.empty();
  return std::nullopt;
}

}  // namespace tandem
