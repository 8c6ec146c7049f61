// tandem quantize: a quantised model file of a float one.

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "CLI/App.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/thread_team.h"
#include "engine/gguf/gguf_file.h"
#include "engine/model/quantize_file.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "tools/tandem/command_line.h"

namespace tandem::cli {
namespace {

struct QuantizeFlags {
  std::string in;
  std::string out;
  std::string type;
  int threads = 0;
};

absl::StatusOr<TensorType> QuantizedType(absl::string_view name) {
  for (const TensorType type :
       {TensorType::kQ8_0, TensorType::kQ4_0, TensorType::kQ4_K}) {
    if (absl::EqualsIgnoreCase(GetTensorTypeInfo(type).name, name)) return type;
  }
  return UsageError(absl::StrCat("TYPE: ", QuotedValue(name),
                                 " is not one of Q8_0, Q4_0, Q4_K"));
}

absl::Status RunQuantize(const QuantizeFlags& flags,
                         const ConnectionFlags& /*connection*/, const Io& io) {
  QuantizeOptions options;
  TANDEM_ASSIGN_OR_RETURN(options.type, QuantizedType(flags.type));
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<GgufFile> file,
                          GgufFile::Open(flags.in));
  for (size_t shard = 0; shard < file->shards(); ++shard) {
    std::error_code ignored;  // a file that is not there yet is no other file
    if (!std::filesystem::equivalent(file->shard_name(shard), flags.out,
                                     ignored)) {
      continue;
    }
    return UsageError(file->shards() == 1
                          ? "IN and OUT are the same file"
                          : "OUT is one of the files of IN: name a new file");
  }
  ThreadTeam team(flags.threads > 0 ? flags.threads : AvailableCpus());
  options.team = &team;
  options.progress = TellTenths(absl::StrCat("quantize: ", flags.out), io.err);
  return QuantizeFile(*file, flags.out, options);
}

}  // namespace

void AddQuantizeCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<QuantizeFlags>();
  CLI::App* command = app->add_subcommand(
      "quantize",
      "Writes a model of F32, F16 or BF16 as one of smaller types. Q4_0 has a "
      "head of Q6_K; Q4_K is the usual mix Q4_K_M: Q6_K for the matrices that "
      "lose most.");
  command->add_option("IN", flags->in, "A GGUF file of floats")->required();
  command->add_option("OUT", flags->out, "The file to write")->required();
  command->add_option("TYPE", flags->type, "Q8_0, Q4_0 or Q4_K")->required();
  AddValue(command, "--threads", &flags->threads, WholeNumber(0, 1024),
           "Threads; 0: one per CPU");
  SetExamples(command, {"tandem quantize model-f16.gguf model-q8.gguf Q8_0",
                        "tandem quantize model-bf16.gguf model-q4.gguf Q4_K"});
  RunWhenChosen(command, flags, RunQuantize, line);
}

}  // namespace tandem::cli
