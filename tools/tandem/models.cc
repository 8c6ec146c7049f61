// tandem models: what the coordinator can be asked for.

#include <memory>
#include <string>

#include "CLI/App.hpp"
#include "absl/strings/str_format.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "tools/tandem/client.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/json_output.h"

namespace tandem::cli {
namespace {

Json ModelJson(const v1::ModelInfo& model) {
  return {{"model_id", model.model_id()},
          {"fingerprint", model.fingerprint()},
          {"vocabulary_fingerprint", model.vocabulary_fingerprint()},
          {"numerics", model.numerics()},
          {"context_max", model.context_max()},
          {"vocab_size", model.vocab_size()},
          {"target_workers", model.target_workers()},
          {"draft_workers", model.draft_workers()},
          {"chat_template", model.chat_template()},
          {"chat_template_error", model.chat_template_error()},
          {"chat_template_names", model.chat_template_names()}};
}

void PrintTable(const v1::ListModelsResponse& response, std::ostream* out) {
  constexpr char kRow[] = "%-32s %-10s %8s %8s %8s %7s %5s  %s\n";
  *out << absl::StrFormat(kRow, "MODEL", "NUMERICS", "CONTEXT", "VOCAB",
                          "TARGETS", "DRAFTS", "CHAT", "FINGERPRINT");
  for (const v1::ModelInfo& model : response.models()) {
    *out << absl::StrFormat("%-32s %-10s %8d %8d %8d %7d %5s  %s\n",
                            model.model_id(), model.numerics(),
                            model.context_max(), model.vocab_size(),
                            model.target_workers(), model.draft_workers(),
                            model.chat_template().empty() ? "no" : "yes",
                            model.fingerprint().substr(0, 16));
  }
}

absl::Status RunModels(bool json, const ConnectionFlags& connection,
                       const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  TANDEM_ASSIGN_OR_RETURN(const v1::ListModelsResponse response,
                          client->ListModels());
  if (!json) {
    PrintTable(response, io.out);
    return absl::OkStatus();
  }
  Json models = Json::array();
  for (const v1::ModelInfo& model : response.models()) {
    models.push_back(ModelJson(model));
  }
  PrintJson({{"models", models}}, io.out);
  return absl::OkStatus();
}

}  // namespace

void AddModelsCommand(CLI::App* app, CommandLine* line) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command = app->add_subcommand(
      "models", "Lists the models that the service can be asked for now.");
  command->add_flag("--json", *json, "Prints {\"models\": [...]}");
  SetExamples(command, {"tandem models",
                        "tandem models --json --coordinator 127.0.0.1:7070"});
  command->callback([json, line] {
    line->run = [json, line](const Io& io) {
      return RunModels(*json, line->connection, io);
    };
  });
}

}  // namespace tandem::cli
