#include "engine/template/template_program.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "engine/template/statement_parser.h"
#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TemplateVariables Messages(absl::string_view content) {
  return {{"messages", TemplateValue::List({TemplateValue::Map(
                           {{"role", TemplateValue::Text("user")},
                            {"content", TemplateValue::Content(content)}})})}};
}

TEST(TemplateProgramTest, MarksFollowTheContent) {
  const TemplateVariables messages = Messages(" <s>x\n");
  const char* const kFor = "{% for m in messages %}";
  const auto rendered = [&](absl::string_view expression) {
    return Rendered(absl::StrCat(kFor, "{{ ", expression, " }}{% endfor %}"),
                    messages);
  };
  EXPECT_EQ(rendered("'<s>' + m.content|trim + '</s>'"), "<s>«<s>x»</s>");
  EXPECT_EQ(rendered("'a' ~ m['content'].strip() ~ 'b'"), "a«<s>x»b");
  EXPECT_EQ(rendered("m.content.replace('s', 'T')"), "« <»T«>x\n»");
  EXPECT_EQ(rendered("m.content.split('<')[1]|upper"), "«S>X\n»");
  EXPECT_EQ(rendered("[m.content|trim, 'y']|join('-')"), "«<s>x»-y");
  EXPECT_EQ(rendered("m.content|tojson"), "\"« <s>x\\n»\"");
  EXPECT_EQ(rendered("[m.content]"), "['« <s>x\\n»']");
  EXPECT_EQ(rendered("'%s!' % m.content|trim"), "«<s>x»!");
  EXPECT_EQ(rendered("'{}!'.format(m.content)"), "« <s>x\n»!");
  EXPECT_EQ(rendered("m.content[1:4][::-1]"), "«>s<»");
  EXPECT_EQ(rendered("m.content == ' <s>x\\n'"), "True");
  EXPECT_EQ(rendered("m.content|trim|indent(2, true)"), "  «<s>x»");
  EXPECT_EQ(rendered("(m.content|list)[1]"), "«<»");
  EXPECT_EQ(Rendered("{% set x %}a{{ messages[0].content|trim }}{% endset %}"
                     "{% macro f(y) %}[{{ y }}]{% endmacro %}{{ f(x) }}",
                     messages),
            "[a«<s>x»]");
}

TEST(TemplateProgramTest, ErrorsHaveTheirPlace) {
  EXPECT_EQ(Rendered("a\n {{ 'x' + none }}"),
            "line 2, column 9: a text + none is not possible");
  EXPECT_EQ(Rendered("{{ x.y }}"), "line 1, column 5: 'x' is undefined");
  EXPECT_EQ(Rendered("\n{{ 1|trimm }}"),
            "line 2, column 6: there is no filter 'trimm'; the nearest is "
            "'trim'");
  EXPECT_EQ(Rendered("{{ raise_exception('not so') }}"),
            "line 1, column 19: raise_exception(): the chat template refuses "
            "this: not so");
  const auto program = TemplateProgram::Parse("{{ raise_exception('x') }}");
  ASSERT_TRUE(program.ok());
  EXPECT_EQ((*program)->Render({}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TemplateProgram::Parse("{{").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

// Each asks for more than there is, and is refused at once.
TEST(TemplateProgramTest, HostileTemplatesEnd) {
  const absl::string_view loop = "{% for i in range(99999) %}";
  const std::vector<std::string> templates = {
      "{% for i in range(10**9) %}{% endfor %}",
      absl::StrCat(loop, loop, loop, "{% endfor %}{% endfor %}{% endfor %}"),
      "{{ 'x' * 10**9 }}",
      "{{ [1] * 10**9 }}",
      "{{ 'x'.center(10**9) }}",
      "{{ 'x'|center(10**9) }}",
      "{{ 'x'.ljust(10**15) }}",
      "{{ '%1000000000d' % 1 }}",
      "{{ '{:999999999}'.format(1) }}",
      "{{ '%.2000f' % 1 }}",
      "{{ 'x'|indent(10**9) }}",
      "{{ [[1]]|tojson(indent=10**9) }}",
      "{{ 10**30 }}",
      "{{ 9223372036854775807 + 1 }}",
      "{{ -9223372036854775807 - 2 }}",
      "{{ 1|batch(10**12) }}",
      "{{ [1]|batch(10**12, 0)|list }}",
      "{{ [1]|slice(10**12)|list }}",
      absl::StrCat("{% set s = namespace(x='ab') %}", loop,
                   "{% set s.x = s.x + s.x %}{% endfor %}"),
      absl::StrCat("{% set s = namespace(x=[1]) %}", loop,
                   "{% set s.x = [s.x, s.x] %}{% endfor %}"),
      absl::StrCat("{% set s = namespace(x='ab') %}", loop,
                   "{% set s.x = s.x.replace('', s.x) %}{% endfor %}"),
      "{% set s = namespace(x=[]) %}{% for i in range(90) %}"
      "{% set s.x = [s.x, s.x] %}{% endfor %}{{ s.x == s.x + [] }}{{ s.x }}",
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% macro f(x) %}{{ f(x ~ x) }}{% endmacro %}{{ f('x') }}",
      absl::StrCat(loop, "{{ 'x' * 10000 }}{% endfor %}"),
      "{% set s = namespace() %}{% set s.x = [s] %}{{ s }}",
      "{% set x = 'a' * 9999999 %}{{ x.rfind('a' * 999999 ~ 'b') }}",
      "{{ strftime_now('%' * 2000) }}",
  };
  for (const std::string& source : templates) {
    EXPECT_TRUE(absl::StartsWith(Rendered(source), "line 1, column "))
        << source << ": " << Rendered(source).substr(0, 200);
  }
}

TEST(TemplateProgramTest, DeepNestingEnds) {
  const auto repeated = [](absl::string_view text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) absl::StrAppend(&all, text);
    return all;
  };
  constexpr int kCount = 10'000;
  const std::vector<std::pair<absl::string_view, absl::string_view>> kKinds = {
      {"", "("},   {"1", ")"},  {"", "["},    {"", "{1:"},
      {"1", "+1"}, {"x", ".y"}, {"x", "[0]"}, {"1", "|abs"},
      {"f", "()"}, {"", "f("},  {"1", "**1"}, {"1", " if 1 else 1"},
      {"1", "-1"},
  };
  for (const auto& [begin, text] : kKinds) {
    EXPECT_TRUE(absl::StartsWith(
        Rendered(absl::StrCat("{{ ", begin, repeated(text, kCount), " }}")),
        "line 1, column "))
        << begin << text;
  }
  for (const absl::string_view text : {"not ", "-"}) {
    const std::string rendered =
        Rendered(absl::StrCat("{{ ", repeated(text, kCount), "1 }}"));
    EXPECT_TRUE(absl::StrContains(rendered, "nested more than 100 levels"))
        << rendered;
  }
  EXPECT_TRUE(absl::StrContains(Rendered(repeated("{% if 1 %}", kCount)),
                                "nested more than"));
  EXPECT_TRUE(absl::StrContains(
      Rendered(absl::StrCat("{% for ", repeated("(", kCount), "x",
                            repeated(")", kCount), " in y %}")),
      "nested more than"));
  EXPECT_TRUE(
      absl::StrContains(Rendered(absl::StrCat("{{ ", repeated("(", kCount), "1",
                                              repeated(")", kCount), " }}")),
                        "nested more than 100 levels"));
}

TEST(TemplateProgramTest, SourcesAndValuesAreBounded) {
  EXPECT_TRUE(
      absl::StrContains(Rendered(std::string(kTemplateSourceBytesMax + 1, 'x')),
                        "at most 131072 can be run"));
  EXPECT_EQ(Rendered("a\xFF"), "line 1, column 2: the template is not UTF-8");
  TemplateValue deep = TemplateValue::List({});
  for (int i = 0; i < 200; ++i) deep = TemplateValue::List({deep});
  EXPECT_EQ(Rendered("x", {{"deep", deep}}),
            "the value of 'deep' is nested more than 100 levels deep");
}

// Memory of this process at its height, from now on.
class PeakMemory {
 public:
  PeakMemory() {
    std::FILE* const file = std::fopen("/proc/self/clear_refs", "w");
    if (file == nullptr) return;
    std::fputs("5", file);
    std::fclose(file);
    start_ = Status("VmRSS:");
  }
  int64_t MiB() const { return (Status("VmHWM:") - start_) >> 10; }

 private:
  static int64_t Status(absl::string_view name) {
    std::ifstream status("/proc/self/status");
    std::string word;
    while (status >> word) {
      int64_t kib = 0;
      if (word == name && status >> kib) return kib;
    }
    return 0;
  }

  int64_t start_ = 0;
};

// With the limits in use, on a slow machine; what is measured stands in the
// README. Sanitizers take both for themselves.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr double kSecondsMax = 60;
constexpr int64_t kPeakMiBMax = 4096;
#else
constexpr double kSecondsMax = 6;
constexpr int64_t kPeakMiBMax = 320;
#endif

// `body` until the steps end.
std::string Loop(absl::string_view before, absl::string_view body) {
  return absl::StrCat(before,
                      "{% for j in range(99) %}{% for i in range(99999) %}",
                      body, "{% endfor %}{% endfor %}");
}

void ExpectBounded(const std::vector<std::string>& templates) {
  for (const std::string& source : templates) {
    const PeakMemory peak;
    const std::clock_t start = std::clock();
    const std::string rendered =
        Rendered(source, {{"c", TemplateValue::Content("c")}});
    const double seconds =
        static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    const std::string what =
        absl::StrCat(source.substr(0, 150), ": ", seconds, " s, ", peak.MiB(),
                     " MiB: ", rendered.substr(0, 100));
    EXPECT_TRUE(absl::StartsWith(rendered, "line 1, column ")) << what;
    EXPECT_LT(seconds, kSecondsMax) << what;
    EXPECT_LT(peak.MiB(), kPeakMiBMax) << what;
  }
}

// Each takes as much memory as can be had.
TEST(TemplateProgramTest, HostileTemplatesEndInMemory) {
  ExpectBounded({
      // Namespaces in namespaces, and map in map.
      "{% set s = namespace(n=none) %}{% for i in range(12000) %}"
      "{% set s.n = namespace(n=s.n) %}{% endfor %}{{ s }}",
      "{{ 'a'|map(*(['map'] * 30000 + ['upper']))|list }}",
      // Tuples that share tuples.
      "{% set s = namespace(x=()) %}{% for i in range(90) %}"
      "{% set s.x = (s.x, s.x) %}{% endfor %}{{ {s.x: 1}.x.y }}",
      Loop("{% set s = namespace(x=()) %}{% for i in range(90) %}"
           "{% set s.x = (s.x, s.x) %}{% endfor %}",
           "{% set _ = {s.x: 1} %}"),
      // Texts that grow by escapes.
      "{% set t = '\\x01' * 60000000 %}{{ t|tojson|length }}",
      "{% set t = '\\x01' * 60000000 %}{{ [t]|string|length }}",
      "{% set t = 'ŉ' * 30000000 %}{{ t|upper|length }}",
      // Marks take memory, too.
      "{% set t = (c ~ '-') * 1000000 %}{% set u = t * 60 %}",
      "{% set t = (c ~ '-') * 1000000 %}{{ t + t + t + t + t }}",
      "{% set t = (c ~ '-') * 1000000 %}{{ t }}",
      Loop("", "{{ c }}-{{ c }}-{{ c }}-{{ c }}-"),
      "{% set t = (c ~ '-') * 100 %}{{ ('x' * 100000).replace('x', t) }}",
      "{% set t = (c ~ '-') * 100000 %}{{ ([t] * 50)|join(t) }}",
      "{% set t = (c ~ '-') * 100000 %}{{ ('a\\n' * 1000)|indent(t) }}",
      "{% set t = (c ~ '-') * 1000000 %}{{ t|upper|tojson|upper|length + t }}",
      Loop("{% set t = (c ~ '-') * 100000 %}", "{% set _ = t|upper %}"),
      Loop("{% set t = (c ~ '-') * 100000 %}", "{% set _ = t|tojson %}"),
      Loop("{% set t = (c ~ '-') * 100000 %}", "{% set _ = t[::-1] %}"),
      Loop("{% set t = (c ~ '-') * 100000 %}", "{% set _ = t|list %}"),
      Loop("{% set t = (c ~ '-') * 100000 %}", "{% set _ = t.split('-') %}"),
      Loop("{% set t = (c ~ '-') * 100000 %}",
           "{% set _ = t.replace('-', c) %}"),
      Loop("{% set t = (c ~ '-') * 1000000 %}", "{% set _ = t ~ t %}"),
  });
}

// Each makes as much work as can be had for its steps.
TEST(TemplateProgramTest, HostileTemplatesEndInTime) {
  std::string many_variables;
  for (int i = 0; i < 8000; ++i) {
    absl::StrAppend(&many_variables, "{%set a", i, "=1%}");
  }
  ExpectBounded({
      // Long texts that are hashed, copied, compared.
      Loop("{% set k = 'x' * 10000000 %}", "{% set _ = {k: 1} %}"),
      Loop("{% set k = 'x' * 10000000 %}{% set m = {k: 1} %}",
           "{% set _ = m[k] %}"),
      Loop("{% set k = 'x' * 10000000 %}{% set l = k ~ '' %}",
           "{% set _ = k is sameas l %}"),
      Loop("{% set k = 'x' * 10000000 %}{% set l = 'y' ~ k[1:] %}",
           "{% set _ = k.removesuffix(l) %}"),
      Loop("{% set k = 'x' * 10000000 %}", "{% set _ = dict(**{k: 1}) %}"),
      Loop("{% set k = 'x' * 10000000 %}",
           "{% set _ = [1]|map(attribute=k)|list %}"),
      "{% set k = 'x' * 1000000 %}"
      "{{ ([{}] * 100000)|map(attribute=k)|list|length }}",
      Loop("{% set t = ('a',) * 1000000 %}", "{% set _ = 'a'.startswith(t) %}"),
      // Work of one character, number or name.
      Loop("{% set t = ' ' * 1000000 %}", "{% set _ = t.strip() %}"),
      Loop("{% set t = ' ' * 1000000 %}", "{% set _ = t.split() %}"),
      Loop("{% set t = 'ß' * 100000 %}", "{% set _ = t|upper %}"),
      Loop("{% set t = 'ß' * 100000 %}", "{% set _ = t|tojson %}"),
      Loop("{% set t = 'ß' * 100000 %}", "{% set _ = t.isalpha() %}"),
      Loop("", "{% set _ = '%.1100f' % 1e308 %}"),
      Loop("", "{% set _ = 1e300|round(308) %}"),
      Loop("{% set f = '%c' * 500 %}", "{% set _ = strftime_now(f) %}"),
      Loop("", many_variables),
      "{% set m = dict(range(100000)|map('string')|batch(2), z=1) %}"
      "{{ ('{z}' * 100000).format(**m) }}",
      Loop("{% macro f(a, b) %}{% endmacro %}", "{{ f(i, b=i) }}"),
      Loop("", "{% set _ = (i ~ '')|int + [i, i]|length %}"),
  });
}

// The largest tree that a source can make.
TEST(TemplateProgramTest, AParsedSourceIsBounded) {
  std::string source;
  while (source.size() + 5 <= kTemplateSourceBytesMax) source += "{{a}}";
  const PeakMemory peak;
  const auto program = TemplateProgram::Parse(source);
  EXPECT_TRUE(program.ok()) << program.status();
  EXPECT_LT(peak.MiB(), kPeakMiBMax / 8);
}

TEST(TemplateProgramTest, LimitsAreTheCallers) {
  EXPECT_EQ(Rendered("{{ 'abcdef' }}", {}, {.output_bytes_max = 5}),
            "line 1, column 1: the template makes a text of more than 5 bytes");
  EXPECT_EQ(
      Rendered("{% for i in range(9) %}{% endfor %}", {}, {.steps_max = 5}),
      "line 1, column 18: range(): the template takes more than 5 steps");
}

}  // namespace
}  // namespace tandem
