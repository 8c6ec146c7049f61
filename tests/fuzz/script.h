// A fuzz target's input as a script that is read from its beginning: bytes, and
// pieces of them; 0 and "" past the end. A value; one thread.

#ifndef TANDEM_TESTS_FUZZ_SCRIPT_H_
#define TANDEM_TESTS_FUZZ_SCRIPT_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace tandem {

class Script {
 public:
  explicit Script(absl::string_view bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }

  int Byte() {
    if (rest_.empty()) return 0;
    const int byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }

  // Two bytes say its length, the higher one first; what is left where that is
  // less.
  absl::string_view Piece() {
    const int high = Byte();
    const auto length = static_cast<size_t>(high * 256 + Byte());
    const absl::string_view piece = rest_.substr(0, length);
    rest_.remove_prefix(piece.size());
    return piece;
  }

 private:
  absl::string_view rest_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_FUZZ_SCRIPT_H_
