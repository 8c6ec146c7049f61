// A text that this process hands to a library which reads it by a path: in
// memory, replaced in one step, reached by nobody else and on no disk.
//
// Owned by a CertificateStore; one thread at a time calls Set.

#ifndef TANDEM_SERVICES_IDENTITY_PUBLISHED_TEXT_H_
#define TANDEM_SERVICES_IDENTITY_PUBLISHED_TEXT_H_

#include <cstdint>
#include <string>

#include "engine/base/status.h"

namespace tandem {

class PublishedText {
 public:
  PublishedText() = default;
  // The path stays readable until the process ends: the library's threads may
  // use it after this object, and another file must not take its descriptor.
  ~PublishedText() = default;

  PublishedText(const PublishedText&) = delete;
  PublishedText& operator=(const PublishedText&) = delete;

  // From now on path() holds `text`. Who opens it sees the text before or this
  // one, whole, and a modification time that is later, by a second or more,
  // than that of the text before. Errors: INTERNAL, the system's; the text
  // before stays.
  absl::Status Set(const std::string& text);

  // Empty before the first Set; then always the same.
  std::string path() const;

 private:
  int descriptor_ = -1;
  int64_t seconds_ = 0;  // modification time
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_IDENTITY_PUBLISHED_TEXT_H_
