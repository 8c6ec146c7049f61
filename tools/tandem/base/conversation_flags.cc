#include "tools/tandem/base/conversation_flags.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "services/common/openai/chat_json.h"
#include "tools/tandem/base/json_input.h"
#include "tools/tandem/base/text_input.h"

namespace tandem::cli {
namespace {

// The list in a file.
absl::StatusOr<Json> ReadList(const std::string& flag, const std::string& file,
                              const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(
      const std::string text,
      ReadText({.file = file}, {.what = "file", .file_flag = flag}, io));
  absl::StatusOr<Json> list = ParseJsonList(text);
  if (list.ok()) return list;
  return UsageError(
      absl::StrCat(flag, " ", file, ": ", list.status().message()));
}

// The field tool_choice for what was given.
Json ChoiceOf(const std::string& choice) {
  for (const char* word : {"none", "auto", "required"}) {
    if (choice == word) return word;
  }
  return {{"type", "function"}, {"function", {{"name", choice}}}};
}

// Takes the fields of `chat`, which are those of the flag.
absl::Status Take(const std::string& flag, const Json& chat,
                  v1::TurnRequest* turn) {
  v1::TurnRequest read;
  const absl::Status status = ParseChat(chat.dump(), &read);
  if (!status.ok()) {
    return UsageError(absl::StrCat(flag, ": ", status.message()));
  }
  turn->MergeFrom(read);
  return absl::OkStatus();
}

}  // namespace

void AddConversationFlags(CLI::App* command, ConversationFlags* flags) {
  command
      ->add_option("--messages", flags->messages_file,
                   "In place of a prompt: the conversation, a JSON list of "
                   "messages as OpenAI's API has them, with calls of tools and "
                   "what these returned; \"-\": standard input")
      ->take_last();
  command
      ->add_option("--tools", flags->tools_file,
                   "With --chat or --messages: a JSON list of the functions "
                   "that the model may ask to be called, as OpenAI's API has "
                   "them")
      ->take_last();
  command
      ->add_option("--tool-choice", flags->tool_choice,
                   "With --tools: auto, the model decides (the default); none; "
                   "required, one at least; or the name of the one to call")
      ->take_last();
  command->add_flag("--split-reply", flags->split_reply,
                    "With --chat or --messages: what the model thinks stands "
                    "apart from its answer, as it always does with --tools");
}

absl::Status ReadChat(const ConversationFlags& flags, const Io& io,
                      v1::TurnRequest* turn) {
  if (flags.tools_file.empty() && !flags.tool_choice.empty()) {
    return UsageError("--tool-choice goes with --tools: add --tools FILE");
  }
  if (flags.tools_file == "-") {
    return UsageError(
        "--tools -: standard input is for the prompt or the messages; give a "
        "file");
  }
  TANDEM_RETURN_IF_ERROR(CheckUtf8(flags.tool_choice, "text of --tool-choice"));
  if (!flags.tools_file.empty()) {
    Json chat;
    TANDEM_ASSIGN_OR_RETURN(chat["tools"],
                            ReadList("--tools", flags.tools_file, io));
    if (!flags.tool_choice.empty()) {
      chat["tool_choice"] = ChoiceOf(flags.tool_choice);
    }
    TANDEM_RETURN_IF_ERROR(
        Take(absl::StrCat("--tools ", flags.tools_file), chat, turn));
  }
  if (!flags.messages_file.empty()) {
    Json chat;
    TANDEM_ASSIGN_OR_RETURN(chat["messages"],
                            ReadList("--messages", flags.messages_file, io));
    TANDEM_RETURN_IF_ERROR(
        Take(absl::StrCat("--messages ", flags.messages_file), chat, turn));
  }
  turn->set_split_reply(flags.split_reply || !turn->tools().empty());
  return absl::OkStatus();
}

}  // namespace tandem::cli
