#include "engine/template/chat/chat_template.h"

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

absl::Status Unsupported(absl::string_view what) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      {.reason = kReasonUnsupportedChatTemplate,
       .violations = {{.field = "messages", .description = std::string(what)}}},
      absl::StrCat(what,
                   ": send a prompt as text or token ids instead of messages"));
}

// Names of templates stand in messages and flags.
bool CanBeAskedFor(absl::string_view name) {
  return name.size() <= kTemplateNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
         });
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

// Words that are in none of the request's texts, since nobody can write a text
// that holds its own hash, `digest`. Letters and digits survive what templates
// do to replies: trimming, taking reasoning away.
constexpr char kReplySalt[] = "reply";
constexpr char kOtherSalt[] = "other";
std::string HashedWord(absl::string_view digest, absl::string_view salt) {
  Sha256 hash;
  hash.AddString(salt);
  hash.AddString(digest);
  return hash.HexDigest().substr(0, 32);
}
std::string Placeholder(absl::string_view digest, absl::string_view salt) {
  return absl::StrCat("reply", HashedWord(digest, salt));
}

// What stands after the last word of a call's made-up arguments.
constexpr char kArgumentsEnd[] = R"("})";

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

// An assistant's message with a call, and the tool's answer, that show in what
// form a template writes calls. Ids have the nine characters that some want.
std::vector<ChatMessage> TriedMessages(absl::string_view word) {
  return {{.role = ChatRole::kUser, .content = "a"},
          {.role = ChatRole::kAssistant,
           .tool_calls = {{.id = "abcdefghi",
                           .name = "b",
                           .arguments =
                               absl::StrCat(R"({"c": ")", word, R"("})")}}},
          {.role = ChatRole::kTool,
           .content = "d",
           .tool_call_id = "abcdefghi",
           .name = "b"}};
}

// Whether `word` of a call comes out, and not as Python writes it: 'word'.
bool ShowsCall(absl::Span<const TextPart> parts, absl::string_view word) {
  std::string text;
  for (const TextPart& part : parts) text += part.text;
  return absl::StrContains(text, word) &&
         !absl::StrContains(text, absl::StrCat("'", word, "'"));
}

}  // namespace

struct ChatTemplate::Job {
  const TemplateProgram& program;
  const ChatRequest& request;
  std::string digest = {};  // HashOfTexts
  TemplateValue tools = {};
  ChatForm form = {};
  std::vector<TemplateValue> messages = {};
};

struct ChatTemplate::EarlierTurn {
  // A system's message, which most templates do without, a user's and the
  // reply.
  std::vector<ChatMessage> messages = {};
  // The last word of the reply.
  std::string word = {};

  const std::vector<ChatToolCall>& calls() const {
    return messages.back().tool_calls;
  }
  // The turn before `request`, whose texts have the hash `digest`: its words
  // come from `salt`.
  static EarlierTurn Before(const ChatRequest& request,
                            absl::string_view digest, absl::string_view salt);
  // OK, or INVALID_OPTIONS that names the id or name which a message of a tool
  // must have since `tail` has the one made up for it.
  absl::Status CheckNamesAreGiven(const ChatRequest& request,
                                  const std::vector<TextPart>& tail) const;
};

ChatTemplate::EarlierTurn ChatTemplate::EarlierTurn::Before(
    const ChatRequest& request, absl::string_view digest,
    absl::string_view salt) {
  EarlierTurn earlier;
  const auto word = [digest, salt](absl::string_view role) {
    return Placeholder(digest, absl::StrCat(salt, role));
  };
  earlier.word = word("assistant");
  earlier.messages = {{.role = ChatRole::kSystem, .content = word("system")},
                      {.role = ChatRole::kUser, .content = word("user")},
                      {.role = ChatRole::kAssistant}};
  // A reply of another kind shows whether its form has an effect.
  const bool is_other = salt == kOtherSalt;
  ChatMessage& reply = earlier.messages.back();
  for (const ChatMessage& message : request.messages) {
    if (message.role != ChatRole::kTool) break;
    const std::string made_up =
        HashedWord(digest, absl::StrCat(salt, reply.tool_calls.size()));
    // Some templates want ids of nine letters and digits.
    const std::string& id = message.tool_call_id;
    const std::string& name = message.name;
    reply.tool_calls.push_back(
        {.id = id.empty() ? made_up.substr(0, 9) : id,
         .name = name.empty() ? absl::StrCat("tool", made_up) : name,
         .arguments = "{}"});
  }
  if (reply.tool_calls.empty()) {
    reply.content =
        is_other ? absl::StrCat("Well, ", earlier.word, "!") : earlier.word;
    return earlier;
  }
  reply.tool_calls.back().arguments = absl::StrCat(
      is_other ? R"({"count": 1, "value": "Well, )" : R"({"value": ")",
      earlier.word, kArgumentsEnd);
  return earlier;
}

absl::Status ChatTemplate::EarlierTurn::CheckNamesAreGiven(
    const ChatRequest& request, const std::vector<TextPart>& tail) const {
  constexpr absl::string_view kWhy =
      "must be set: this model's chat template writes it after a reply";
  for (size_t i = 0; i < calls().size(); ++i) {
    const ChatMessage& message = request.messages[i];
    const std::string field = absl::StrCat("messages[", i, "].");
    if (message.tool_call_id.empty() && CountIn(tail, calls()[i].id) > 0) {
      return InvalidField(absl::StrCat(field, "tool_call_id"), kWhy);
    }
    if (message.name.empty() && CountIn(tail, calls()[i].name) > 0) {
      return InvalidField(absl::StrCat(field, "name"), kWhy);
    }
  }
  return absl::OkStatus();
}

ChatTemplate ChatTemplate::Parse(absl::Span<const Source> sources,
                                 TokenTexts token_texts,
                                 std::vector<std::string> reply_ends) {
  ChatTemplate parsed;
  parsed.token_texts_ = std::move(token_texts);
  parsed.reply_ends_ = std::move(reply_ends);
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
                          TextOption(options, kTemplateOption));
  const std::string name = asked.empty() ? kDefaultChatTemplate : asked;
  const auto entry =
      std::find_if(entries_.begin(), entries_.end(),
                   [&name](const Entry& e) { return e.name == name; });
  if (entry == entries_.end()) {
    return BadTemplateOption(kTemplateOption,
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
    const Job& job, std::vector<TemplateValue> messages) const {
  const std::optional<absl::CivilDay> day =
      ParseDate(TemplateDate(job.request));
  if (!day.has_value()) {
    return InvalidField("today", "must be a day as YYYY-MM-DD");
  }
  TemplateInput input;
  input.now = BrokenDown(*day);
  input.variables.emplace_back("messages",
                               TemplateValue::List(std::move(messages)));
  input.variables.emplace_back("add_generation_prompt",
                               TemplateValue::Bool(true));
  // None where a call has none, as transformers does it.
  input.variables.emplace_back("tools", job.tools);
  input.variables.emplace_back("documents", TemplateValue::None());
  for (const auto& [name, text] : token_texts_) {
    input.variables.emplace_back(name, TemplateValue::Text(text));
  }
  for (const TemplateOption& option : job.request.options) {
    if (option.name == kDateOption || option.name == kTemplateOption) continue;
    input.variables.emplace_back(option.name, OptionValue(option));
  }
  absl::StatusOr<std::vector<TextPart>> parts = job.program.Render(input);
  if (parts.ok()) return parts;
  if (absl::IsInvalidArgument(parts.status())) {
    return NameMessages(parts.status());
  }
  return Unsupported(
      absl::StrCat("the chat template in the model's file failed: ",
                   parts.status().message()));
}

ChatForm ChatTemplate::FindForm(const Job& job) const {
  const std::string word = Placeholder(job.digest, "tried");
  // Most templates take the first.
  for (const bool has_text_arguments : {false, true}) {
    for (const bool has_none_content : {false, true}) {
      const ChatForm form = {.has_text_arguments = has_text_arguments,
                             .has_none_content = has_none_content};
      auto messages = MessageValues(TriedMessages(word), form);
      if (!messages.ok()) continue;
      const auto parts = Run(job, *std::move(messages));
      if (parts.ok() && ShowsCall(*parts, word)) return form;
    }
  }
  return {};
}

absl::StatusOr<ChatTemplate::Job> ChatTemplate::MakeJob(
    const ChatRequest& request) const {
  TANDEM_RETURN_IF_ERROR(CheckChatMessages(request.messages));
  TANDEM_RETURN_IF_ERROR(CheckTemplateOptions(request.options));
  TANDEM_RETURN_IF_ERROR(CheckChatTools(request.tools));
  TANDEM_ASSIGN_OR_RETURN(const TemplateProgram* const program,
                          Choose(request.options));
  Job job = {.program = *program, .request = request};
  job.digest = HashOfTexts(request);
  TANDEM_ASSIGN_OR_RETURN(job.tools, ToolsValue(request.tools));
  // Messages of tools at the beginning answer calls of an earlier reply.
  const bool has_calls =
      request.messages[0].role == ChatRole::kTool ||
      std::any_of(request.messages.begin(), request.messages.end(),
                  [](const ChatMessage& m) { return !m.tool_calls.empty(); });
  if (has_calls) job.form = FindForm(job);
  TANDEM_ASSIGN_OR_RETURN(job.messages,
                          MessageValues(request.messages, job.form));
  return job;
}

absl::StatusOr<std::vector<TextPart>> ChatTemplate::Render(
    const ChatRequest& request) const {
  TANDEM_ASSIGN_OR_RETURN(const Job job, MakeJob(request));
  return Run(job, job.messages);
}

absl::StatusOr<std::vector<TextPart>> ChatTemplate::Tail(
    const Job& job, absl::string_view salt) const {
  const EarlierTurn earlier =
      EarlierTurn::Before(job.request, job.digest, salt);
  TANDEM_ASSIGN_OR_RETURN(std::vector<TemplateValue> messages,
                          MessageValues(earlier.messages, job.form));
  messages.insert(messages.end(), job.messages.begin(), job.messages.end());
  absl::StatusOr<std::vector<TextPart>> parts =
      Run(job, {messages.begin() + 1, messages.end()});
  if (!parts.ok()) {
    // Some templates want a system message.
    absl::StatusOr<std::vector<TextPart>> with_system =
        Run(job, std::move(messages));
    if (!with_system.ok()) return parts;  // the error without our addition
    parts = std::move(with_system);
  }
  const std::string& written =
      earlier.calls().empty() ? earlier.messages.back().content : earlier.word;
  if (CountIn(*parts, written) != 1) {
    return Unsupported(
        "the chat template in the model's file does not write an earlier reply "
        "exactly once, so a session can have one turn of messages");
  }
  std::vector<TextPart> tail = PartsAfter(*std::move(parts), written);
  if (!earlier.calls().empty()) {
    TANDEM_ASSIGN_OR_RETURN(tail, TakeCallsAway(earlier, std::move(tail)));
    TANDEM_RETURN_IF_ERROR(earlier.CheckNamesAreGiven(job.request, tail));
  }
  if (CountIn(tail, earlier.messages[0].content) +
          CountIn(tail, earlier.messages[1].content) >
      0) {
    return Unsupported(
        "the chat template in the model's file writes an earlier message again "
        "after a reply, so a session can have one turn of messages");
  }
  return tail;
}

absl::StatusOr<std::vector<TextPart>> ChatTemplate::TakeCallsAway(
    const EarlierTurn& earlier, std::vector<TextPart> tail) const {
  // The end of arguments that are a text; then ids and names may come.
  const auto is_of_calls = [&earlier](const TextPart& part) {
    return std::any_of(earlier.calls().begin(), earlier.calls().end(),
                       [&part](const ChatToolCall& call) {
                         return part.text == call.id || part.text == call.name;
                       });
  };
  for (auto part = tail.begin(); part != tail.end(); ++part) {
    if (part->is_content) {
      const bool is_rest = part == tail.begin() && part->text == kArgumentsEnd;
      if (!is_rest && !is_of_calls(*part)) break;
      continue;
    }
    size_t end = std::string::npos;
    for (const std::string& text : reply_ends_) {
      if (!text.empty()) end = std::min(end, part->text.find(text));
    }
    if (end == std::string::npos) continue;
    part->text.erase(0, end);
    tail.erase(tail.begin(), part);
    return tail;
  }
  return Unsupported(
      "the chat template in the model's file does not end a reply with calls "
      "of tools by a token that ends replies, so a session can not go on with "
      "what tools return");
}

absl::Status ChatTemplate::CheckSystemIsTaken(
    const Job& job, const std::vector<TextPart>& tail) const {
  const std::vector<ChatMessage>& messages = job.request.messages;
  using Words = std::vector<std::string>;
  // The tail with words[i] as the content of message i where it is set.
  const auto tail_with =
      [&](const Words& words) -> absl::StatusOr<std::vector<TextPart>> {
    ChatRequest changed = job.request;
    for (size_t i = 0; i < words.size(); ++i) {
      if (!words[i].empty()) changed.messages[i].content = words[i];
    }
    Job changed_job = {.program = job.program,
                       .request = changed,
                       .digest = HashOfTexts(changed),
                       .tools = job.tools,
                       .form = job.form};
    TANDEM_ASSIGN_OR_RETURN(changed_job.messages,
                            MessageValues(changed.messages, job.form));
    return Tail(changed_job, kReplySalt);
  };
  // Other words in place of every system message.
  Words words(messages.size());
  bool has_system = false;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != ChatRole::kSystem ||
        absl::StripAsciiWhitespace(messages[i].content).empty()) {
      continue;
    }
    words[i] = Placeholder(job.digest, absl::StrCat("system ", i));
    has_system = true;
  }
  if (!has_system) return absl::OkStatus();
  const auto all = tail_with(words);
  if (!all.ok()) return absl::OkStatus();  // it looks at the texts
  const auto missing =
      std::find_if(words.begin(), words.end(), [&all](const std::string& word) {
        return !word.empty() && CountIn(*all, word) == 0;
      });
  if (missing == words.end()) return absl::OkStatus();
  // Its words do not come out; does it have an effect at all?
  const auto index = static_cast<size_t>(missing - words.begin());
  Words one(messages.size());
  one[index] = words[index];
  const auto one_tail = tail_with(one);
  if (!one_tail.ok() || tail != *one_tail) return absl::OkStatus();
  return InvalidField(
      absl::StrCat("messages[", index, "]"),
      "is a system message, and this model's chat template takes none there in "
      "a later turn of a session");
}

absl::StatusOr<std::vector<TextPart>> ChatTemplate::RenderAfterReply(
    const ChatRequest& request) const {
  TANDEM_ASSIGN_OR_RETURN(const Job job, MakeJob(request));
  TANDEM_ASSIGN_OR_RETURN(std::vector<TextPart> tail, Tail(job, kReplySalt));
  TANDEM_ASSIGN_OR_RETURN(const std::vector<TextPart> other,
                          Tail(job, kOtherSalt));
  if (tail != other) {
    return Unsupported(
        "in the chat template in the model's file the text after a reply "
        "depends on the reply or on messages before it, so a session can have "
        "one turn of messages");
  }
  TANDEM_RETURN_IF_ERROR(CheckSystemIsTaken(job, tail));
  return tail;
}

}  // namespace tandem
