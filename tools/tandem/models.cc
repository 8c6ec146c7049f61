// tandem models: what the coordinator can be asked for.

#include <memory>
#include <string>

#include "CLI/App.hpp"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/command_line.h"

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
          {"chat_template_names", model.chat_template_names()},
          {"tool_format", model.tool_format()},
          {"tool_format_error", model.tool_format_error()},
          {"has_reasoning", model.has_reasoning()}};
}

absl::Status RunModels(const bool& json, const ConnectionFlags& connection,
                       const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  TANDEM_ASSIGN_OR_RETURN(const v1::ListModelsResponse response,
                          client->ListModels());
  Json models = Json::array();
  for (const v1::ModelInfo& model : response.models()) {
    models.push_back(ModelJson(model));
  }
  if (json) {
    PrintJson({{"models", models}}, io.out);
  } else {
    PrintReport(
        {{"models",
          Columns(models, {"model_id", "numerics", "context_max", "vocab_size",
                           "target_workers", "draft_workers", "chat_template",
                           "tool_format", "fingerprint"})}},
        io.out);
  }
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
  RunWhenChosen(command, json, RunModels, line);
}

}  // namespace tandem::cli
