#include "services/coordinator/store/state_store.h"

#include <algorithm>

namespace tandem {
namespace {

constexpr size_t kSessionIdDigits = 32;

}  // namespace

bool IsSessionId(absl::string_view text) {
  return text.size() == kSessionIdDigits &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace tandem
