// tandem tokenize: the token ids of a text.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/gguf/gguf_file.h"
#include "engine/tokenizer/tokenizer.h"
#include "services/common/flag_messages.h"
#include "tools/tandem/client.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/json_output.h"
#include "tools/tandem/text_input.h"

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
  command->callback([flags, line] {
    line->run = [flags, line](const Io& io) {
      return RunTokenize(*flags, line->connection, io);
    };
  });
}

}  // namespace tandem::cli
