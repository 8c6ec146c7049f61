// The model files that a command line names, as far as they can be checked
// before weights are read: what they are, and whether they go together. Values;
// any thread.

#ifndef TANDEM_TOOLS_TANDEM_MODEL_FILES_H_
#define TANDEM_TOOLS_TANDEM_MODEL_FILES_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "engine/gguf/gguf_file.h"
#include "engine/model/config.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem::cli {

// What stands before the tensors of a model's file.
struct OpenedModel {
  std::unique_ptr<GgufFile> file;
  ModelConfig config;
  std::unique_ptr<Tokenizer> tokenizer;
};

absl::StatusOr<OpenedModel> OpenModel(const std::string& path);

struct ModelPaths {
  std::string target;
  std::string draft = {};  // as --draft has it; empty: none
};
struct OpenedModels {
  OpenedModel target;
  std::optional<OpenedModel> draft = {};
};
// Errors name the file; those of the draft, also that its vocabulary is another
// one or that it is the target itself, name --draft too.
absl::StatusOr<OpenedModels> OpenModels(const ModelPaths& paths);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_MODEL_FILES_H_
