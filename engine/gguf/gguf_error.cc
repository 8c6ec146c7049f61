#include "engine/gguf/gguf_error.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

constexpr size_t kQuotedBytesMax = 80;

}  // namespace

std::string QuoteForError(absl::string_view text) {
  const absl::string_view shown = text.substr(0, kQuotedBytesMax);
  return absl::StrCat("'", absl::CHexEscape(shown),
                      shown.size() < text.size() ? "...'" : "'");
}

absl::Status GgufError(absl::string_view name, uint64_t offset,
                       absl::string_view subject, absl::string_view what) {
  return MalformedFile(
      absl::StrCat(name, ": offset ", offset, ": ", subject, ": ", what));
}

}  // namespace tandem
