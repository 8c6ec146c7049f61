// A template's source to its tree: the statements, with the expressions in
// them. Pure function; any thread.

#ifndef TANDEM_ENGINE_TEMPLATE_STATEMENT_PARSER_H_
#define TANDEM_ENGINE_TEMPLATE_STATEMENT_PARSER_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/template/syntax_tree.h"

namespace tandem {

// Bytes of a template's source: the longest that is known to be in use has some
// 20 KiB.
inline constexpr size_t kTemplateSourceBytesMax = 128 << 10;

// Errors: FAILED_PRECONDITION with UNSUPPORTED_CHAT_TEMPLATE, line and column.
absl::StatusOr<TemplateSyntax> ParseTemplate(absl::string_view source);

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_STATEMENT_PARSER_H_
