// tandem bench: how fast a model is on this machine, and the files to measure
// with.

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "engine/base/tensor_type.h"
#include "engine/kernels/numerics_mode.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "tools/bench/model_bench.h"
#include "tools/bench/synthesize.h"
#include "tools/load/serve.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

using bench::DepthFigure;
using bench::ModelBenchReport;
using bench::RowsFigure;
using bench::SpeculativeFigure;

// Far above what any model has.
constexpr int64_t kTokensMax = int64_t{1} << 24;
constexpr int64_t kDimensionMax = int64_t{1} << 24;

struct ModelFlags {
  bench::ModelBenchOptions options;
  std::string numerics;
  bool json = false;
};

// What was run, its speed, and how near the limits.
Json FigureJson(const ModelBenchReport& report, Json json, double seconds,
                double tokens) {
  json["tokens_per_second"] = tokens / seconds;
  json["gbps"] =
      static_cast<double>(report.weight_bytes_per_pass) / seconds * 1e-9;
  json["gmacs"] =
      static_cast<double>(report.macs_per_token) * tokens / seconds * 1e-9;
  return json;
}

Json SpeculativeJson(const SpeculativeFigure& figure) {
  return {
      {"plain_tokens_per_second", figure.plain_tokens_per_second},
      {"speculative_tokens_per_second", figure.speculative_tokens_per_second},
      {"speedup", figure.speedup},
      {"acceptance_rate", figure.acceptance_rate},
      {"draft_length", figure.draft_length.has_value()
                           ? Json(*figure.draft_length)
                           : Json("auto")},
      {"distinct_tokens", figure.distinct_tokens}};
}

Json ReportJson(const ModelBenchReport& report) {
  Json json = {{"simd", report.simd},
               {"numerics", report.numerics},
               {"threads", report.threads},
               {"read_bandwidth_gbps", report.read_bandwidth_gbps},
               {"int8_peak_gmacs", report.int8_peak_gmacs},
               {"weight_bytes_per_pass", report.weight_bytes_per_pass},
               {"macs_per_token", report.macs_per_token},
               {"load_seconds", report.load_seconds}};
  json["rows"] = Json::array();
  for (const RowsFigure& rows : report.rows) {
    json["rows"].push_back(FigureJson(
        report, {{"m", rows.rows}, {"seconds_per_pass", rows.seconds_per_pass}},
        rows.seconds_per_pass, rows.rows));
  }
  if (const auto& prompt = report.prompt) {
    json["prompt"] = FigureJson(
        report,
        {{"tokens", prompt->rows}, {"seconds", prompt->seconds_per_pass}},
        prompt->seconds_per_pass, prompt->rows);
  }
  json["decode"] = Json::array();
  for (const DepthFigure& decode : report.decode) {
    json["decode"].push_back(
        FigureJson(report,
                   {{"depth", decode.depth},
                    {"seconds_per_token", decode.seconds_per_token}},
                   decode.seconds_per_token, 1));
  }
  if (report.speculative.has_value()) {
    json["speculative"] = SpeculativeJson(*report.speculative);
  }
  if (report.speculative_defaults.has_value()) {
    json["speculative_defaults"] =
        SpeculativeJson(*report.speculative_defaults);
  }
  return json;
}

absl::Status RunModel(const ModelFlags& given,
                      const ConnectionFlags& /*connection*/, const Io& io) {
  ModelFlags flags = given;
  if (!flags.numerics.empty()) {
    flags.options.numerics = ParseNumericsMode(flags.numerics);
  }
  flags.options.progress = [&io](absl::string_view what) {
    *io.err << "bench: " << what << "\n";
  };
  const absl::StatusOr<ModelBenchReport> report =
      bench::BenchModel(flags.options);
  if (!report.ok()) return report.status();
  if (flags.json) {
    PrintJson(ReportJson(*report), io.out);
  } else {
    PrintReport(ReportJson(*report), io.out);
  }
  return absl::OkStatus();
}

// Flags that change a shape.
struct Dimension {
  const char* flag;
  int64_t bench::ModelShape::*field;
};
constexpr Dimension kDimensions[] = {
    {"--layers", &bench::ModelShape::layers},
    {"--width", &bench::ModelShape::width},
    {"--heads", &bench::ModelShape::heads},
    {"--kv-heads", &bench::ModelShape::kv_heads},
    {"--ffn", &bench::ModelShape::feed_forward},
    {"--vocab", &bench::ModelShape::vocab},
    {"--context", &bench::ModelShape::context}};

struct SynthesizeFlags {
  std::string shape;
  std::string type = "q4_0";
  std::string out;
  std::string draft_out;
  int64_t draft_layers = 0;
  bench::SynthesizeOptions options = {};
  // Above 0: in place of the shape's own.
  bench::ModelShape changed = {};
};

absl::StatusOr<TensorType> TypeNamed(absl::string_view name) {
  for (const TensorType type :
       {TensorType::kF32, TensorType::kF16, TensorType::kBF16,
        TensorType::kQ8_0, TensorType::kQ4_0}) {
    if (absl::EqualsIgnoreCase(GetTensorTypeInfo(type).name, name)) return type;
  }
  if (absl::EqualsIgnoreCase(name, "q4_k_m")) return TensorType::kQ4_K;
  return UsageError("--type must be f32, f16, bf16, q8_0, q4_0 or q4_k_m");
}

std::vector<std::string> ShapeNames() {
  std::vector<std::string> names;
  for (const bench::NamedShape& shape : bench::NamedShapes()) {
    names.emplace_back(shape.name);
  }
  return names;
}

absl::StatusOr<bench::ModelShape> ShapeOf(const SynthesizeFlags& flags) {
  const std::optional<bench::ModelShape> named = bench::FindShape(flags.shape);
  if (!named.has_value()) {
    return UsageError(absl::StrCat("--shape must be one of ",
                                   absl::StrJoin(ShapeNames(), ", ")));
  }
  bench::ModelShape shape = *named;
  for (const Dimension& dimension : kDimensions) {
    const int64_t value = flags.changed.*dimension.field;
    if (value > 0) shape.*dimension.field = value;
  }
  return shape;
}

absl::Status WriteModel(bench::SynthesizeOptions options,
                        const std::string& path, const Io& io) {
  options.progress = TellTenths(absl::StrCat("bench: ", path), io.err);
  return bench::SynthesizeModel(options, path);
}

absl::Status RunSynthesize(const SynthesizeFlags& given,
                           const ConnectionFlags& /*connection*/,
                           const Io& io) {
  SynthesizeFlags flags = given;
  TANDEM_ASSIGN_OR_RETURN(flags.options.shape, ShapeOf(flags));
  TANDEM_ASSIGN_OR_RETURN(flags.options.type, TypeNamed(flags.type));
  if (flags.draft_out.empty() != (flags.draft_layers == 0)) {
    return UsageError("a draft needs both --draft-layers and DRAFT_OUT");
  }
  if (flags.draft_layers > flags.options.shape.layers) {
    return UsageError("--draft-layers exceeds the layers of the shape");
  }
  std::error_code ignored;  // a path that can not be followed fails later
  const auto place = [&ignored](const std::string& path) {
    return std::filesystem::weakly_canonical(
        std::filesystem::absolute(path, ignored), ignored);
  };
  if (!flags.draft_out.empty() && place(flags.out) == place(flags.draft_out)) {
    return UsageError(absl::StrCat("OUT and DRAFT_OUT are the same file, ",
                                   flags.out, ": name two"));
  }
  flags.options.full_layers =
      flags.draft_layers > 0 ? flags.draft_layers : flags.options.shape.layers;
  flags.options.mix_layers = flags.options.shape.layers;
  TANDEM_RETURN_IF_ERROR(WriteModel(flags.options, flags.out, io));
  if (flags.draft_out.empty()) return absl::OkStatus();
  flags.options.shape.layers = flags.draft_layers;
  return WriteModel(flags.options, flags.draft_out, io);
}

void AddModelCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<ModelFlags>();
  bench::ModelBenchOptions& options = flags->options;
  CLI::App* command = app->add_subcommand(
      "model",
      "Measures a model in this process: passes of 1 to 16 rows, a prompt, "
      "decoding at depth, and, with --draft, speculation against plain "
      "decoding. Medians, beside the machine's own limits.");
  command->add_option("FILE", options.model, "A GGUF file")->required();
  command->add_option("--draft", options.draft,
                      "A GGUF file with the same vocabulary, that drafts");
  AddValue(command, "--threads", &options.threads, WholeNumber(0, 1024),
           "Threads; 0: one per CPU");
  command->add_option("--numerics", flags->numerics, "Default: by the file")
      ->check(OneOf(NumericsModeNames()));
  command->add_option("--rows", options.rows, "Rows of the small passes")
      ->delimiter(',')
      ->check(WholeNumber(1, kTokensMax))
      ->capture_default_str();
  AddValue(command, "--prompt", &options.prompt_tokens,
           WholeNumber(0, kTokensMax), "Tokens of the prompt; 0: none");
  command->add_option("--depths", options.depths, "Depths to decode at")
      ->delimiter(',')
      ->check(WholeNumber(0, kTokensMax))
      ->capture_default_str();
  AddValue(command, "--runs", &options.runs, WholeNumber(1, 1000),
           "Runs of each figure");
  AddValue(command, "--tokens", &options.generated_tokens,
           WholeNumber(2, 1 << 16), "Tokens of a speculative run");
  AddValue(command, "--draft-length", &options.draft_length, WholeNumber(1, 16),
           "Drafts a round of the greedy runs");
  AddValue(command, "--speculative-runs", &options.speculative_runs,
           WholeNumber(1, 1000), "Runs with speculation and without, in turns");
  command->add_flag("--json", flags->json,
                    "Prints one object instead of a table");
  SetExamples(command, {"tandem bench model model.gguf",
                        "tandem bench model model.gguf --draft small.gguf "
                        "--draft-length 4",
                        "tandem bench model model.gguf --rows 1,4,8 --json"});
  RunWhenChosen(command, flags, RunModel, line);
}

void AddSynthesizeCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<SynthesizeFlags>();
  CLI::App* command = app->add_subcommand(
      "synthesize",
      "Writes a Llama model with random weights, and a draft of its first "
      "layers. Good for measuring, not for text.");
  command->add_option("OUT", flags->out, "The file to write")->required();
  command->add_option("DRAFT_OUT", flags->draft_out,
                      "The draft's file, with --draft-layers");
  command->add_option("--shape", flags->shape, "Which dimensions")
      ->check(OneOf(ShapeNames()))
      ->required();
  command
      ->add_option("--type", flags->type,
                   "f32, f16, bf16, q8_0, q4_0 or q4_k_m")
      ->capture_default_str();
  command
      ->add_option("--draft-layers", flags->draft_layers,
                   "Layers of the draft, which it shares with the model")
      ->check(WholeNumber(0, kDimensionMax));
  AddValue(command, "--tail-scale", &flags->options.tail_scale,
           Number(0.0, 1000.0),
           "What the other layers add is scaled by this: the smaller, "
           "the more drafts are accepted");
  AddValue(command, "--seed", &flags->options.seed, AnyUnsigned(),
           "Of the weights");
  for (const Dimension& dimension : kDimensions) {
    command
        ->add_option(dimension.flag, flags->changed.*dimension.field,
                     "In place of the shape's own")
        ->check(WholeNumber(1, kDimensionMax));
  }
  SetExamples(command, {"tandem bench synthesize big.gguf --shape llama-1.1b",
                        "tandem bench synthesize big.gguf small.gguf --shape "
                        "llama-1.1b --draft-layers 4"});
  RunWhenChosen(command, flags, RunSynthesize, line);
}

}  // namespace

void AddBenchCommand(CLI::App* app, CommandLine* line) {
  CLI::App* command = app->add_subcommand(
      "bench",
      "Measures how fast this machine runs a model, and how a service does "
      "under load.");
  command->require_subcommand(1);
  AddModelCommand(command, line);
  AddSynthesizeCommand(command, line);
  load::AddServeCommand(command, line);
  SetExamples(command, {"tandem bench model model.gguf",
                        "tandem bench serve --sessions 8 --duration 30"});
}

}  // namespace tandem::cli
