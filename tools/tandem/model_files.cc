#include "tools/tandem/model_files.h"

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

absl::StatusOr<OpenedModel> OpenModel(const std::string& path) {
  if (path.empty()) return UsageError("the name of the model's file is empty");
  OpenedModel model;
  TANDEM_ASSIGN_OR_RETURN(model.file, GgufFile::Open(path));
  TANDEM_ASSIGN_OR_RETURN(model.config, ModelConfig::FromGguf(*model.file));
  TANDEM_ASSIGN_OR_RETURN(model.tokenizer, Tokenizer::FromGguf(*model.file));
  return model;
}

absl::StatusOr<OpenedModels> OpenModels(const ModelPaths& paths) {
  std::error_code ignored;  // a missing file is told when it is opened
  if (!paths.draft.empty() &&
      std::filesystem::equivalent(paths.target, paths.draft, ignored)) {
    return UsageError(
        absl::StrCat("--draft ", paths.draft,
                     " is the model itself: a draft model is a smaller one"));
  }
  OpenedModels models;
  TANDEM_ASSIGN_OR_RETURN(models.target, OpenModel(paths.target));
  if (paths.draft.empty()) return models;
  absl::StatusOr<OpenedModel> draft = OpenModel(paths.draft);
  if (!draft.ok()) return Annotate(draft.status(), "--draft");
  const absl::Status pairs =
      CheckSameVocabulary(*draft->tokenizer, *models.target.tokenizer);
  if (!pairs.ok()) {
    return Annotate(pairs, absl::StrCat("--draft ", paths.draft));
  }
  models.draft = *std::move(draft);
  return models;
}

}  // namespace tandem::cli
