// The values of the keyword `format` that schemas may use, as regular
// expressions. README.md says what each takes.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_STRING_FORMATS_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_STRING_FORMATS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace tandem {

// The whole string must match it; "" for a format that is not known.
std::string RegexOfFormat(absl::string_view format);

// All known names, for messages: "date, time, ...".
std::string FormatNames();

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_STRING_FORMATS_H_
