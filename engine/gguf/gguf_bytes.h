// The bytes of one model file: open, or in memory. Owned by a GgufFile; any
// thread may read.
//
// Nothing is mapped: what stands before the tensor data is held in memory, the
// rest is read when it is asked for (pread). So a file that is cut or rewritten
// meanwhile is an error, where a mapped one would be a signal (SIGBUS) or other
// bytes at each look.

#ifndef TANDEM_ENGINE_GGUF_GGUF_BYTES_H_
#define TANDEM_ENGINE_GGUF_GGUF_BYTES_H_

#include <time.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/types/span.h"
#include "engine/base/descriptor.h"
#include "engine/base/status.h"

namespace tandem {

// What stands before the tensor data at most. A vocabulary of 262,144 takes
// about 20 MB with its merges.
inline constexpr uint64_t kGgufHeadBytesMax = uint64_t{256} << 20;

class GgufBytes {
 public:
  // The regular file at `path`. Errors: NOT_FOUND, PERMISSION_DENIED,
  // INVALID_ARGUMENT (a directory, FIFO or device).
  static absl::StatusOr<std::unique_ptr<GgufBytes>> Open(
      const std::string& path);
  // `name` stands for the path.
  static std::unique_ptr<GgufBytes> FromString(std::string bytes,
                                               const std::string& name);
  ~GgufBytes();

  GgufBytes(const GgufBytes&) = delete;
  GgufBytes& operator=(const GgufBytes&) = delete;

  const std::string& name() const { return name_; }
  uint64_t size() const { return size_; }
  // The first held() bytes, which never move.
  const uint8_t* data() const { return data_; }
  uint64_t held() const { return held_; }

  // Holds the bytes before `end`, which is at most size() and
  // kGgufHeadBytesMax. Not beside other calls. Errors: as Read.
  absl::Status Hold(uint64_t end);

  // out.size() bytes from number `offset` on; the end is at most size().
  // Errors: INVALID_ARGUMENT with MALFORMED_FILE where the file has become too
  // short; the system's reason.
  absl::Status Read(uint64_t offset, absl::Span<uint8_t> out) const;

  // Of all bytes, as sha256sum prints it. Errors: as Read.
  absl::StatusOr<std::string> Sha256Digest() const;

  // OK while the file has the size and the time of its last change that it had
  // when it was opened. Errors: as Read.
  absl::Status CheckUnchanged() const;

 private:
  explicit GgufBytes(std::string name) : name_(std::move(name)) {}

  absl::Status Changed() const;

  const std::string name_;
  uint64_t size_ = 0;
  const uint8_t* data_ = nullptr;
  uint64_t held_ = 0;
  std::string owned_;  // FromString
  // Open: the file, and address space for all that may be held.
  Descriptor descriptor_;
  timespec changed_ = {};
  uint8_t* head_ = nullptr;
  uint64_t head_bytes_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GGUF_GGUF_BYTES_H_
