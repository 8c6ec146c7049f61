// JSON whose values know the line that they stand in, so that an error about a
// file that people edit says where. Stricter than JSON: no name twice in an
// object, few levels, few names. Values; any thread.

#ifndef TANDEM_SERVICES_ACCESS_LOCATED_JSON_H_
#define TANDEM_SERVICES_ACCESS_LOCATED_JSON_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

// Arrays and objects within each other, and names in one object, at most.
inline constexpr size_t kJsonLevelsMax = 8;
inline constexpr size_t kJsonNamesMax = 64;

struct LocatedJson {
  enum class Kind { kNull, kBoolean, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  int line = 0;                       // from 1; of a member, where its name is
  std::string text = {};              // of a string; UTF-8
  double number = 0;                  // of a number
  std::optional<int64_t> whole = {};  // of a number that is one
  std::vector<LocatedJson> children = {};  // of an array or object
  std::vector<std::string> names = {};     // of an object's children
};

// Errors: INVALID_ARGUMENT, "LINE: what is wrong".
absl::StatusOr<LocatedJson> ParseLocatedJson(absl::string_view text);

}  // namespace tandem

#endif  // TANDEM_SERVICES_ACCESS_LOCATED_JSON_H_
