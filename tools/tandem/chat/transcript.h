// A conversation as a file: Markdown to read, JSON for programs. Not for more
// than one thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_TRANSCRIPT_H_
#define TANDEM_TOOLS_TANDEM_CHAT_TRANSCRIPT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/chat/conversation.h"

namespace tandem::cli {

// A heading for each message and reply, their texts as they are.
std::string MarkdownTranscript(const Conversation& conversation);

// model_id, session_id (where there is one), system (where it is set), and
// turns: prompt, what `generate --json` prints, and error where the reply was
// cut by one.
Json JsonTranscript(const Conversation& conversation);

enum class Overwrite { kNo, kYes };

// Writes it to `path`, by its extension; "~/" is the home folder. Errors: the
// extension is none of .md and .json; the file is there already, and
// `overwrite` is kNo; those of OutputFile.
absl::Status SaveTranscript(const Conversation& conversation,
                            absl::string_view path, Overwrite overwrite);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_TRANSCRIPT_H_
