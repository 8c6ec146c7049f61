#include "tools/tandem/score/score.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/terminal_text.h"
#include "tools/tandem/base/text_input.h"
#include "tools/tandem/base/turn_flags.h"

namespace tandem::cli {
namespace {

struct ScoreFlags {
  std::string prompt;
  std::vector<std::string> continuations;
  std::string model_id;
  bool special = false;
  bool json = false;
};

absl::StatusOr<v1::ScoreRequest> MakeRequest(const ScoreFlags& flags,
                                             const Io& io) {
  v1::ScoreRequest request;
  TANDEM_ASSIGN_OR_RETURN(const std::string prompt,
                          ReadText({.argument = flags.prompt},
                                   {.what = "prompt", .file_flag = ""}, io));
  TANDEM_RETURN_IF_ERROR(CheckUtf8(prompt, "prompt"));
  request.set_model_id(flags.model_id);
  // Without one the service takes BOS alone.
  if (!prompt.empty()) request.set_text(prompt);
  request.set_parse_special(flags.special);
  for (const std::string& text : flags.continuations) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(text, "continuation"));
    request.add_continuations()->set_text(text);
  }
  return request;
}

void PrintScoresJson(const ScoreFlags& flags, const v1::ScoreResponse& response,
                     std::ostream* out) {
  Json scores = Json::array();
  for (int i = 0; i < response.scores_size(); ++i) {
    const v1::ContinuationScore& score = response.scores(i);
    scores.push_back({{"continuation", flags.continuations[i]},
                      {"logprob", score.logprob()},
                      {"is_greedy", score.is_greedy()},
                      {"token_ids", score.token_ids()},
                      {"logprobs", score.logprobs()}});
  }
  PrintJson({{"model_id", response.model_id()},
             {"fingerprint", response.fingerprint()},
             {"prompt_tokens", response.prompt_tokens()},
             {"scores", scores}},
            out);
}

void PrintScores(const ScoreFlags& flags, const v1::ScoreResponse& response,
                 const Io& io) {
  std::vector<std::vector<std::string>> rows = {
      {"logprob", "tokens", "per_token", "greedy", "continuation"}};
  for (int i = 0; i < response.scores_size(); ++i) {
    const v1::ContinuationScore& score = response.scores(i);
    const int tokens = score.logprobs_size();
    rows.push_back({absl::StrFormat("%.4f", score.logprob()),
                    std::to_string(tokens),
                    absl::StrFormat("%.4f", Ratio(score.logprob(), tokens)),
                    score.is_greedy() ? "yes" : "no",
                    absl::StrReplaceAll(HarmlessText(flags.continuations[i]),
                                        {{"\n", " "}, {"\t", " "}})});
  }
  PrintTable(rows, io.out);
}

absl::Status RunScore(const ScoreFlags& flags,
                      const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const v1::ScoreRequest request,
                          MakeRequest(flags, io));
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  TANDEM_ASSIGN_OR_RETURN(const v1::ScoreResponse response,
                          client->Score(request));
  if (response.scores_size() != request.continuations_size()) {
    return absl::InternalError(
        "the coordinator has not scored what it was asked for");
  }
  if (flags.json) {
    PrintScoresJson(flags, response, io.out);
  } else {
    PrintScores(flags, response, io);
  }
  return absl::OkStatus();
}

}  // namespace

void AddScoreCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<ScoreFlags>();
  CLI::App* command = app->add_subcommand(
      "score",
      "Prints how probable texts are after a prompt: the natural logarithm of "
      "the probability, and whether greedy decoding gives the text.");
  command
      ->add_option("prompt", flags->prompt,
                   "What stands before each text; \"\": nothing; \"-\": "
                   "standard input, byte for byte")
      ->required();
  command
      ->add_option("continuation", flags->continuations,
                   "The texts, with the space that they begin with")
      ->required();
  AddModelFlag(command, &flags->model_id);
  command->add_flag("--special", flags->special,
                    "Names of special tokens in the texts become these tokens");
  command->add_flag("--json", flags->json,
                    "Prints one JSON object, with the log-probability of each "
                    "token");
  SetExamples(command, {"tandem score 'The sky is' ' blue' ' green' ' a lie'",
                        "tandem score 'Once upon' ' a time' --json",
                        "tandem score - ' yes' ' no' < question.txt"});
  RunWhenChosen(command, flags, RunScore, line);
}

}  // namespace tandem::cli
