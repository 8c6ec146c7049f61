// JSON as the commands print it: one object on one line.

#ifndef TANDEM_TOOLS_TANDEM_JSON_OUTPUT_H_
#define TANDEM_TOOLS_TANDEM_JSON_OUTPUT_H_

#include <ostream>

#include "nlohmann/json.hpp"

namespace tandem::cli {

// Keys keep the order in which they were set.
using Json = nlohmann::ordered_json;

// `value` and a newline. Bytes that are not UTF-8 (a file's, never the
// service's) are printed as U+FFFD.
inline void PrintJson(const Json& value, std::ostream* out) {
  *out << value.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_JSON_OUTPUT_H_
