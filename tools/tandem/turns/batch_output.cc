#include "tools/tandem/turns/batch_output.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/json_input.h"
#include "tools/tandem/turns/batch_input.h"

namespace tandem::cli {
namespace {

absl::Status CannotUse(const std::string& path, absl::string_view why) {
  return UsageError(absl::StrCat(path, ": ", why));
}

absl::Status CannotWrite(const std::string& path) {
  return absl::UnavailableError(
      absl::StrCat(path, ": cannot write it: ", std::strerror(errno)));
}

bool IsSameFile(const std::string& path, const struct stat& file) {
  struct stat other = {};
  return stat(path.c_str(), &other) == 0 && other.st_dev == file.st_dev &&
         other.st_ino == file.st_ino;
}

}  // namespace

absl::StatusOr<BatchOutput> BatchOutput::Open(const Setup& setup) {
  const std::string& path = setup.path;
  Descriptor file(
      open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  struct stat found = {};
  if (!file.is_open() || fstat(file.number(), &found) != 0) {
    return CannotUse(path,
                     absl::StrCat("cannot open it: ", std::strerror(errno)));
  }
  if (!S_ISREG(found.st_mode)) return CannotUse(path, "is no regular file");
  if (IsSameFile(setup.input_path, found)) {
    return CannotUse(path, "is the input too: name another file");
  }
  if (flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
    return CannotUse(path, "another process writes to it");
  }
  BatchOutput output(path, std::move(file));
  TANDEM_RETURN_IF_ERROR(output.TakeLines(setup));
  return output;
}

absl::Status BatchOutput::TakeLines(const Setup& setup) {
  TANDEM_ASSIGN_OR_RETURN(BatchInput lines, BatchInput::Open(path_));
  TANDEM_ASSIGN_OR_RETURN(BatchInput input, BatchInput::Open(setup.input_path));
  struct stat found = {};
  if (fstat(file_.number(), &found) != 0) return CannotWrite(path_);
  int64_t kept_bytes = 0;
  std::string line;
  std::string asked;
  while (lines.Next(&line)) {
    const int64_t end = kept_bytes + static_cast<int64_t>(line.size()) + 1;
    if (end > found.st_size) break;  // torn: without its end
    const auto json = ParseJsonObject(line);
    if (!input.Next(&asked) || !json.ok() || !json->contains("input") ||
        (*json)["input"] != DigestOfLine(asked, setup.defaults)) {
      return CannotUse(
          path_, absl::StrCat("line ", lines.lines(),
                              " is not of that line of ", setup.input_path,
                              " and of these flags: name another output, or "
                              "what this one was begun with"));
    }
    kept_bytes = end;
    ++lines_;
    if (json->contains("error")) ++failed_;
  }
  if (kept_bytes < found.st_size &&
      ftruncate(file_.number(), kept_bytes) != 0) {
    return CannotWrite(path_);
  }
  return absl::OkStatus();
}

absl::Status BatchOutput::Add(const Json& line) {
  std::ostringstream text;
  PrintJson(line, &text);
  const std::string bytes = text.str();
  size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t more =
        write(file_.number(), bytes.data() + written, bytes.size() - written);
    if (more < 0 && errno == EINTR) continue;
    if (more < 0) return CannotWrite(path_);
    written += static_cast<size_t>(more);
  }
  ++lines_;
  if (line.contains("error")) ++failed_;
  return absl::OkStatus();
}

absl::Status BatchOutput::Sync() {
  if (fsync(file_.number()) != 0) return CannotWrite(path_);
  return absl::OkStatus();
}

}  // namespace tandem::cli
