// tandem tokenize and tandem detokenize: the token ids of a text, and back.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "engine/gguf/gguf_file.h"
#include "engine/tokenizer/tokenizer.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/terminal_text.h"
#include "tools/tandem/base/text_input.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

struct TokenizeFlags {
  TextSource text;
  std::string model_file;
  std::string model_id;
  bool no_bos = false;
  bool special = false;
  bool json = false;
};

absl::StatusOr<std::vector<TokenId>> EncodeByFile(const TokenizeFlags& flags,
                                                  const std::string& text) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file,
                          GgufFile::Open(flags.model_file));
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                          Tokenizer::FromGguf(*file));
  return tokenizer->Encode(text,
                           {.add_bos = !flags.no_bos && tokenizer->adds_bos(),
                            .parse_special = flags.special});
}

absl::StatusOr<std::vector<TokenId>> EncodeByService(
    const TokenizeFlags& flags, const std::string& text,
    const ConnectionFlags& connection) {
  TANDEM_RETURN_IF_ERROR(CheckUtf8(text, "text"));
  v1::TokenizeRequest request;
  request.set_model_id(flags.model_id);
  request.set_text(text);
  request.set_add_bos(!flags.no_bos);
  request.set_parse_special(flags.special);
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  TANDEM_ASSIGN_OR_RETURN(const v1::TokenizeResponse response,
                          client->Tokenize(request));
  return std::vector<TokenId>(response.token_ids().begin(),
                              response.token_ids().end());
}

absl::Status RunTokenize(const TokenizeFlags& flags,
                         const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(
      const std::string text,
      ReadText(flags.text, {.what = "text", .file_flag = ""}, io));
  auto ids = flags.model_file.empty() ? EncodeByService(flags, text, connection)
                                      : EncodeByFile(flags, text);
  if (!ids.ok()) return ids.status();
  if (flags.json) {
    PrintJson({{"token_ids", *ids}}, io.out);
  } else {
    *io.out << absl::StrJoin(*ids, " ") << "\n";
  }
  return absl::OkStatus();
}

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
    PrintText(response.text(), io);
    *io.out << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddTokenizeCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app->add_subcommand(
      "tokenize", "Prints the token ids of a text, by the service or a file.");
  command->add_option("text", flags->text.argument,
                      "The text; \"-\" or absent: standard input, byte for "
                      "byte");
  CLI::Option* file = command->add_option(
      "--model", flags->model_file,
      "GGUF file whose tokenizer is used; no service is needed");
  command
      ->add_option("--model-id", flags->model_id,
                   "Id of the service's model; may be absent where there is "
                   "one")
      ->excludes(file);
  command->add_flag("--no-bos", flags->no_bos,
                    "Leaves out the token that begins a text");
  command->add_flag("--special", flags->special,
                    "Names of special tokens in the text become these tokens");
  command->add_flag("--json", flags->json, "Prints {\"token_ids\": [...]}");
  SetExamples(command, {"tandem tokenize 'Once upon a time'",
                        "tandem tokenize --model model.gguf 'Hello'",
                        "tandem tokenize --json < text.txt"});
  RunWhenChosen(command, flags, RunTokenize, line);
}

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
  RunWhenChosen(command, flags, RunDetokenize, line);
}

}  // namespace tandem::cli
