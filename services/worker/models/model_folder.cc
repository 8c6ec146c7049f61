#include "services/worker/models/model_folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// What ends a path within a message.
constexpr char kPathEnds[] = " \t\"'`,;:()[]{}<>|";

// A slash after such a character is within a relative path, or a fraction.
bool IsPartOfName(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' ||
         c == '_' || c == '-';
}

bool IsInside(const fs::path& folder, const fs::path& path) {
  const auto [rest, unused] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return rest == folder.end();
}

}  // namespace

absl::StatusOr<std::string> FindInModelFolder(const std::string& folder,
                                              const std::string& name) {
  if (folder.empty()) {
    return absl::FailedPreconditionError(
        "the worker has no --model-folder: it loads no models by name");
  }
  const fs::path relative(name);
  if (name.empty() || name.find('\0') != std::string::npos ||
      relative.is_absolute()) {
    return InvalidField("path", "must be relative to the model folder");
  }
  // Before anything is looked up, so that the answer does not show what lies
  // outside.
  for (const fs::path& part : relative) {
    if (part == "..") {
      return InvalidField("path", "must not lead out of the model folder");
    }
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) {
    return absl::FailedPreconditionError(
        "the worker's --model-folder can not be opened");
  }
  const auto missing = [&name] {
    return absl::NotFoundError(
        absl::StrCat("no file ", name, " in the model folder"));
  };
  const fs::path path = fs::canonical(root / relative, error);
  if (error) return missing();
  if (!IsInside(root, path)) {
    return InvalidField("path", "must not lead out of the model folder");
  }
  if (!fs::is_regular_file(path, error)) return missing();
  return path.string();
}

absl::Status WithFileNames(const absl::Status& status,
                           const std::string& path) {
  std::string text(status.message());
  if (!path.empty()) {
    text =
        absl::StrReplaceAll(text, {{path, fs::path(path).filename().string()}});
  }
  std::string message;
  for (size_t at = 0; at < text.size();) {
    if (text[at] != '/' || (at > 0 && IsPartOfName(text[at - 1]))) {
      message += text[at++];
      continue;
    }
    const size_t end = std::min(text.find_first_of(kPathEnds, at), text.size());
    const size_t name = text.rfind('/', end - 1) + 1;
    message.append(text, name, end - name);
    at = end;
  }
  absl::Status result(status.code(), message);
  status.ForEachPayload(
      [&result](absl::string_view type, const absl::Cord& of) {
        result.SetPayload(type, of);
      });
  return result;
}

}  // namespace tandem
