#include "engine/template/chat_template.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <iterator>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/civil_time.h"
#include "engine/base/error_reason.h"
#include "engine/base/hash.h"
#include "engine/template/render_budget.h"

namespace tandem {
namespace {

constexpr char kDateOption[] = "date";
constexpr char kTemplateOption[] = "template";
constexpr size_t kNameBytesMax = 64;  // of options and templates

// What else a name may stand for in templates: the other variables of a
// rendering, the functions that are always there, and words of the language.
// Spaces stand around each.
constexpr absl::string_view kTakenNames =
    " messages tools documents add_generation_prompt bos_token eos_token"
    " eot_token unk_token pad_token sep_token cls_token mask_token"
    " additional_special_tokens raise_exception strftime_now range dict"
    " lipsum cycler joiner namespace loop self super caller varargs kwargs"
    " true false none True False None and or not in is if else elif for set"
    " macro call filter block generation break continue import include"
    " extends from with recursive ";

absl::Status BadOption(absl::string_view name, std::string what) {
  return InvalidField(absl::StrCat("template_options.", name), std::move(what));
}

absl::Status Unsupported(absl::string_view what) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      {.reason = kReasonUnsupportedChatTemplate,
       .violations = {{.field = "messages", .description = std::string(what)}}},
      absl::StrCat(what,
                   ": send a prompt as text or token ids instead of messages"));
}

bool IsIdentifier(absl::string_view name) {
  if (name.empty() || absl::ascii_isdigit(name[0])) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

// Names of templates stand in messages and flags.
bool CanBeAskedFor(absl::string_view name) {
  return name.size() <= kNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
         });
}

// The day that `date`, "YYYY-MM-DD", names.
std::optional<absl::CivilDay> ParseDate(absl::string_view date) {
  absl::CivilDay day;
  // The parser takes days with signs, spaces or fewer digits, too; strftime has
  // four digits only.
  if (!absl::ParseCivilTime(date, &day) || day.year() < 1000 ||
      day.year() > 9999 || absl::FormatCivilTime(day) != date) {
    return std::nullopt;
  }
  return day;
}

std::tm BrokenDown(absl::CivilDay day) {
  std::tm time = {};
  time.tm_year = static_cast<int>(day.year()) - 1900;
  time.tm_mon = day.month() - 1;
  time.tm_mday = day.day();
  // absl counts from Monday, the C library from Sunday.
  time.tm_wday = (static_cast<int>(absl::GetWeekday(day)) + 1) % 7;
  time.tm_yday = absl::GetYearDay(day) - 1;
  return time;
}

const TemplateOption* FindOption(absl::Span<const TemplateOption> options,
                                 absl::string_view name) {
  const auto found =
      std::find_if(options.begin(), options.end(),
                   [name](const TemplateOption& o) { return o.name == name; });
  return found == options.end() ? nullptr : &*found;
}

// The value of one of our own options, which must be a text.
absl::StatusOr<std::string> OwnOption(absl::Span<const TemplateOption> options,
                                      absl::string_view name) {
  const TemplateOption* const option = FindOption(options, name);
  if (option == nullptr) return std::string();
  const auto* text = std::get_if<std::string>(&option->value);
  if (text == nullptr) return BadOption(name, "must be a text");
  return *text;
}

size_t ValueBytes(const TemplateOption& option) {
  const auto* text = std::get_if<std::string>(&option.value);
  return text == nullptr ? sizeof(double) : text->size();
}

absl::Status CheckOption(const TemplateOption& option) {
  // A name may be anything until it is checked; it is told only if it is one.
  if (!IsIdentifier(option.name) || option.name.size() > kNameBytesMax) {
    return InvalidField(
        "template_options",
        absl::StrCat("must have names of letters, digits and '_', at most ",
                     kNameBytesMax, " bytes long"));
  }
  if (absl::StrContains(kTakenNames, absl::StrCat(" ", option.name, " "))) {
    return BadOption(option.name,
                     "can not be set: the name has a meaning in templates");
  }
  const auto* number = std::get_if<double>(&option.value);
  if (number != nullptr && !std::isfinite(*number)) {
    return BadOption(option.name, "must be finite");
  }
  return absl::OkStatus();
}

TemplateValue ToValue(const TemplateOption& option) {
  const auto* text = std::get_if<std::string>(&option.value);
  if (text != nullptr) return TemplateValue::Content(*text);
  if (const auto* number = std::get_if<double>(&option.value)) {
    return TemplateValue::Float(*number);
  }
  const auto* flag = std::get_if<bool>(&option.value);
  return flag != nullptr
             ? TemplateValue::Bool(*flag)
             : TemplateValue::Integer(std::get<int64_t>(option.value));
}

TemplateValue ToValue(absl::Span<const ChatMessage> messages) {
  // In the order of ChatRole.
  constexpr absl::string_view kRoles[] = {"system", "user", "assistant"};
  std::vector<TemplateValue> list;
  list.reserve(messages.size());
  for (const ChatMessage& message : messages) {
    list.push_back(TemplateValue::Map(
        {{"role",
          TemplateValue::Text(kRoles[static_cast<size_t>(message.role)])},
         {"content", TemplateValue::Content(message.content)}}));
  }
  return TemplateValue::List(std::move(list));
}

// A word that is in none of the request's texts, since nobody can write a text
// that holds its own hash. Letters and digits survive what templates do to
// replies: trimming, taking reasoning away.
constexpr char kReplySalt[] = "reply";
constexpr char kOtherSalt[] = "other";
std::string Placeholder(const ChatRequest& request, absl::string_view salt) {
  Sha256 hash;
  hash.AddString(salt);
  for (const ChatMessage& message : request.messages) {
    hash.AddString(message.content);
  }
  for (const TemplateOption& option : request.options) {
    const auto* text = std::get_if<std::string>(&option.value);
    if (text != nullptr) hash.AddString(*text);
  }
  return absl::StrCat("reply", hash.HexDigest().substr(0, 32));
}

// How often `word` is in the contents of `parts`.
int CountIn(absl::Span<const TextPart> parts, const std::string& word) {
  int count = 0;
  for (const TextPart& part : parts) {
    if (!part.is_content) continue;
    size_t at = 0;
    while ((at = part.text.find(word, at)) != std::string::npos) {
      ++count;
      at += word.size();
    }
  }
  return count;
}

// What follows `word`, which is in `parts` once.
std::vector<TextPart> PartsAfter(std::vector<TextPart> parts,
                                 const std::string& word) {
  const auto part =
      std::find_if(parts.begin(), parts.end(), [&word](const TextPart& p) {
        return p.is_content && absl::StrContains(p.text, word);
      });
  part->text.erase(0, part->text.find(word) + word.size());
  parts.erase(parts.begin(), part->text.empty() ? std::next(part) : part);
  return parts;
}

// The template's own refusal gets the field that it is about.
absl::Status NameMessages(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!absl::IsInvalidArgument(status) || !detail.has_value()) return status;
  return MakeError(
      status.code(),
      {.reason = detail->reason,
       .violations = {{.field = "messages",
                       .description = std::string(status.message())}}},
      absl::StrCat("messages: ", status.message()));
}

}  // namespace

absl::Status CheckChatMessages(absl::Span<const ChatMessage> messages) {
  if (messages.empty()) return InvalidField("messages", "must not be empty");
  if (messages.size() > kChatMessagesMax) {
    return InvalidField("messages",
                        absl::StrCat("must have at most ", kChatMessagesMax,
                                     " messages, has ", messages.size()));
  }
  if (messages.back().role == ChatRole::kAssistant) {
    return InvalidField(
        absl::StrCat("messages[", messages.size() - 1, "].role"),
        "must not be assistant: the last message is what is answered");
  }
  return absl::OkStatus();
}

absl::Status CheckTemplateOptions(absl::Span<const TemplateOption> options) {
  if (options.size() > kTemplateOptionsMax) {
    return InvalidField("template_options",
                        absl::StrCat("must have at most ", kTemplateOptionsMax,
                                     " options, has ", options.size()));
  }
  size_t bytes = 0;
  for (const TemplateOption& option : options) {
    bytes += option.name.size() + ValueBytes(option);
  }
  if (bytes > kTemplateOptionsBytesMax) {
    return InvalidField(
        "template_options",
        absl::StrCat("must have names and values of at most ",
                     kTemplateOptionsBytesMax, " bytes in all, has ", bytes));
  }
  for (const TemplateOption& option : options) {
    TANDEM_RETURN_IF_ERROR(CheckOption(option));
    if (FindOption(options, option.name) != &option) {
      return BadOption(option.name, "is set twice");
    }
  }
  TANDEM_RETURN_IF_ERROR(OwnOption(options, kTemplateOption).status());
  TANDEM_ASSIGN_OR_RETURN(const std::string date,
                          OwnOption(options, kDateOption));
  if (FindOption(options, kDateOption) != nullptr &&
      !ParseDate(date).has_value()) {
    return BadOption(kDateOption, "must be a day as YYYY-MM-DD");
  }
  return absl::OkStatus();
}

std::string UtcDate(absl::Time time) {
  return absl::FormatCivilTime(absl::ToCivilDay(time, absl::UTCTimeZone()));
}

std::string TemplateDate(const ChatRequest& request) {
  const TemplateOption* const option = FindOption(request.options, kDateOption);
  const auto* date =
      option == nullptr ? nullptr : std::get_if<std::string>(&option->value);
  return date == nullptr ? request.today : *date;
}

ChatTemplate ChatTemplate::Parse(absl::Span<const Source> sources,
                                 TokenTexts token_texts) {
  ChatTemplate parsed;
  parsed.token_texts_ = std::move(token_texts);
  std::vector<const Source*> offered;
  for (const Source& source : sources) {
    if (CanBeAskedFor(source.name)) offered.push_back(&source);
  }
  // The one that is asked for most is there, wherever it stands in the file.
  std::stable_partition(
      offered.begin(), offered.end(), [](const Source* source) {
        return source->name.empty() || source->name == kDefaultChatTemplate;
      });
  offered.resize(std::min(offered.size(), kChatTemplatesMax));
  size_t bytes = 0;
  for (const Source* source : offered) {
    bytes += source->text.size();
    parsed.entries_.push_back(
        {.name = source->name.empty() ? kDefaultChatTemplate : source->name,
         .program = bytes <= kChatTemplatesBytesMax
                        ? TemplateProgram::Parse(source->text)
                        : TemplateError(absl::StrCat(
                              "the chat templates have more than ",
                              kChatTemplatesBytesMax, " bytes together"))});
  }
  return parsed;
}

std::vector<std::string> ChatTemplate::names() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  return names;
}

absl::StatusOr<const TemplateProgram*> ChatTemplate::Choose(
    absl::Span<const TemplateOption> options) const {
  if (entries_.empty()) {
    return Unsupported("the model's file has no chat template");
  }
  TANDEM_ASSIGN_OR_RETURN(const std::string asked,
                          OwnOption(options, kTemplateOption));
  const std::string name = asked.empty() ? kDefaultChatTemplate : asked;
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(),
                   [&name](const Entry& e) { return e.name == name; });
  if (entry == entries_.end()) {
    return BadOption(kTemplateOption,
                     absl::StrCat("must be one of the templates in the "
                                  "model's file: ",
                                  absl::StrJoin(names(), ", ")));
  }
  if (!entry->program.ok()) {
    return Unsupported(
        absl::StrCat("the chat template in the model's file can not be run: ",
                     entry->program.status().message()));
  }
  return entry->program->get();
}

absl::Status ChatTemplate::Check(
    absl::Span<const TemplateOption> options) const {
  return Choose(options).status();
}

absl::StatusOr<std::vector<TextPart>> ChatTemplate::Run(
    const TemplateProgram& program, const ChatRequest& request,
    absl::Span<const ChatMessage> messages) const {
  const std::optional<absl::CivilDay> day = ParseDate(TemplateDate(request));
  if (!day.has_value()) {
    return InvalidField("today", "must be a day as YYYY-MM-DD");
  }
  TemplateInput input;
  input.now = BrokenDown(*day);
  input.variables.emplace_back("messages", ToValue(messages));
  input.variables.emplace_back("add_generation_prompt",
                               TemplateValue::Bool(true));
  // As transformers gives them where a call has none.
  input.variables.emplace_back("tools", TemplateValue::None());
  input.variables.emplace_back("documents", TemplateValue::None());
  for (const auto& [name, text] : token_texts_) {
    input.variables.emplace_back(name, TemplateValue::Text(text));
  }
  for (const TemplateOption& option : request.options) {
    if (option.name == kDateOption || option.name == kTemplateOption) continue;
    input.variables.emplace_back(option.name, ToValue(option));
  }
  absl::StatusOr<std::vector<TextPart>> parts = program.Render(input);
  if (parts.ok()) return parts;
  if (absl::IsInvalidArgument(parts.status())) {
    return NameMessages(parts.status());
  }
  return Unsupported(
      absl::StrCat("the chat template in the model's file failed: ",
                   parts.status().message()));
}

absl::StatusOr<std::vector<TextPart>> ChatTemplate::Render(
    const ChatRequest& request) const {
  TANDEM_RETURN_IF_ERROR(CheckChatMessages(request.messages));
  TANDEM_RETURN_IF_ERROR(CheckTemplateOptions(request.options));
  TANDEM_ASSIGN_OR_RETURN(const TemplateProgram* const program,
                          Choose(request.options));
  return Run(*program, request, request.messages);
}

absl::StatusOr<std::vector<TextPart>> ChatTemplate::Tail(
    const TemplateProgram& program, const ChatRequest& request,
    absl::string_view salt) const {
  const auto word = [&request, salt](absl::string_view role) {
    return Placeholder(request, absl::StrCat(salt, role));
  };
  const std::string reply = word("assistant");
  // A reply of another kind shows whether its form has an effect.
  const bool is_sentence = salt == kOtherSalt;
  std::vector<ChatMessage> messages = {
      {ChatRole::kSystem, word("system")},
      {ChatRole::kUser, word("user")},
      {ChatRole::kAssistant,
       is_sentence ? absl::StrCat("Well, ", reply, "!") : reply}};
  messages.insert(messages.end(), request.messages.begin(),
                  request.messages.end());
  absl::StatusOr<std::vector<TextPart>> parts =
      Run(program, request, absl::MakeConstSpan(messages).subspan(1));
  if (!parts.ok()) {
    // Some templates want a system message.
    absl::StatusOr<std::vector<TextPart>> with_system =
        Run(program, request, messages);
    if (!with_system.ok()) return parts;  // the error without our addition
    parts = std::move(with_system);
  }
  const std::string& written = messages[2].content;
  if (CountIn(*parts, written) != 1) {
    return Unsupported(
        "the chat template in the model's file does not write an earlier reply "
        "exactly once, so a session can have one turn of messages");
  }
  std::vector<TextPart> tail = PartsAfter(*std::move(parts), written);
  if (CountIn(tail, messages[0].content) + CountIn(tail, messages[1].content) >
      0) {
    return Unsupported(
        "the chat template in the model's file writes an earlier message again "
        "after a reply, so a session can have one turn of messages");
  }
  return tail;
}

absl::Status ChatTemplate::CheckSystemIsTaken(
    const TemplateProgram& program, const ChatRequest& request,
    const std::vector<TextPart>& tail) const {
  // Other words in place of every system message.
  ChatRequest changed = request;
  std::vector<size_t> systems;
  for (size_t i = 0; i < request.messages.size(); ++i) {
    const ChatMessage& message = request.messages[i];
    if (message.role != ChatRole::kSystem ||
        absl::StripAsciiWhitespace(message.content).empty()) {
      continue;
    }
    systems.push_back(i);
    changed.messages[i].content =
        Placeholder(request, absl::StrCat("system ", i));
  }
  if (systems.empty()) return absl::OkStatus();
  const auto changed_tail = Tail(program, changed, kReplySalt);
  if (!changed_tail.ok()) return absl::OkStatus();  // it looks at the texts
  const auto missing = std::find_if(
      systems.begin(), systems.end(), [&changed, &changed_tail](size_t i) {
        return CountIn(*changed_tail, changed.messages[i].content) == 0;
      });
  if (missing == systems.end()) return absl::OkStatus();
  // Its words do not come out; does it have an effect at all?
  const size_t index = *missing;
  ChatRequest one = request;
  one.messages[index].content = changed.messages[index].content;
  const auto one_tail = Tail(program, one, kReplySalt);
  if (!one_tail.ok() || tail != *one_tail) return absl::OkStatus();
  return InvalidField(
      absl::StrCat("messages[", index, "]"),
      "is a system message, and this model's chat template takes none there in "
      "a later turn of a session");
}

absl::StatusOr<std::vector<TextPart>> ChatTemplate::RenderAfterReply(
    const ChatRequest& request) const {
  TANDEM_RETURN_IF_ERROR(CheckChatMessages(request.messages));
  TANDEM_RETURN_IF_ERROR(CheckTemplateOptions(request.options));
  TANDEM_ASSIGN_OR_RETURN(const TemplateProgram* const program,
                          Choose(request.options));
  TANDEM_ASSIGN_OR_RETURN(std::vector<TextPart> tail,
                          Tail(*program, request, kReplySalt));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TextPart> other,
                          Tail(*program, request, kOtherSalt));
  if (tail != other) {
    return Unsupported(
        "in the chat template in the model's file the text after a reply "
        "depends on the reply or on messages before it, so a session can have "
        "one turn of messages");
  }
  TANDEM_RETURN_IF_ERROR(CheckSystemIsTaken(*program, request, tail));
  return tail;
}

}  // namespace tandem
