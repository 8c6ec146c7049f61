#include "tools/tandem/base/turn_flags.h"

#include <utility>
#include <variant>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "services/client/joined_reply.h"
#include "services/common/flag_values.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/receipt_file.h"
#include "tools/tandem/base/reply_printer.h"
#include "tools/tandem/base/service_terms.h"
#include "tools/tandem/base/terminal_text.h"

namespace tandem::cli {
namespace {

// The service's limit: a day.
constexpr int64_t kTimeoutMsMax = 86400000;

constexpr char kTemplateOptionHelp[] =
    "NAME=VALUE, a variable of the chat template, as "
    "enable_thinking=false. VALUE is true, false, a number, or else a text "
    "(\"5\" in quotes is a text). date=YYYY-MM-DD is the day that the template "
    "is told, template=NAME another template of the file; may be repeated";

TemplateOption MakeOption(std::string name, std::string value) {
  TemplateOption option = {.name = std::move(name), .value = {}};
  int64_t integer = 0;
  double number = 0;
  if (value == "true" || value == "false") {
    option.value = value == "true";
  } else if (absl::SimpleAtoi(value, &integer)) {
    option.value = integer;
  } else if (absl::SimpleAtod(value, &number)) {
    option.value = number;
  } else if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    option.value = value.substr(1, value.size() - 2);
  } else {
    option.value = std::move(value);
  }
  return option;
}

bool HasMessages(const PromptFlags& flags) {
  return !flags.conversation.messages_file.empty();
}

bool IsChat(const PromptFlags& flags) {
  return flags.chat || flags.system.has_value() || HasMessages(flags);
}

// What the flags of a prompt exclude.
absl::Status CheckPromptFlags(const PromptFlags& flags) {
  if (!IsChat(flags)) {
    if (!flags.template_options.empty()) {
      return UsageError("--template-option goes with --chat: add --chat");
    }
    if (!flags.conversation.tools_file.empty()) {
      return UsageError("--tools goes with --chat or --messages: add --chat");
    }
    if (flags.conversation.split_reply) {
      return UsageError(
          "--split-reply goes with --chat or --messages: add --chat");
    }
    return absl::OkStatus();
  }
  if (flags.special) {
    return UsageError(
        "--special does not go with --chat, --system or --messages: the chat "
        "template writes the special tokens");
  }
  const bool has_prompt =
      flags.prompt.argument.has_value() || !flags.prompt.file.empty();
  if (HasMessages(flags) &&
      (has_prompt || flags.chat || flags.system.has_value())) {
    return UsageError(
        "--messages has the whole conversation: leave out the prompt, --chat "
        "and --system");
  }
  return absl::OkStatus();
}

// The prompt's text, with a system message where there is one.
absl::Status ReadPromptText(const PromptFlags& flags, const Io& io,
                            TurnInput* input) {
  TANDEM_ASSIGN_OR_RETURN(
      std::string prompt,
      ReadText(flags.prompt, {.what = "prompt", .file_flag = "--prompt-file"},
               io));
  TANDEM_RETURN_IF_ERROR(CheckUtf8(prompt, "prompt"));
  if (flags.system.has_value()) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(*flags.system, "text of --system"));
    input->messages.push_back(
        {.role = ChatRole::kSystem, .content = *flags.system});
  }
  if (IsChat(flags)) {
    input->messages.push_back(
        {.role = ChatRole::kUser, .content = std::move(prompt)});
  } else {
    input->text = std::move(prompt);
    input->parse_special = flags.special;
  }
  return absl::OkStatus();
}

}  // namespace

void AddTemplateOptionFlag(CLI::App* command, const std::string& condition,
                           std::vector<std::string>* values) {
  command
      ->add_option("--template-option", *values,
                   absl::StrCat(condition, kTemplateOptionHelp))
      ->expected(1)
      ->take_all();
}

void AddModelFlag(CLI::App* command, std::string* model_id) {
  command->add_option("--model", *model_id,
                      "Id of the model; may be absent where there is one");
}

void AddTimeoutFlag(CLI::App* command, int64_t* timeout_ms) {
  command
      ->add_option("--timeout-ms", *timeout_ms,
                   "Ends the turn after this time; 0: never")
      ->check(WholeNumber(0, kTimeoutMsMax))
      ->take_last();
}

absl::StatusOr<std::vector<TemplateOption>> ParseTemplateOptions(
    absl::Span<const std::string> values) {
  std::vector<TemplateOption> options;
  for (const std::string& value : values) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(value, "text of --template-option"));
    const size_t equals = value.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return UsageError(
          absl::StrCat("--template-option ", value,
                       ": write NAME=VALUE, e.g. enable_thinking=false"));
    }
    options.push_back(
        MakeOption(value.substr(0, equals), value.substr(equals + 1)));
  }
  const absl::Status status = CheckTemplateOptions(options);
  if (!status.ok()) return InFlagTerms(status, {});
  return options;
}

void SetTemplateOptions(const std::vector<TemplateOption>& options,
                        v1::TurnRequest* turn) {
  for (const TemplateOption& option : options) {
    v1::TemplateOption& value =
        (*turn->mutable_template_options())[option.name];
    if (const auto* flag = std::get_if<bool>(&option.value)) {
      value.set_bool_value(*flag);
    } else if (const auto* integer = std::get_if<int64_t>(&option.value)) {
      value.set_int_value(*integer);
    } else if (const auto* number = std::get_if<double>(&option.value)) {
      value.set_number_value(*number);
    } else {
      value.set_text_value(std::get<std::string>(option.value));
    }
  }
}

void AddPromptFlags(CLI::App* command, PromptFlags* flags) {
  command->add_option("prompt", flags->prompt.argument,
                      "The prompt; \"-\" or absent: standard input, byte for "
                      "byte");
  command->add_option("--prompt-file", flags->prompt.file,
                      "Reads the prompt from a file, byte for byte");
  // What excludes each other is told by ReadTurn: CLI11's help lists it by
  // memory addresses, in another order each time.
  command->add_flag("--special", flags->special,
                    "Names of special tokens in the prompt become these "
                    "tokens; not with --chat and --system");
  command->add_flag("--chat", flags->chat,
                    "Sends the prompt as a user's message, formatted by the "
                    "model's chat template");
  command
      ->add_option("--system", flags->system,
                   "With --chat, which it implies: the system's message")
      ->take_last();
  AddTemplateOptionFlag(command, "With --chat: ", &flags->template_options);
}

void AddTurnFlags(CLI::App* command, TurnFlags* flags) {
  AddPromptFlags(command, flags);
  command->add_flag("--echo", flags->echo,
                    "Prints the prompt before the text that goes on from it; "
                    "not with --chat and --system; --json ignores it");
  command->add_flag("--json", flags->json,
                    "Prints one object at the end instead of text");
  command->add_flag("--stats", flags->stats,
                    "Prints speed, acceptance, time split and, of a service, "
                    "the session to standard error");
  AddTimeoutFlag(command, &flags->timeout_ms);
  command
      ->add_option("--receipt", flags->receipt_file,
                   "Writes the turn's receipt and token ids to this file, for "
                   "`tandem replay`")
      ->take_last();
  AddGenerationFlags(command, &flags->generation);
  AddChoiceFlag(command, &flags->generation);
  AddResponseFormatFlags(command, &flags->response_format);
}

absl::StatusOr<TurnInput> ReadPrompt(const PromptFlags& flags, const Io& io) {
  TANDEM_RETURN_IF_ERROR(CheckPromptFlags(flags));
  TurnInput input;
  TANDEM_ASSIGN_OR_RETURN(input.template_options,
                          ParseTemplateOptions(flags.template_options));
  TANDEM_RETURN_IF_ERROR(ReadChat(flags.conversation, io, &input.conversation));
  if (!HasMessages(flags)) {
    TANDEM_RETURN_IF_ERROR(ReadPromptText(flags, io, &input));
  }
  return input;
}

absl::StatusOr<TurnInput> ReadTurn(const TurnFlags& flags, const Io& io) {
  if (flags.generation.has_logprobs() && !flags.json) {
    return UsageError("--logprobs is printed with --json only: add --json");
  }
  if (IsChat(flags) && flags.echo) {
    return UsageError(
        "--echo does not go with --chat, --system or --messages: a reply does "
        "not go on from the prompt's text");
  }
  TANDEM_RETURN_IF_ERROR(CheckGenerationOptions(flags.generation));
  v1::GenerationOptions options = flags.generation;
  TANDEM_RETURN_IF_ERROR(
      ReadResponseFormat(flags.response_format, io, &options));
  TANDEM_ASSIGN_OR_RETURN(TurnInput input, ReadPrompt(flags, io));
  input.options = std::move(options);
  return input;
}

v1::TurnRequest ToRequest(TurnInput input) {
  v1::TurnRequest turn = std::move(input.conversation);
  *turn.mutable_options() = std::move(input.options);
  for (ChatMessage& message : input.messages) {
    v1::ChatMessage* added = turn.mutable_messages()->add_messages();
    added->set_role(message.role == ChatRole::kSystem ? v1::CHAT_ROLE_SYSTEM
                                                      : v1::CHAT_ROLE_USER);
    added->set_content(std::move(message.content));
  }
  SetTemplateOptions(input.template_options, &turn);
  if (!turn.has_messages()) {
    turn.set_text(std::move(input.text));
    turn.set_parse_special(input.parse_special);
  }
  return turn;
}

absl::Status PrintTurn(const TurnFlags& flags, const TurnRecord& record,
                       const Io& io) {
  if (flags.json) {
    PrintJson(TurnJson(record), io.out);
  } else {
    PrintText(EndOfReply(client::PartsOf(record.tokens), io), io);
  }
  if (flags.stats) *io.err << TurnStats(record);
  if (flags.receipt_file.empty()) return absl::OkStatus();
  return WriteReceipt(record, flags.receipt_file);
}

}  // namespace tandem::cli
