#include "tools/tandem/score/perplexity.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/text_input.h"
#include "tools/tandem/base/turn_flags.h"

namespace tandem::cli {
namespace {

// A longer window costs more and tells little more of most texts.
constexpr int64_t kContextDefault = 2048;
// More than any model's.
constexpr int64_t kContextMax = 1 << 24;

struct PerplexityFlags {
  std::string file;
  std::string model_id;
  int64_t context = 0;
  int64_t stride = 0;
  bool json = false;
};

// Of the windows that were scored.
struct Sums {
  int64_t tokens = 0;
  double logprob = 0;
  std::string model_id = {};
  std::string fingerprint = {};
};

absl::StatusOr<std::vector<int32_t>> TokensOf(const std::string& text,
                                              const PerplexityFlags& flags,
                                              Client* client) {
  v1::TokenizeRequest request;
  request.set_model_id(flags.model_id);
  request.set_text(text);
  request.set_add_bos(true);
  TANDEM_ASSIGN_OR_RETURN(const v1::TokenizeResponse response,
                          client->Tokenize(request));
  if (response.token_ids_size() < 2) {
    return UsageError(absl::StrCat("the text has ", response.token_ids_size(),
                                   " tokens: two are needed"));
  }
  return std::vector<int32_t>(response.token_ids().begin(),
                              response.token_ids().end());
}

absl::StatusOr<WindowOptions> WindowsFor(const PerplexityFlags& flags,
                                         const v1::ModelInfo& model) {
  const int64_t context_max = model.context_max();
  WindowOptions options{.context = flags.context};
  if (options.context == 0) {
    options.context = std::min(context_max, kContextDefault);
  }
  if (options.context < 2 || options.context > context_max) {
    return UsageError(absl::StrCat("--context: must be 2 to ", context_max,
                                   ", the model's context, is ",
                                   options.context));
  }
  options.stride = flags.stride == 0 ? options.context / 2 : flags.stride;
  if (options.stride < 1 || options.stride >= options.context) {
    return UsageError(absl::StrCat("--stride: must be 1 to ",
                                   options.context - 1,
                                   ", below the context, is ", options.stride));
  }
  return options;
}

absl::Status AddScores(const v1::ScoreResponse& response,
                       const ScoreWindow& window, Sums* sums) {
  if (response.scores_size() != 1 ||
      response.scores(0).logprobs_size() != window.end - window.score_from) {
    return absl::InternalError(
        "the coordinator has not scored what it was asked for");
  }
  if (sums->tokens > 0 && response.fingerprint() != sums->fingerprint) {
    return absl::AbortedError(
        "the model was replaced by another version meanwhile: start again");
  }
  sums->model_id = response.model_id();
  sums->fingerprint = response.fingerprint();
  sums->tokens += response.scores(0).logprobs_size();
  sums->logprob += response.scores(0).logprob();
  return absl::OkStatus();
}

absl::StatusOr<Sums> ScoreAll(const std::vector<int32_t>& ids,
                              const std::vector<ScoreWindow>& windows,
                              const PerplexityFlags& flags, Client* client,
                              const std::function<void(double)>& progress) {
  Sums sums;
  for (const ScoreWindow& window : windows) {
    v1::ScoreRequest request;
    request.set_model_id(flags.model_id);
    request.mutable_tokens()->mutable_ids()->Add(
        ids.begin() + window.begin, ids.begin() + window.score_from);
    request.add_continuations()->mutable_tokens()->mutable_ids()->Add(
        ids.begin() + window.score_from, ids.begin() + window.end);
    TANDEM_ASSIGN_OR_RETURN(const v1::ScoreResponse response,
                            client->Score(request));
    TANDEM_RETURN_IF_ERROR(AddScores(response, window, &sums));
    progress(Ratio(static_cast<double>(window.end),
                   static_cast<double>(ids.size())));
  }
  return sums;
}

absl::Status RunPerplexity(const PerplexityFlags& flags,
                           const ConnectionFlags& connection, const Io& io) {
  TextSource source;
  if (flags.file == "-") {
    source.argument = flags.file;
  } else {
    source.file = flags.file;
  }
  TANDEM_ASSIGN_OR_RETURN(
      const std::string text,
      ReadText(source, {.what = "text", .file_flag = "FILE"}, io));
  TANDEM_RETURN_IF_ERROR(CheckUtf8(text, "text"));
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  TANDEM_ASSIGN_OR_RETURN(const v1::ModelInfo model,
                          client->FindModel(flags.model_id));
  TANDEM_ASSIGN_OR_RETURN(const WindowOptions options,
                          WindowsFor(flags, model));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                          TokensOf(text, flags, client.get()));
  const std::vector<ScoreWindow> windows =
      PlanWindows(static_cast<int64_t>(ids.size()), options);
  TANDEM_ASSIGN_OR_RETURN(
      const Sums sums,
      ScoreAll(ids, windows, flags, client.get(),
               TellTenths(absl::StrCat("perplexity: ", flags.file), io.err)));
  const double bits = -sums.logprob / std::log(2.0);
  const auto tokens = static_cast<double>(sums.tokens);
  const Json report = {
      {"model_id", sums.model_id},
      {"tokens", sums.tokens},
      {"bytes", text.size()},
      {"windows", windows.size()},
      {"context", options.context},
      {"stride", options.stride},
      {"logprob", sums.logprob},
      {"bits_per_byte", Ratio(bits, static_cast<double>(text.size()))},
      {"perplexity", std::exp(-sums.logprob / tokens)},
      {"fingerprint", sums.fingerprint}};
  if (flags.json) {
    PrintJson(report, io.out);
  } else {
    PrintReport(report, io.out);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<ScoreWindow> PlanWindows(int64_t tokens,
                                     const WindowOptions& options) {
  std::vector<ScoreWindow> windows;
  int64_t score_from = 1;
  for (int64_t begin = 0; score_from < tokens; begin += options.stride) {
    const int64_t end = std::min(begin + options.context, tokens);
    windows.push_back({.begin = begin, .score_from = score_from, .end = end});
    score_from = end;
  }
  return windows;
}

void AddPerplexityCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<PerplexityFlags>();
  CLI::App* command = app->add_subcommand(
      "perplexity",
      "Prints how well a model predicts a text: its perplexity by token and "
      "its bits per byte, over windows of the text.");
  command
      ->add_option("file", flags->file,
                   "File with the text, up to 4 MiB; \"-\": standard input")
      ->required();
  AddModelFlag(command, &flags->model_id);
  AddValue(command, "--context", &flags->context, WholeNumber(0, kContextMax),
           "Tokens of a window; 0: the model's context, 2048 at most");
  AddValue(command, "--stride", &flags->stride, WholeNumber(0, kContextMax),
           "Tokens from window to window, which each window but the first "
           "scores; 0: half of the context");
  command->add_flag("--json", flags->json, "Prints one JSON object");
  SetExamples(command,
              {"tandem perplexity text.txt",
               "tandem perplexity text.txt --context 1024 --stride 256",
               "tandem perplexity --json - < text.txt"});
  RunWhenChosen(command, flags, RunPerplexity, line);
}

}  // namespace tandem::cli
