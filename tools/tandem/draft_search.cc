#include "tools/tandem/draft_search.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem::cli {
namespace {

struct Candidate {
  uint64_t bytes = 0;
  std::string path = {};

  friend bool operator<(const Candidate& a, const Candidate& b) {
    return std::pair(a.bytes, a.path) < std::pair(b.bytes, b.path);
  }
};

// Files of the folder of `target_path` that are small enough, the smallest
// first.
std::vector<Candidate> SmallFiles(const std::string& target_path,
                                  uint64_t bytes_max) {
  std::filesystem::path folder =
      std::filesystem::path(target_path).parent_path();
  if (folder.empty()) folder = ".";
  std::vector<Candidate> files;
  std::error_code error;  // what can not be read is no candidate
  for (std::filesystem::directory_iterator it(folder, error), end;
       !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->path().extension() != ".gguf" || !it->is_regular_file(ignored)) {
      continue;
    }
    const uint64_t bytes = it->file_size(ignored);
    if (!ignored && bytes > 0 && bytes <= bytes_max) {
      files.push_back({.bytes = bytes, .path = it->path().string()});
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

DraftSearch FindDraft(const std::string& target_path,
                      const OpenedModel& target) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < target.file->shards(); ++i) {
    bytes += target.file->shard_size(i);
  }
  DraftSearch search;
  size_t read = 0;
  for (const Candidate& candidate :
       SmallFiles(target_path, bytes / kDraftShareMax)) {
    if (++read > kDraftFilesMax) {
      search.reasons.push_back(absl::StrCat("only the ", kDraftFilesMax,
                                            " smallest files were looked at"));
      break;
    }
    const absl::StatusOr<OpenedModel> model = OpenModel(candidate.path);
    // Parts of a split model other than the first end here too.
    if (!model.ok()) {
      search.reasons.emplace_back(model.status().message());
      continue;
    }
    const absl::Status pairs =
        CheckSameVocabulary(*model->tokenizer, *target.tokenizer);
    if (pairs.ok()) {
      search.path = candidate.path;
      return search;
    }
    search.reasons.push_back(
        absl::StrCat(candidate.path, ": ", pairs.message()));
  }
  return search;
}

}  // namespace tandem::cli
