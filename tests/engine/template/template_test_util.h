// Renderings for the tests of this folder. One thread.

#ifndef TANDEM_TESTS_ENGINE_TEMPLATE_TEMPLATE_TEST_UTIL_H_
#define TANDEM_TESTS_ENGINE_TEMPLATE_TEMPLATE_TEST_UTIL_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/template/template_program.h"

namespace tandem {

using TemplateVariables = std::vector<std::pair<std::string, TemplateValue>>;

// What `source` renders, with contents in angle quotes: "a«content»b"; the
// message of the error where it does not.
inline std::string Rendered(absl::string_view source,
                            TemplateVariables variables = {},
                            const TemplateLimits& limits = {}) {
  const auto program = TemplateProgram::Parse(source);
  if (!program.ok()) return std::string(program.status().message());
  TemplateInput input = {.variables = std::move(variables)};
  const auto parts = (*program)->Render(input, limits);
  if (!parts.ok()) return std::string(parts.status().message());
  std::string text;
  for (const TextPart& part : *parts) {
    absl::StrAppend(&text, part.is_content ? "«" : "", part.text,
                    part.is_content ? "»" : "");
  }
  return text;
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_TEMPLATE_TEMPLATE_TEST_UTIL_H_
