// tandem detokenize: the text of token ids.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "tools/tandem/client.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/json_output.h"
#include "tools/tandem/text_input.h"

namespace tandem::cli {
namespace {

struct DetokenizeFlags {
  std::vector<std::string> ids;
  std::string model_id;
  bool keep_special = false;
  bool json = false;
};

// Numbers between spaces, commas and brackets, so that the output of
// `tandem tokenize` and its token_ids can be given back.
absl::Status ParseIds(const std::string& text, v1::DetokenizeRequest* request) {
  for (const absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" ,[]\t\r\n"), absl::SkipEmpty())) {
    int32_t id = 0;
    if (!absl::SimpleAtoi(word, &id)) {
      return UsageError(absl::StrCat(QuotedValue(word),
                                     " is no token id: write whole numbers"));
    }
    request->add_token_ids(id);
  }
  return absl::OkStatus();
}

absl::Status RunDetokenize(const DetokenizeFlags& flags,
                           const ConnectionFlags& connection, const Io& io) {
  v1::DetokenizeRequest request;
  request.set_model_id(flags.model_id);
  request.set_skip_special(!flags.keep_special);
  if (flags.ids.empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        const std::string text,
        ReadText({}, {.what = "token id", .file_flag = ""}, io));
    TANDEM_RETURN_IF_ERROR(ParseIds(text, &request));
  }
  for (const std::string& text : flags.ids) {
    TANDEM_RETURN_IF_ERROR(ParseIds(text, &request));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  TANDEM_ASSIGN_OR_RETURN(const v1::DetokenizeResponse response,
                          client->Detokenize(request));
  if (flags.json) {
    PrintJson({{"text", response.text()}}, io.out);
  } else {
    *io.out << response.text() << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddDetokenizeCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<DetokenizeFlags>();
  CLI::App* command = app->add_subcommand(
      "detokenize", "Prints the text of token ids, by the service.");
  command->add_option("ids", flags->ids,
                      "Token ids; absent: read from standard input");
  command->add_option("--model-id", flags->model_id,
                      "Id of the model; may be absent where there is one");
  command->add_flag("--keep-special", flags->keep_special,
                    "Shows control tokens by their names");
  command->add_flag("--json", flags->json, "Prints {\"text\": \"...\"}");
  SetExamples(command,
              {"tandem detokenize 5 17 42", "tandem detokenize 5,17,42",
               "tandem tokenize 'Hello' | tandem detokenize"});
  command->callback([flags, line] {
    line->run = [flags, line](const Io& io) {
      return RunDetokenize(*flags, line->connection, io);
    };
  });
}

}  // namespace tandem::cli
