#include "tools/tandem/chat/transcript.h"

#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/output_file.h"
#include "engine/base/status.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {
namespace {

// A text as a section of its own.
void AppendSection(absl::string_view title, absl::string_view text,
                   std::string* markdown) {
  absl::StrAppend(markdown, "## ", title, "\n\n", text,
                  absl::EndsWith(text, "\n") ? "\n" : "\n\n");
}

// Shells know "~"; this is none.
std::string WithHome(absl::string_view path) {
  const char* const home = std::getenv("HOME");
  if (home == nullptr || !absl::StartsWith(path, "~/")) {
    return std::string(path);
  }
  return absl::StrCat(home, path.substr(1));
}

absl::StatusOr<std::string> Format(const Conversation& conversation,
                                   absl::string_view path) {
  if (absl::EndsWithIgnoreCase(path, ".md")) {
    return MarkdownTranscript(conversation);
  }
  if (absl::EndsWithIgnoreCase(path, ".json")) {
    return JsonTranscript(conversation)
               .dump(2, ' ', false, Json::error_handler_t::replace) +
           "\n";
  }
  return UsageError(absl::StrCat(
      path, ": a conversation is saved as Markdown (.md) or as JSON (.json)"));
}

}  // namespace

std::string MarkdownTranscript(const Conversation& conversation) {
  const std::vector<ChatTurn>& turns = conversation.turns();
  std::string markdown = "# A conversation\n\n";
  if (conversation.system().has_value()) {
    AppendSection("System", *conversation.system(), &markdown);
  }
  for (const ChatTurn& turn : turns) {
    AppendSection("User", turn.prompt, &markdown);
    AppendSection(turn.record.started.model_id(), turn.record.tokens.text(),
                  &markdown);
    if (turn.error.has_value()) {
      absl::StrAppend(&markdown, "*The reply was cut: ", *turn.error, "*\n\n");
    }
  }
  markdown.pop_back();
  return markdown;
}

Json JsonTranscript(const Conversation& conversation) {
  Json json = {{"model_id",
                conversation.turns().empty()
                    ? conversation.model_id()
                    : conversation.turns().back().record.started.model_id()}};
  if (!conversation.session_id().empty()) {
    json["session_id"] = conversation.session_id();
  }
  if (conversation.system().has_value()) {
    json["system"] = *conversation.system();
  }
  Json turns = Json::array();
  for (const ChatTurn& turn : conversation.turns()) {
    Json item = {{"prompt", turn.prompt}};
    item.update(TurnJson(turn.record));
    if (turn.error.has_value()) item["error"] = *turn.error;
    turns.push_back(std::move(item));
  }
  json["turns"] = std::move(turns);
  return json;
}

absl::Status SaveTranscript(const Conversation& conversation,
                            absl::string_view path, Overwrite overwrite) {
  const std::string name = WithHome(path);
  TANDEM_ASSIGN_OR_RETURN(const std::string text, Format(conversation, name));
  if (overwrite == Overwrite::kNo && access(name.c_str(), F_OK) == 0) {
    return UsageError(absl::StrCat(name, " is there already: /save! ", path,
                                   " overwrites it"));
  }
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<OutputFile> file,
                          OutputFile::Create(name));
  TANDEM_RETURN_IF_ERROR(file->Append(text));
  return file->Commit();
}

}  // namespace tandem::cli
