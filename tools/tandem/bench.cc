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
#include "tools/tandem/bench_serve.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/json_output.h"

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

Json RowsJson(const RowsFigure& figure) {
  return {{"m", figure.rows},
          {"seconds_per_pass", figure.seconds_per_pass},
          {"tokens_per_second", figure.tokens_per_second}};
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
    json["rows"].push_back(RowsJson(rows));
  }
  if (report.prompt.has_value()) {
    json["prompt"] = {{"tokens", report.prompt->rows},
                      {"seconds", report.prompt->seconds_per_pass},
                      {"tokens_per_second", report.prompt->tokens_per_second}};
  }
  json["decode"] = Json::array();
  for (const DepthFigure& decode : report.decode) {
    json["decode"].push_back({{"depth", decode.depth},
                              {"seconds_per_token", decode.seconds_per_token},
                              {"tokens_per_second", decode.tokens_per_second}});
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

// One line of the table: what was run, its speed, and how near the limits.
void PrintFigure(const ModelBenchReport& report, absl::string_view name,
                 double seconds, double tokens, std::ostream* out) {
  const double gbps =
      static_cast<double>(report.weight_bytes_per_pass) / seconds * 1e-9;
  const double gmacs =
      static_cast<double>(report.macs_per_token) * tokens / seconds * 1e-9;
  *out << absl::StreamFormat("%-14s %10.2f %10.1f %8.1f %9.1f\n", name,
                             seconds * 1e3, tokens / seconds, gbps, gmacs);
}

void PrintSpeculative(absl::string_view name, const SpeculativeFigure& figure,
                      std::ostream* out) {
  *out << absl::StreamFormat(
      "%s: %.1f tokens/s plain, %.1f speculative: %.2fx at draft length %s, "
      "acceptance %.2f, %d distinct tokens\n",
      name, figure.plain_tokens_per_second,
      figure.speculative_tokens_per_second, figure.speedup,
      figure.draft_length.has_value() ? absl::StrCat(*figure.draft_length)
                                      : "auto",
      figure.acceptance_rate, figure.distinct_tokens);
}

void PrintReport(const ModelBenchReport& report, std::ostream* out) {
  *out << absl::StreamFormat(
      "%s on %s, %d threads; %.0f MiB of weights a pass; loaded in %.1f s\n"
      "machine: reads %.1f GB/s, int8 peak %.0f GMAC/s\n"
      "%-14s %10s %10s %8s %9s\n",
      report.numerics, report.simd, report.threads,
      static_cast<double>(report.weight_bytes_per_pass) / (1 << 20),
      report.load_seconds, report.read_bandwidth_gbps, report.int8_peak_gmacs,
      "", "ms", "tokens/s", "GB/s", "GMAC/s");
  for (const RowsFigure& rows : report.rows) {
    PrintFigure(report,
                absl::StrCat(rows.rows, rows.rows == 1 ? " row" : " rows"),
                rows.seconds_per_pass, rows.rows, out);
  }
  if (report.prompt.has_value()) {
    PrintFigure(report, absl::StrCat("prompt ", report.prompt->rows),
                report.prompt->seconds_per_pass, report.prompt->rows, out);
  }
  for (const DepthFigure& decode : report.decode) {
    PrintFigure(report, absl::StrCat("depth ", decode.depth),
                decode.seconds_per_token, 1, out);
  }
  if (report.speculative.has_value()) {
    PrintSpeculative("greedy", *report.speculative, out);
  }
  if (report.speculative_defaults.has_value()) {
    PrintSpeculative("default options", *report.speculative_defaults, out);
  }
}

absl::Status RunModel(ModelFlags flags, const Io& io) {
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
    PrintReport(*report, io.out);
  }
  return absl::OkStatus();
}

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
  const auto change = [](int64_t value, int64_t* field) {
    if (value > 0) *field = value;
  };
  change(flags.changed.layers, &shape.layers);
  change(flags.changed.width, &shape.width);
  change(flags.changed.heads, &shape.heads);
  change(flags.changed.kv_heads, &shape.kv_heads);
  change(flags.changed.feed_forward, &shape.feed_forward);
  change(flags.changed.vocab, &shape.vocab);
  change(flags.changed.context, &shape.context);
  return shape;
}

absl::Status WriteModel(bench::SynthesizeOptions options,
                        const std::string& path, const Io& io) {
  int shown = -1;
  options.progress = [&](double fraction) {
    const int tenth = static_cast<int>(fraction * 10);
    if (tenth == shown) return;
    shown = tenth;
    *io.err << "bench: " << path << " " << tenth * 10 << "%\n";
  };
  return bench::SynthesizeModel(options, path);
}

absl::Status RunSynthesize(SynthesizeFlags flags, const Io& io) {
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
  command->add_option("--threads", options.threads, "Threads; 0: one per CPU")
      ->check(WholeNumber(0, 1024))
      ->capture_default_str();
  command->add_option("--numerics", flags->numerics, "Default: by the file")
      ->check(OneOf(NumericsModeNames()));
  command->add_option("--rows", options.rows, "Rows of the small passes")
      ->delimiter(',')
      ->check(WholeNumber(1, kTokensMax))
      ->capture_default_str();
  command
      ->add_option("--prompt", options.prompt_tokens,
                   "Tokens of the prompt; 0: none")
      ->check(WholeNumber(0, kTokensMax))
      ->capture_default_str();
  command->add_option("--depths", options.depths, "Depths to decode at")
      ->delimiter(',')
      ->check(WholeNumber(0, kTokensMax))
      ->capture_default_str();
  command->add_option("--runs", options.runs, "Runs of each figure")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--tokens", options.generated_tokens,
                   "Tokens of a speculative run")
      ->check(WholeNumber(2, 1 << 16))
      ->capture_default_str();
  command
      ->add_option("--draft-length", options.draft_length,
                   "Drafts a round of the greedy runs")
      ->check(WholeNumber(1, 16))
      ->capture_default_str();
  command
      ->add_option("--speculative-runs", options.speculative_runs,
                   "Runs with speculation and without, in turns")
      ->check(WholeNumber(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", flags->json,
                    "Prints one object instead of a table");
  SetExamples(command, {"tandem bench model model.gguf",
                        "tandem bench model model.gguf --draft small.gguf "
                        "--draft-length 4",
                        "tandem bench model model.gguf --rows 1,4,8 --json"});
  command->callback([flags, line] {
    line->run = [flags](const Io& io) { return RunModel(*flags, io); };
  });
}

void AddSynthesizeCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<SynthesizeFlags>();
  bench::ModelShape& changed = flags->changed;
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
  command
      ->add_option("--tail-scale", flags->options.tail_scale,
                   "What the other layers add is scaled by this: the smaller, "
                   "the more drafts are accepted")
      ->check(Number(0.0, 1000.0))
      ->capture_default_str();
  command->add_option("--seed", flags->options.seed, "Of the weights")
      ->check(AnyUnsigned())
      ->capture_default_str();
  const std::vector<std::pair<const char*, int64_t*>> dimensions = {
      {"--layers", &changed.layers},    {"--width", &changed.width},
      {"--heads", &changed.heads},      {"--kv-heads", &changed.kv_heads},
      {"--ffn", &changed.feed_forward}, {"--vocab", &changed.vocab},
      {"--context", &changed.context},
  };
  for (const auto& [name, field] : dimensions) {
    command->add_option(name, *field, "In place of the shape's own")
        ->check(WholeNumber(1, kDimensionMax));
  }
  SetExamples(command, {"tandem bench synthesize big.gguf --shape llama-1.1b",
                        "tandem bench synthesize big.gguf small.gguf --shape "
                        "llama-1.1b --draft-layers 4"});
  command->callback([flags, line] {
    line->run = [flags](const Io& io) { return RunSynthesize(*flags, io); };
  });
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
  AddBenchServeCommand(command, line);
  SetExamples(command, {"tandem bench model model.gguf",
                        "tandem bench serve --sessions 8 --duration 30"});
}

}  // namespace tandem::cli
