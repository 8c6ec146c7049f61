// JSON objects of a request as they were written, with their names in order: a
// schema's properties come in this order in replies. A value; one thread.

#ifndef TANDEM_SERVICES_COMMON_OPENAI_ORDERED_TEXTS_H_
#define TANDEM_SERVICES_COMMON_OPENAI_ORDERED_TEXTS_H_

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace tandem {

class OrderedTexts {
 public:
  // Of the JSON text `text`, which outlives this, the objects at `paths`:
  // names joined by ".", each with "[]" after it for every element of a list,
  // as "tools[].function.parameters".
  OrderedTexts(absl::string_view text,
               std::initializer_list<absl::string_view> paths);

  // The object at `path`, as "tools[2].function.parameters", on one line. ""
  // where there is none, or the text is no JSON. Of two values of one name the
  // last one counts. The first call reads the text.
  std::string At(const std::string& path);

 private:
  const absl::string_view text_;
  // The steps of each path; a step into a list is "[]".
  std::vector<std::vector<std::string>> paths_;
  std::optional<absl::flat_hash_map<std::string, std::string>> objects_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_OPENAI_ORDERED_TEXTS_H_
