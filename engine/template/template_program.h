// A chat template, ready to run: the part of the Jinja language that chat
// templates use (README.md), with no access to anything but the values given.
// A program does not change after Parse; any thread may render it, several at a
// time.

#ifndef TANDEM_ENGINE_TEMPLATE_TEMPLATE_PROGRAM_H_
#define TANDEM_ENGINE_TEMPLATE_TEMPLATE_PROGRAM_H_

#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/template/marked_text.h"
#include "engine/template/template_value.h"

namespace tandem {

struct TemplateSyntax;

// What one render may take. The defaults are in use.
struct TemplateLimits {
  // A step is an expression, a statement, an item of a list, 64 bytes of text
  // that are copied or 8 that are worked on one by one. See README.md for the
  // time they take; a chat of 1,000 messages takes some 100,000.
  int64_t steps_max = 2'000'000;
  // Nested statements, expressions and macro calls: each takes stack.
  int depth_max = 500;
  // Four times the largest message of a call.
  int64_t output_bytes_max = 16 << 20;
  // Texts, lists and maps that are alive at one time, beside those given.
  int64_t memory_bytes_max = 64 << 20;
};

struct TemplateInput {
  // messages, add_generation_prompt, bos_token, options ...
  std::vector<std::pair<std::string, TemplateValue>> variables;
  // What strftime_now formats; tm_wday and tm_yday must be right.
  std::tm now = {};
};

class TemplateProgram {
 public:
  // Errors: FAILED_PRECONDITION with UNSUPPORTED_CHAT_TEMPLATE and "line L,
  // column C: ..." for what is wrong or unknown in the source.
  static absl::StatusOr<std::shared_ptr<const TemplateProgram>> Parse(
      absl::string_view source);

  ~TemplateProgram();
  TemplateProgram(const TemplateProgram&) = delete;
  TemplateProgram& operator=(const TemplateProgram&) = delete;

  // Errors: INVALID_ARGUMENT with INVALID_OPTIONS where the template calls
  // raise_exception, with its text; FAILED_PRECONDITION with
  // UNSUPPORTED_CHAT_TEMPLATE, line and column for what fails while running and
  // for a limit that is reached.
  absl::StatusOr<std::vector<TextPart>> Render(
      const TemplateInput& input, const TemplateLimits& limits = {}) const;

 private:
  explicit TemplateProgram(std::unique_ptr<const TemplateSyntax> syntax);

  std::unique_ptr<const TemplateSyntax> syntax_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_TEMPLATE_PROGRAM_H_
