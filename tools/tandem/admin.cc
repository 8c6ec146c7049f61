// tandem admin: which models a worker holds, by the worker's admin service.

#include <memory>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "grpcpp/client_context.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/status_conversion.h"
#include "tandem/v1/worker_admin.grpc.pb.h"
#include "tools/tandem/base/connection.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/service_terms.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

struct AdminFlags {
  std::string address;
  bool json = false;
  v1::LoadModelRequest load;
  v1::UnloadModelRequest unload;
};

using Stub = v1::WorkerAdminService::Stub;

absl::StatusOr<std::unique_ptr<Stub>> OpenStub(
    const AdminFlags& flags, const ConnectionFlags& connection) {
  if (flags.address.empty()) {
    return UsageError(
        "--admin is required: the address that a worker has by --admin-listen");
  }
  TANDEM_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel,
                          Connect("--admin", flags.address, connection));
  return v1::WorkerAdminService::NewStub(channel);
}

absl::Status Explain(const AdminFlags& flags, const ConnectionFlags& connection,
                     const grpc::Status& status) {
  const absl::Status error = FromGrpcStatus(status);
  if (absl::IsUnavailable(error) && !GetErrorDetail(error)) {
    return ExplainUnreachable(
        {.who = absl::StrCat("the admin service at ", flags.address),
         .address = flags.address,
         .hint = "start a worker with --admin-listen, or name another with "
                 "--admin"},
        connection, error);
  }
  if (absl::IsUnimplemented(error)) {
    return absl::UnimplementedError(absl::StrCat(
        "the server at ", flags.address,
        " has no admin service: --admin is a worker's --admin-listen"));
  }
  return InFlagTerms(error, {.model_flag = "--model-id"});
}

Json ModelJson(const v1::LoadedModel& loaded) {
  return {{"model_id", loaded.model().model_id()},
          {"fingerprint", loaded.model().fingerprint()},
          {"numerics", loaded.model().numerics()},
          {"context_max", loaded.model().context_max()},
          {"weight_bytes", loaded.weight_bytes()},
          {"streams_open", loaded.streams_open()},
          {"unloading", loaded.unloading()}};
}

absl::Status RunModels(const AdminFlags& flags,
                       const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Stub> stub,
                          OpenStub(flags, connection));
  grpc::ClientContext context;
  v1::ListWorkerModelsResponse response;
  const grpc::Status status = stub->ListWorkerModels(&context, {}, &response);
  if (!status.ok()) return Explain(flags, connection, status);
  Json models = Json::array();
  for (const v1::LoadedModel& loaded : response.models()) {
    models.push_back(ModelJson(loaded));
  }
  if (flags.json) {
    PrintJson({{"models", models},
               {"weight_bytes", response.weight_bytes()},
               {"weight_bytes_max", response.weight_bytes_max()}},
              io.out);
  } else {
    PrintReport({{"models", Columns(models, {"model_id", "numerics",
                                             "context_max", "weight_bytes",
                                             "streams_open", "fingerprint"})}},
                io.out);
  }
  return absl::OkStatus();
}

// Progress goes to standard error, at each tenth.
absl::Status RunLoad(const AdminFlags& flags, const ConnectionFlags& connection,
                     const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Stub> stub,
                          OpenStub(flags, connection));
  grpc::ClientContext context;
  const auto reader = stub->LoadModel(&context, flags.load);
  v1::LoadModelResponse response;
  v1::LoadedModel loaded;
  const auto tell = TellTenths("loading:", io.err);
  while (reader->Read(&response)) {
    if (response.has_loaded()) loaded = response.loaded();
    if (!flags.json) tell(response.progress());
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return Explain(flags, connection, status);
  if (flags.json) {
    PrintJson(ModelJson(loaded), io.out);
  } else {
    *io.out << absl::StrFormat("%s is loaded: %d bytes, fingerprint %s\n",
                               loaded.model().model_id(), loaded.weight_bytes(),
                               loaded.model().fingerprint());
  }
  return absl::OkStatus();
}

absl::Status RunUnload(const AdminFlags& flags,
                       const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Stub> stub,
                          OpenStub(flags, connection));
  grpc::ClientContext context;
  v1::UnloadModelResponse response;
  const grpc::Status status =
      stub->UnloadModel(&context, flags.unload, &response);
  if (!status.ok()) return Explain(flags, connection, status);
  *io.out << flags.unload.model_id() << " is unloaded\n";
  return absl::OkStatus();
}

void AddLoadCommand(CLI::App* admin, const std::shared_ptr<AdminFlags>& flags,
                    CommandLine* line) {
  CLI::App* command =
      admin->add_subcommand("load", "Loads a model and serves it.");
  command
      ->add_option("file", *flags->load.mutable_path(),
                   "GGUF file, relative to the worker's --model-folder")
      ->required();
  command->add_option("--model-id", *flags->load.mutable_model_id(),
                      "Name of the model; default: the file's name");
  command
      ->add_option_function<std::vector<std::string>>(
          "--model-sha256",
          [flags](const std::vector<std::string>& digests) {
            *flags->load.mutable_sha256() = {digests.begin(), digests.end()};
          },
          "SHA-256 that the file must have; of a split model one for each "
          "file, with commas between")
      ->delimiter(',');
  command->add_flag("--json", flags->json, "Prints the loaded model");
  SetExamples(command,
              {"tandem admin load small.gguf --admin unix:/tmp/admin.sock",
               "tandem admin load big/model.gguf --model-id big --admin "
               "127.0.0.1:7081"});
  RunWhenChosen(command, flags, RunLoad, line);
}

void AddUnloadCommand(CLI::App* admin, const std::shared_ptr<AdminFlags>& flags,
                      CommandLine* line) {
  CLI::App* command = admin->add_subcommand(
      "unload", "Unloads a model that no stream uses any more.");
  command
      ->add_option("model-id", *flags->unload.mutable_model_id(),
                   "The model, as admin models lists it")
      ->required();
  command
      ->add_option_function<int>(
          "--drain-timeout-ms",
          [flags](int drain_ms) {
            flags->unload.set_drain_timeout_ms(drain_ms);
          },
          "Waits this long for streams that use it; new ones are refused "
          "meanwhile")
      ->check(WholeNumber(0, 3600000));
  SetExamples(command, {"tandem admin unload small --drain-timeout-ms 10000 "
                        "--admin unix:/tmp/admin.sock"});
  RunWhenChosen(command, flags, RunUnload, line);
}

}  // namespace

void AddAdminCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<AdminFlags>();
  CLI::App* admin = app->add_subcommand(
      "admin", "Lists, loads and unloads the models of a worker.");
  admin->require_subcommand(1);
  admin->fallthrough();  // --admin may stand after the subcommand
  admin
      ->add_option("--admin", flags->address,
                   "Address of the worker's --admin-listen")
      ->envname("TANDEM_ADMIN");
  CLI::App* models =
      admin->add_subcommand("models", "Lists the models that are loaded.");
  models->add_flag("--json", flags->json,
                   "Prints {\"models\": [...]} and the memory");
  SetExamples(models, {"tandem admin models --admin unix:/tmp/admin.sock",
                       "tandem admin models --admin 127.0.0.1:7081 --json"});
  RunWhenChosen(models, flags, RunModels, line);
  AddLoadCommand(admin, flags, line);
  AddUnloadCommand(admin, flags, line);
  SetExamples(admin,
              {"tandem admin models --admin unix:/tmp/admin.sock",
               "tandem admin load small.gguf --admin unix:/tmp/admin.sock",
               "tandem admin unload small --admin unix:/tmp/admin.sock"});
}

}  // namespace tandem::cli
