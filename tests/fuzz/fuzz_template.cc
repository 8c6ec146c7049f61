// Fuzz target: the interpreter of chat templates. The input is a template; what
// follows a NUL is the content of a message. Whatever it asks for ends, within
// limits far below those in use, and no character of the content is called the
// template's own. Time and memory by the limits in use are bounded by
// tests/engine/template/template_program_test.cc.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "engine/base/check.h"
#include "engine/template/template_program.h"

namespace tandem {
namespace {

// Stands in contents and in no template that is tried, neither as a character
// nor by an escape or number, so that where it comes out is known.
constexpr char kSecret[] = "\u2622";

// Small, so that an input takes milliseconds.
constexpr TemplateLimits kLimits = {.steps_max = 20'000,
                                    .output_bytes_max = 1 << 20,
                                    .memory_bytes_max = 1 << 22};

TemplateInput InputWith(absl::string_view content) {
  const TemplateValue message = TemplateValue::Map(
      {{"role", TemplateValue::Text("user")},
       {"content",
        TemplateValue::Content(std::string(content) + kSecret + " x ")}});
  TemplateInput input;
  input.variables = {{"messages", TemplateValue::List({message, message})},
                     {"bos_token", TemplateValue::Text("<s>")},
                     {"add_generation_prompt", TemplateValue::Bool(true)},
                     {"number", TemplateValue::Float(2.5)},
                     {"nothing", TemplateValue::None()}};
  input.now.tm_mday = 1;
  return input;
}

void TryInput(absl::string_view input) {
  const size_t end = std::min(input.find('\0'), input.size());
  const absl::string_view source = input.substr(0, end);
  const auto program = TemplateProgram::Parse(source);
  if (!program.ok()) {
    TANDEM_CHECK(program.status().code() ==
                 absl::StatusCode::kFailedPrecondition);
    return;
  }
  const auto parts = (*program)->Render(InputWith(input.substr(end)), kLimits);
  if (!parts.ok()) return;
  const bool may_say_it =
      absl::StrContains(source, kSecret) || absl::StrContains(source, "\\");
  bool was_content = false;
  for (size_t i = 0; i < parts->size(); ++i) {
    const TextPart& part = (*parts)[i];
    TANDEM_CHECK(!part.text.empty());
    TANDEM_CHECK(i == 0 || part.is_content != was_content);
    TANDEM_CHECK(part.is_content || may_say_it ||
                 !absl::StrContains(part.text, kSecret));
    was_content = part.is_content;
  }
}

}  // namespace
}  // namespace tandem

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tandem::TryInput(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
