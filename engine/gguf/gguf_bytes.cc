#include "engine/gguf/gguf_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/file_kind.h"
#include "engine/base/hash.h"

namespace tandem {
namespace {

// What is read at a time of what stands before the tensors: a multiple of every
// page, and all of it for a small vocabulary.
constexpr uint64_t kHeadStep = uint64_t{256} << 10;
// And of a file that is hashed; stays in the cache.
constexpr uint64_t kHashStep = uint64_t{256} << 10;

// The status for a system call on `path` that failed with `error`.
absl::Status FileError(const std::string& path, int error) {
  const std::string message = absl::StrCat(path, ": ", std::strerror(error));
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(message);
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(message);
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return absl::ResourceExhaustedError(message);
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL:
    case ENXIO:
      return absl::InvalidArgumentError(message);
    default:
      return absl::UnavailableError(message);
  }
}

absl::Status NotRegular(const std::string& path, mode_t mode) {
  return MalformedFile(
      absl::StrCat(path, ": is ", FileKindName(mode),
                   S_ISDIR(mode) ? ", not a GGUF file: name the .gguf file in "
                                   "it; a checkpoint of several files is made "
                                   "one by llama.cpp's convert_hf_to_gguf.py"
                                 : ", not a regular file"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<GgufBytes>> GgufBytes::Open(
    const std::string& path) {
  if (path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("the path of a GGUF file holds a NUL");
  }
  // Non-blocking: opening a FIFO must not wait for its writer.
  Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.number() < 0) return FileError(path, errno);
  struct stat info;
  if (fstat(descriptor.number(), &info) != 0) return FileError(path, errno);
  if (!S_ISREG(info.st_mode)) return NotRegular(path, info.st_mode);

  std::unique_ptr<GgufBytes> file(new GgufBytes(path));
  file->size_ = static_cast<uint64_t>(info.st_size);
  file->changed_ = info.st_mtim;
  file->descriptor_ = std::move(descriptor);
  const uint64_t head_bytes = std::min(file->size_, kGgufHeadBytesMax);
  if (head_bytes == 0) return file;
  void* const head = mmap(nullptr, head_bytes, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, /*offset=*/0);
  if (head == MAP_FAILED) return FileError(path, errno);
  file->head_ = static_cast<uint8_t*>(head);
  file->head_bytes_ = head_bytes;
  file->data_ = file->head_;
  return file;
}

std::unique_ptr<GgufBytes> GgufBytes::FromString(std::string bytes,
                                                 const std::string& name) {
  std::unique_ptr<GgufBytes> file(new GgufBytes(name));
  file->owned_ = std::move(bytes);
  file->size_ = file->owned_.size();
  file->data_ = reinterpret_cast<const uint8_t*>(file->owned_.data());
  file->held_ = file->size_;
  return file;
}

GgufBytes::~GgufBytes() {
  if (head_ != nullptr) munmap(head_, head_bytes_);
}

absl::Status GgufBytes::Hold(uint64_t end) {
  if (end <= held_) return absl::OkStatus();
  TANDEM_CHECK(end <= head_bytes_);
  // held_ is a number of whole steps until it is head_bytes_.
  const uint64_t until =
      std::min(head_bytes_, (end + kHeadStep - 1) / kHeadStep * kHeadStep);
  const absl::Span<uint8_t> more(head_ + held_, until - held_);
  if (mprotect(more.data(), more.size(), PROT_READ | PROT_WRITE) != 0) {
    return FileError(name_, errno);
  }
  TANDEM_RETURN_IF_ERROR(Read(held_, more));
  held_ = until;
  return absl::OkStatus();
}

absl::Status GgufBytes::Read(uint64_t offset, absl::Span<uint8_t> out) const {
  TANDEM_CHECK(offset <= size_ && out.size() <= size_ - offset);
  if (!descriptor_.is_open()) {
    std::copy_n(data_ + offset, out.size(), out.data());
    return absl::OkStatus();
  }
  while (!out.empty()) {
    const ssize_t bytes = pread(descriptor_.number(), out.data(), out.size(),
                                static_cast<off_t>(offset));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return FileError(name_, errno);
    if (bytes == 0) return Changed();
    out.remove_prefix(static_cast<size_t>(bytes));
    offset += static_cast<uint64_t>(bytes);
  }
  return absl::OkStatus();
}

absl::Status GgufBytes::Changed() const {
  return MalformedFile(
      absl::StrCat(name_,
                   ": has changed while it was read; replace a model by "
                   "renaming a new file over it"));
}

absl::Status GgufBytes::CheckUnchanged() const {
  if (!descriptor_.is_open()) return absl::OkStatus();
  struct stat info;
  if (fstat(descriptor_.number(), &info) != 0) return FileError(name_, errno);
  const bool is_same = static_cast<uint64_t>(info.st_size) == size_ &&
                       info.st_mtim.tv_sec == changed_.tv_sec &&
                       info.st_mtim.tv_nsec == changed_.tv_nsec;
  return is_same ? absl::OkStatus() : Changed();
}

absl::StatusOr<std::string> GgufBytes::Sha256Digest() const {
  Sha256 hash;
  std::vector<uint8_t> bytes(std::min(size_, kHashStep));
  for (uint64_t begin = 0; begin < size_; begin += bytes.size()) {
    const absl::Span<uint8_t> piece = absl::MakeSpan(bytes).subspan(
        0, std::min<uint64_t>(bytes.size(), size_ - begin));
    TANDEM_RETURN_IF_ERROR(Read(begin, piece));
    hash.AddUnframed(piece);
  }
  return hash.HexDigest();
}

}  // namespace tandem
