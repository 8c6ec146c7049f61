#include "services/identity/published_text.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"

namespace tandem {
namespace {

absl::Status SystemError(absl::string_view call) {
  return absl::InternalError(absl::StrCat(call, ": ", strerror(errno)));
}

}  // namespace

absl::Status PublishedText::Set(const std::string& text) {
  const Descriptor file(memfd_create("tandem-certificates", MFD_CLOEXEC));
  if (!file.is_open()) return SystemError("memfd_create");
  for (size_t written = 0; written < text.size();) {
    const ssize_t count =
        write(file.number(), text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError("write");
    written += static_cast<size_t>(count);
  }
  ++seconds_;
  const timespec time = {.tv_sec = seconds_, .tv_nsec = 0};
  const timespec times[2] = {time, time};
  if (futimens(file.number(), times) != 0) return SystemError("futimens");
  if (descriptor_ < 0) {
    descriptor_ = fcntl(file.number(), F_DUPFD_CLOEXEC, 0);
    return descriptor_ < 0 ? SystemError("fcntl") : absl::OkStatus();
  }
  if (dup3(file.number(), descriptor_, O_CLOEXEC) < 0) {
    return SystemError("dup3");
  }
  return absl::OkStatus();
}

std::string PublishedText::path() const {
  return descriptor_ < 0 ? "" : absl::StrCat("/proc/self/fd/", descriptor_);
}

}  // namespace tandem
