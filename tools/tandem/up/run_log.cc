#include "tools/tandem/up/run_log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <sys/stat.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file_kind.h"
#include "tools/tandem/up/state_home.h"

namespace tandem::cli {
namespace {

constexpr size_t kFilesBefore = 1;

absl::Status CanNotWrite(const std::string& path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": can not be written: ", why));
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunLog>> RunLog::Open(const std::string& path) {
  struct stat info;
  // A file of the run before is renamed: that would take a device away.
  if (lstat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return CanNotWrite(path, absl::StrCat("it is ", FileKindName(info.st_mode),
                                          "; name a regular file"));
  }
  if (const std::error_code error = MakePrivateFolder(
          std::filesystem::path(path).parent_path().string())) {
    return CanNotWrite(path, error.message());
  }
  std::unique_ptr<spdlog::logger> logger;
  const mode_t before = umask(077);
  absl::Status status;
  try {  // spdlog reports by exceptions; they end here.
    logger = std::make_unique<spdlog::logger>(
        "up", std::make_shared<spdlog::sinks::rotating_file_sink_st>(
                  path, kRunLogBytesMax, kFilesBefore,
                  /*rotate_on_open=*/true));
  } catch (const spdlog::spdlog_ex& error) {
    status = CanNotWrite(path, error.what());
  }
  umask(before);
  if (!status.ok()) return status;
  logger->set_pattern("%v");
  logger->flush_on(spdlog::level::info);
  logger->set_error_handler([](const std::string&) {});
  return std::unique_ptr<RunLog>(new RunLog(path, std::move(logger)));
}

void RunLog::Write(const std::string& process, absl::string_view line) {
  std::string text = absl::StrCat(process, ": ", line);
  logger_->info("{}", text);
  std::deque<std::string>& newest = newest_[process];
  newest.push_back(std::move(text));
  if (newest.size() > kRunLogNewestLines) newest.pop_front();
}

const std::deque<std::string>& RunLog::Newest(const std::string& process) {
  return newest_[process];
}

}  // namespace tandem::cli
