#include "engine/template/chat/chat_template.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "tests/engine/template/chat/expect_error.h"

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

TEST(ChatTemplateTest, ChecksWhatIsAskedFor) {
  const Messages answered = {{ChatRole::kUser, "a"},
                             {ChatRole::kAssistant, "b"}};
  ExpectInvalid(Make("a").Render(Request(answered)).status(),
                "messages[1].role");
  ExpectInvalid(Make("a").RenderAfterReply(Request({})).status(), "messages");
  ExpectInvalid(Make("a")
                    .Render(Request({{ChatRole::kUser, "u"}}, {{"loop", true}}))
                    .status(),
                "template_options.loop");
  ChatRequest request = Request({{ChatRole::kUser, "u"}});
  request.tools = {{.name = "a b"}};
  ExpectInvalid(Make("a").Render(request).status(), "tools[0].name");
  request.tools = {{.name = "a", .parameters = "[]"}};
  ExpectInvalid(Make("a").Render(request).status(), "tools[0].parameters");
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

// A template in the shape of many: calls are JSON in tags, and "</s>" ends each
// message.
constexpr char kCalls[] =
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{% for c in m.tool_calls %}<call>{{ c.function.name }} "
    "{{ c.function.arguments | tojson }} {{ c.id }}</call>{% endfor %}</s>"
    "{% endfor %}[assistant]";

ChatTemplate MakeForTools(const std::string& source) {
  return ChatTemplate::Parse({{.name = "", .text = source}},
                             {{"eos_token", "</s>"}}, {"<end>", "</s>"});
}

ChatMessage Returned(const std::string& content, const std::string& id = "",
                     const std::string& name = "") {
  return {.role = ChatRole::kTool,
          .content = content,
          .tool_call_id = id,
          .name = name};
}

Messages Called() {
  return {{ChatRole::kUser, "u"},
          {.role = ChatRole::kAssistant,
           .tool_calls = {{.id = "1", .name = "f", .arguments = "{\"x\":7}"}}},
          Returned("r", "1")};
}

TEST(ChatTemplateToolsTest, TemplatesGetToolsAndCalls) {
  ChatRequest request = Request(Called());
  request.tools = {{.name = "f", .description = "d"}};
  EXPECT_EQ(Text(Make(kCalls).Render(request)),
            "[user]u</s>[assistant]<call>f {\"x\": 7} 1</call></s>[tool]r</s>"
            "[assistant]");
  EXPECT_EQ(Text(Make("{{ tools | length }}{{ tools[0].function.name }}"
                      "{{ messages[2].name }}{{ messages[2].tool_call_id }}")
                     .Render(request)),
            "1ff1");
}

// A template may want arguments as a text, and no content: it is tried.
TEST(ChatTemplateToolsTest, TheFormOfCallsIsTheTemplates) {
  const std::string text_alone =
      "{% for m in messages %}{% for c in m.tool_calls %}"
      "{{ '<' + c.function.arguments + '>' }}{% endfor %}{% endfor %}";
  EXPECT_EQ(Rendered(text_alone, Called()), "<{\"x\":7}>");
  const std::string none_alone =
      "{% for m in messages %}{% if m.content is none %}"
      "{% for c in m.tool_calls %}<{{ c.function.arguments | tojson }}>"
      "{% endfor %}{% else %}{{ m.content }}{% endif %}{% endfor %}";
  EXPECT_EQ(Rendered(none_alone, Called()), "u<{\"x\": 7}>r");
  // As Python writes a map is not as models write it.
  const std::string printed =
      "{% for m in messages %}{% for c in m.tool_calls %}"
      "{{ c.function.arguments }}{% endfor %}{% endfor %}";
  EXPECT_EQ(Rendered(printed, Called()), "{\"x\":7}");
  // What a tool's description says is no call.
  ChatRequest request = Request(Called());
  request.tools = {{.name = "f", .description = "tried \"tried\""}};
  EXPECT_EQ(
      Text(Make(absl::StrCat("{{ tools[0].function.description }}", text_alone))
               .Render(request)),
      "tried \"tried\"<{\"x\":7}>");
  // A template that writes no calls, and one that refuses them.
  EXPECT_EQ(Rendered("{{ messages[0].content }}", Called()), "u");
  const std::string refuses =
      "{% if messages[1].tool_calls is defined %}"
      "{{ raise_exception('No calls!') }}{% endif %}";
  ExpectInvalid(Make(refuses).Render(Request(Called())).status(), "messages",
                "No calls!");
  // A text beside calls would be lost, or the calls.
  Messages both = Called();
  both[1].content = "I look.";
  ExpectInvalid(Make(none_alone).Render(Request(both)).status(),
                "messages[1].content", "not both");
  EXPECT_EQ(Rendered(text_alone, both), "<{\"x\":7}>");
}

TEST(ChatTemplateToolsTest, WrongArgumentsAreNamedInLaterTurnsToo) {
  Messages messages = Called();
  messages[1].tool_calls[0].arguments = "{\"x\": }";
  for (const auto& rendered :
       {MakeForTools(kCalls).Render(Request(messages)),
        MakeForTools(kCalls).RenderAfterReply(Request(messages))}) {
    ExpectInvalid(rendered.status(), "messages[1].tool_calls[0].arguments",
                  "byte 7");
  }
}

TEST(ChatTemplateToolsTest, GoesOnAfterCalls) {
  const ChatTemplate chat = MakeForTools(kCalls);
  const auto after = [&chat](const Messages& messages) {
    return Text(chat.RenderAfterReply(Request(messages)));
  };
  EXPECT_EQ(after({Returned("r", "1", "f")}), "</s>[tool]r</s>[assistant]");
  EXPECT_EQ(after({Returned("r")}), "</s>[tool]r</s>[assistant]");
  EXPECT_EQ(
      after({Returned("r", "1"), Returned("", "2"), {ChatRole::kUser, "u"}}),
      "</s>[tool]r</s>[tool]</s>[user]u</s>[assistant]");
  // A reply without calls comes before other messages.
  EXPECT_EQ(after({{ChatRole::kUser, "u"}}), "</s>[user]u</s>[assistant]");
  // What stands after the arguments is the reply's, up to the first end.
  EXPECT_EQ(Text(MakeForTools("{% for m in messages %}{% for c in m.tool_calls "
                              "%}{{ c.function.arguments | tojson }}"
                              "{{ c.id }} {{ c.function.name }}<done><end>"
                              "{% endfor %}{{ m.content }}</s>{% endfor %}")
                     .RenderAfterReply(Request({Returned("r", "1", "f")}))),
            "<end></s>r</s>");
  // Arguments that are a text end with more than the word.
  EXPECT_EQ(Text(MakeForTools("{% for m in messages %}{% for c in m.tool_calls "
                              "%}{{ '' + c.function.arguments }}{% endfor %}"
                              "{{ m.content }}</s>{% endfor %}")
                     .RenderAfterReply(Request({Returned("r")}))),
            "</s>r</s>");
}

TEST(ChatTemplateToolsTest, RefusesLaterTurnsOfToolsThatDependOnTheCall) {
  const auto after = [](const std::string& source, const Messages& messages) {
    return MakeForTools(source).RenderAfterReply(Request(messages)).status();
  };
  // No end between the call and what the tool returned.
  ExpectUnsupported(
      after("{% for m in messages %}{% for c in m.tool_calls %}"
            "{{ c.function.arguments | tojson }}{% endfor %}{{ m.content }}"
            "{% endfor %}</s>",
            {Returned("r")}),
      "does not end a reply with calls");
  // Calls that are not written, and written twice.
  ExpectUnsupported(after("{% for m in messages %}{{ m.content }}</s>"
                          "{% endfor %}",
                          {Returned("r")}),
                    "exactly once");
  ExpectUnsupported(after(absl::StrCat(kCalls, kCalls), {Returned("r")}),
                    "exactly once");
  // The name or the id of the call, which the message does not have.
  const std::string names =
      absl::StrCat(kCalls,
                   "{% for m in messages %}{% for c in m.tool_calls %}"
                   "{{ c.function.name }}{% endfor %}{% endfor %}");
  ExpectInvalid(after(names, {Returned("r", "1", "f"), Returned("s", "2")}),
                "messages[1].name", "must be set");
  EXPECT_TRUE(after(names, {Returned("r", "", "f")}).ok());
  const std::string ids = absl::StrCat(
      kCalls,
      "{% for m in messages %}{% for c in m.tool_calls %}{{ c.id }}"
      "{% endfor %}{% endfor %}");
  ExpectInvalid(after(ids, {Returned("r", "", "f")}),
                "messages[0].tool_call_id", "must be set");
  EXPECT_TRUE(after(ids, {Returned("r", "1")}).ok());
  ExpectUnsupported(after(absl::StrCat(kCalls,
                                       "{{ messages[1].tool_calls[0].function."
                                       "arguments | length }}"),
                          {Returned("r", "1", "f")}),
                    "depends on the reply");
}

}  // namespace
}  // namespace tandem
