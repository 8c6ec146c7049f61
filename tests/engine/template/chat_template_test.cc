#include "engine/template/chat_template.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

using Messages = std::vector<ChatMessage>;
using Options = std::vector<TemplateOption>;

constexpr char kChatMl[] =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "<|im_end|>\n{% endfor %}<|im_start|>assistant\n";

ChatTemplate Make(const std::string& source) {
  return ChatTemplate::Parse({{.name = "", .text = source}},
                             {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
}

ChatRequest Request(Messages messages, Options options = {}) {
  return {.messages = std::move(messages),
          .options = std::move(options),
          .today = "2026-11-28"};
}

std::string Join(const std::vector<TextPart>& parts) {
  std::string text;
  for (const TextPart& part : parts) text += part.text;
  return text;
}

// The text, or the error.
std::string Text(const absl::StatusOr<std::vector<TextPart>>& parts) {
  return parts.ok() ? Join(*parts) : std::string(parts.status().message());
}

std::string Rendered(const std::string& source, Messages messages,
                     Options options = {}) {
  return Text(
      Make(source).Render(Request(std::move(messages), std::move(options))));
}

std::string After(const std::string& source, Messages messages,
                  Options options = {}) {
  return Text(Make(source).RenderAfterReply(
      Request(std::move(messages), std::move(options))));
}

void ExpectError(const absl::Status& status, absl::StatusCode code,
                 const std::string& reason, const std::string& field,
                 const std::string& text) {
  EXPECT_EQ(status.code(), code) << status;
  const auto detail = GetErrorDetail(status);
  ASSERT_TRUE(detail.has_value()) << status;
  EXPECT_EQ(detail->reason, reason);
  ASSERT_EQ(detail->violations.size(), 1u) << status;
  EXPECT_EQ(detail->violations[0].field, field);
  EXPECT_TRUE(absl::StrContains(status.message(), text)) << status;
}

void ExpectInvalid(const absl::Status& status, const std::string& field,
                   const std::string& text = "") {
  ExpectError(status, absl::StatusCode::kInvalidArgument, kReasonInvalidOptions,
              field, text);
}

void ExpectUnsupported(const absl::Status& status, const std::string& text) {
  ExpectError(status, absl::StatusCode::kFailedPrecondition,
              kReasonUnsupportedChatTemplate, "messages", text);
}

TEST(ChatTemplateTest, RunsTheFilesOwnTemplate) {
  // Reasoning models whose generation prompt opens the reasoning.
  EXPECT_EQ(
      Rendered(absl::StrCat(kChatMl, "<think>\n\n"), {{ChatRole::kUser, "Hi"}}),
      "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n");
  // A default system text of its own.
  const std::string own = absl::StrCat(
      "{% if messages[0].role != 'system' %}<|im_start|>system\nBox it."
      "<|im_end|>\n{% endif %}",
      kChatMl);
  EXPECT_EQ(Rendered(own, {{ChatRole::kUser, "Hi"}}),
            "<|im_start|>system\nBox it.<|im_end|>\n<|im_start|>user\nHi"
            "<|im_end|>\n<|im_start|>assistant");
  EXPECT_EQ(Rendered(own, {{ChatRole::kSystem, ""}, {ChatRole::kUser, "Hi"}}),
            "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant");
  // Turns are trimmed, of every white space; the system's text is not.
  const std::string trims =
      "{{ bos_token }}{% set lead = '' %}{% set turns = messages %}"
      "{% if messages[0].role == 'system' %}"
      "{% set lead = messages[0].content %}{% set turns = messages[1:] %}"
      "{% endif %}{% for m in turns %}[{{ lead if loop.first }}"
      "{{ m.content | trim }}]{% endfor %}";
  EXPECT_EQ(Rendered(trims, {{ChatRole::kSystem, " s\n"},
                             {ChatRole::kUser, "\u3000 u \n\u3000"}}),
            "<s>[ s\nu]");
}

TEST(ChatTemplateTest, MarksContentsAndOptions) {
  const auto parts =
      Make("{{ bos_token }}<a>{{ messages[0].content }}<b>{{ o }}")
          .Render(Request({{ChatRole::kUser, "<a></s>"}},
                          {{"o", std::string("<s>")}}));
  ASSERT_TRUE(parts.ok()) << parts.status();
  EXPECT_EQ(*parts, (std::vector<TextPart>{{"<s><a>", false},
                                           {"<a></s>", true},
                                           {"<b>", false},
                                           {"<s>", true}}));
}

TEST(ChatTemplateTest, GivesVariablesAsTransformersDoes) {
  const Messages user = {{ChatRole::kUser, "u"}};
  EXPECT_EQ(Rendered("{{ tools is none }} {{ documents is none }} "
                     "{{ add_generation_prompt }} {{ pad_token is defined }} "
                     "{{ eos_token }} {{ messages | length }}",
                     user),
            "True True True False </s> 1");
  EXPECT_EQ(Rendered("{{ b }} {{ i + 1 }} {{ d }} {{ t }}", user,
                     {{"b", false},
                      {"i", int64_t{41}},
                      {"d", 0.5},
                      {"t", std::string("x")}}),
            "False 42 0.5 x");
}

TEST(ChatTemplateTest, TellsTheDayThatWasAskedFor) {
  const Messages user = {{ChatRole::kUser, "u"}};
  const std::string source = "{{ strftime_now('%d %b %Y %A %j %H:%M') }}";
  EXPECT_EQ(Rendered(source, user), "28 Nov 2026 Saturday 332 00:00");
  const Options date = {{"date", std::string("2024-02-29")}};
  EXPECT_EQ(Rendered(source, user, date), "29 Feb 2024 Thursday 060 00:00");
  EXPECT_EQ(Rendered("{{ date is defined }}", user, date), "False");
  EXPECT_EQ(TemplateDate(Request(user)), "2026-11-28");
  EXPECT_EQ(TemplateDate(Request(user, date)), "2024-02-29");
  EXPECT_EQ(UtcDate(absl::FromUnixSeconds(951782399)), "2000-02-28");
  EXPECT_EQ(UtcDate(absl::FromUnixSeconds(951782400)), "2000-02-29");
}

TEST(ChatTemplateTest, AnOptionChoosesANamedTemplate) {
  const ChatTemplate chat = ChatTemplate::Parse(
      {{.name = "rag", .text = "R{{ template is defined }}"},
       {.name = "", .text = "D"},
       {.name = "broken", .text = "a\n{{ b | nothing }}"}},
      {});
  EXPECT_EQ(chat.names(),
            (std::vector<std::string>{"default", "rag", "broken"}));
  const auto render = [&chat](const Options& options) {
    return Text(chat.Render(Request({{ChatRole::kUser, "u"}}, options)));
  };
  EXPECT_EQ(render({}), "D");
  EXPECT_EQ(render({{"template", std::string("default")}}), "D");
  EXPECT_EQ(render({{"template", std::string("rag")}}), "RFalse");
  EXPECT_TRUE(chat.Check({}).ok());
  ExpectUnsupported(chat.Check(Options{{"template", std::string("broken")}}),
                    "line 2, column");
  ExpectInvalid(chat.Check(Options{{"template", std::string("x")}}),
                "template_options.template", "default, rag, broken");
  // Only named ones: one must be named.
  ExpectInvalid(
      ChatTemplate::Parse({{.name = "rag", .text = "R"}}, {}).Check({}),
      "template_options.template", "rag");
  // A name that can not be printed is not offered.
  EXPECT_TRUE(
      ChatTemplate::Parse({{.name = "a\nb", .text = "R"}}, {}).names().empty());
}

TEST(ChatTemplateTest, ATemplateThatCanNotRunIsItsError) {
  const Messages user = {{ChatRole::kUser, "u"}};
  ExpectUnsupported(ChatTemplate().Check({}), "has no chat template");
  ExpectUnsupported(ChatTemplate().Render(Request(user)).status(),
                    "send a prompt as text or token ids");
  for (const std::string& source :
       {std::string("a\n {{ b | nothing }}"), std::string("\n{% for %}"),
        std::string(10'000, '(').insert(0, "{{")}) {
    const ChatTemplate chat = Make(source);
    ExpectUnsupported(chat.Check({}), "can not be run: line ");
    ExpectUnsupported(chat.Render(Request(user)).status(), "line ");
    ExpectUnsupported(chat.RenderAfterReply(Request(user)).status(), "line ");
  }
  ExpectUnsupported(Make(std::string(10 << 20, '{')).Check({}), "bytes");
  // Found while it runs.
  ExpectUnsupported(Make("a\n{{ u.v.w }}").Render(Request(user)).status(),
                    "failed: line 2, column ");
  ExpectUnsupported(
      Make("{% for a in range(100000) %}{% for b in range(100000) %}"
           "{% endfor %}{% endfor %}")
          .Render(Request(user))
          .status(),
      "failed: line 1");
}

TEST(ChatTemplateTest, TheTemplateDecidesAboutRoles) {
  const std::string strict =
      "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == "
      "0) %}{{ raise_exception('Roles must alternate!') }}{% endif %}"
      "[{{ m.content }}]{% endfor %}";
  EXPECT_EQ(Rendered(strict, {{ChatRole::kUser, "a"}}), "[a]");
  const auto refused = Make(strict).Render(
      Request({{ChatRole::kUser, "a"}, {ChatRole::kUser, "b"}}));
  ExpectInvalid(refused.status(), "messages", "Roles must alternate!");
  EXPECT_EQ(Rendered(kChatMl, {{ChatRole::kUser, "a"}, {ChatRole::kUser, "b"}}),
            "<|im_start|>user\na<|im_end|>\n<|im_start|>user\nb<|im_end|>\n"
            "<|im_start|>assistant");
}

TEST(ChatTemplateTest, ChecksMessages) {
  EXPECT_TRUE(CheckChatMessages({{ChatRole::kUser, ""}}).ok());
  EXPECT_TRUE(CheckChatMessages({{ChatRole::kSystem, ""}}).ok());
  ExpectInvalid(CheckChatMessages({}), "messages");
  ExpectInvalid(CheckChatMessages(Messages(kChatMessagesMax + 1)), "messages");
  EXPECT_TRUE(CheckChatMessages(Messages(kChatMessagesMax)).ok());
  const Messages answered = {{ChatRole::kUser, "a"},
                             {ChatRole::kAssistant, "b"}};
  ExpectInvalid(CheckChatMessages(answered), "messages[1].role");
  ExpectInvalid(Make("a").Render(Request(answered)).status(),
                "messages[1].role");
  ExpectInvalid(Make("a").RenderAfterReply(Request({})).status(), "messages");
}

TEST(ChatTemplateTest, ChecksOptions) {
  const auto check = [](const std::string& name, const auto& value) {
    return CheckTemplateOptions(Options{{name, value}});
  };
  EXPECT_TRUE(check("enable_thinking", false).ok());
  EXPECT_TRUE(check("_a1", std::string(4000, 'x')).ok());
  for (const std::string name :
       {"messages", "tools", "add_generation_prompt", "bos_token", "pad_token",
        "raise_exception", "strftime_now", "range", "namespace", "loop", "True",
        "not"}) {
    ExpectInvalid(check(name, true), "template_options." + name);
  }
  for (const std::string& name :
       {std::string(), std::string("a b"), std::string("1a"),
        std::string("a\n"), std::string("\u00e9"), std::string(65, 'a')}) {
    ExpectInvalid(check(name, true), "template_options");
  }
  ExpectInvalid(check("a", std::numeric_limits<double>::infinity()),
                "template_options.a");
  ExpectInvalid(check("a", std::string(4096, 'x')), "template_options", "4096");
  for (const std::string date :
       {"", "2026-11-31", "2026-1-1", "20261128", "2026-11-28 ", "+026-11-28",
        "0000-01-01", "2023-02-29"}) {
    ExpectInvalid(check("date", date), "template_options.date");
  }
  ExpectInvalid(check("date", int64_t{20261128}), "template_options.date");
  ExpectInvalid(check("template", true), "template_options.template");
  EXPECT_TRUE(check("date", std::string("2024-02-29")).ok());
  Options many;
  for (size_t i = 0; i < kTemplateOptionsMax; ++i) {
    many.push_back({absl::StrCat("o", i), true});
  }
  EXPECT_TRUE(CheckTemplateOptions(many).ok());
  many.push_back({"one_more", true});
  ExpectInvalid(CheckTemplateOptions(many), "template_options", "32");
  ExpectInvalid(CheckTemplateOptions(Options{{"a", true}, {"a", false}}),
                "template_options.a", "twice");
  // Render checks them too.
  ExpectInvalid(Make("a")
                    .Render(Request({{ChatRole::kUser, "u"}}, {{"loop", true}}))
                    .status(),
                "template_options.loop");
}

TEST(ChatTemplateTest, GoesOnAfterAReply) {
  EXPECT_EQ(After(kChatMl, {{ChatRole::kUser, "u"}}),
            "<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant");
  // Options reach it, and the order of parts stays: contents that touch the
  // reply are told apart from it.
  EXPECT_EQ(After("{% for m in messages %}{{ m.content }}{% endfor %}{{ o }}",
                  {{ChatRole::kUser, "u"}}, {{"o", int64_t{7}}}),
            "u7");
  // Reasoning of earlier replies is taken away; what is left comes out.
  EXPECT_EQ(After("{% for m in messages %}<{{ m.content.split('</think>')[-1] "
                  "| trim }}>{% endfor %}",
                  {{ChatRole::kUser, "u"}}),
            "><u>");
  // The reply is found though a message has its words, whatever they are.
  const std::string words = After(kChatMl, {{ChatRole::kUser, "reply"}});
  EXPECT_TRUE(absl::StartsWith(words, "<|im_end|>\n<|im_start|>user\nreply"));
}

TEST(ChatTemplateTest, AddsASystemMessageWhereATemplateWantsOne) {
  EXPECT_EQ(After("{% if messages[0].role != 'system' %}{{ raise_exception('no "
                  "system') }}{% endif %}{% for m in messages %}"
                  "[{{ m.content }}]{% endfor %}",
                  {{ChatRole::kUser, "u"}}),
            "][u]");
  // Where that does not help, the error is that of the messages alone.
  const auto refused =
      Make("{{ raise_exception('first is ' + messages[0].role) }}")
          .RenderAfterReply(Request({{ChatRole::kUser, "u"}}));
  ExpectInvalid(refused.status(), "messages", "first is user");
}

TEST(ChatTemplateTest, RefusesLaterTurnsThatDependOnTheReply) {
  const Messages user = {{ChatRole::kUser, "u"}};
  const auto after = [&user](const std::string& source) {
    return Make(source).RenderAfterReply(Request(user)).status();
  };
  // Not there, there twice, and changed.
  ExpectUnsupported(after("{{ messages[-1].content }}"), "exactly once");
  ExpectUnsupported(after("{{ messages[1].content }}{{ messages[1].content }}"),
                    "exactly once");
  ExpectUnsupported(after("{{ messages[1].content | upper }}"), "exactly once");
  // What follows tells its length.
  ExpectUnsupported(
      after("{{ messages[1].content }}{{ messages[1].content | length }}"),
      "depends on the reply");
}

TEST(ChatTemplateTest, EarlierMessagesStayOutOfLaterTurns) {
  const Messages user = {{ChatRole::kUser, "u"}};
  // The first message again, at the end.
  ExpectUnsupported(Make(absl::StrCat(kChatMl, "{{ messages[0].content }}"))
                        .RenderAfterReply(Request(user))
                        .status(),
                    "writes an earlier message again");
  ExpectUnsupported(
      Make(absl::StrCat(kChatMl, "{{ messages[0].content | upper }}"))
          .RenderAfterReply(Request(user))
          .status(),
      "depends on the reply or on messages before it");
  // The system's text before the last question, as a family of models has it:
  // a session that began without one goes on.
  const std::string mistral =
      "{% if messages[0].role == 'system' %}{% set lead = messages[0].content "
      "%}"
      "{% set turns = messages[1:] %}{% else %}{% set turns = messages %}"
      "{% endif %}{% for m in turns %}{% if m.role == 'user' %}[INST] "
      "{% if loop.last and lead is defined %}{{ lead }}\n\n{% endif %}"
      "{{ m.content }}[/INST]{% else %} {{ m.content }}</s>{% endif %}"
      "{% endfor %}";
  EXPECT_EQ(After(mistral, user), "</s>[INST] u[/INST]");
  // Where it can not do without one, its text would be ours.
  ExpectUnsupported(
      Make(absl::StrCat("{% if messages[0].role != 'system' %}"
                        "{{ raise_exception('no system') }}{% endif %}",
                        mistral))
          .RenderAfterReply(Request(user))
          .status(),
      "writes an earlier message again");
}

TEST(ChatTemplateTest, TheTemplatesOfAFileAreBoundedTogether) {
  // Large trees, in a file that says it has many of them.
  std::string large;
  while (large.size() + 5 <= kChatTemplatesBytesMax / 5) large += "{{a}}";
  std::vector<ChatTemplate::Source> sources;
  for (int i = 0; i < 32; ++i) {
    sources.push_back({.name = absl::StrCat("t", i), .text = large});
  }
  const ChatTemplate chat = ChatTemplate::Parse(sources, {});
  EXPECT_EQ(chat.names().size(), 32);
  EXPECT_TRUE(chat.Check(Options{{"template", std::string("t4")}}).ok());
  ExpectUnsupported(chat.Check(Options{{"template", std::string("t5")}}),
                    "more than 524288 bytes together");
  // The default one comes first, wherever it stands.
  sources.push_back({.name = "", .text = "D"});
  EXPECT_EQ(Text(ChatTemplate::Parse(sources, {})
                     .Render(Request({{ChatRole::kUser, "u"}}))),
            "D");
}

TEST(ChatTemplateTest, ALaterSystemMessageIsTakenOrRefused) {
  const Messages messages = {{ChatRole::kSystem, "Be brief."},
                             {ChatRole::kUser, "u"}};
  EXPECT_EQ(After(kChatMl, messages),
            "<|im_end|>\n<|im_start|>system\nBe brief.<|im_end|>\n"
            "<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant");
  const std::string drops =
      "{% for m in messages %}{% if m.role != 'system' %}[{{ m.content }}]"
      "{% endif %}{% endfor %}";
  const auto refused = Make(drops).RenderAfterReply(Request(messages));
  ExpectInvalid(refused.status(), "messages[0]", "takes none there");
  // White space alone is no loss.
  EXPECT_EQ(After(drops, {{ChatRole::kSystem, " \n"}, {ChatRole::kUser, "u"}}),
            "][u]");
  // Its words need not come out as they are.
  EXPECT_EQ(After("{% for m in messages %}[{{ m.content | upper if m.role == "
                  "'system' else m.content }}]{% endfor %}",
                  messages),
            "][BE BRIEF.][u]");
  EXPECT_EQ(After("{% for m in messages %}[{{ m.content | length if m.role == "
                  "'system' else m.content }}]{% endfor %}",
                  messages),
            "][9][u]");
}

}  // namespace
}  // namespace tandem
