#include "engine/template/template_program.h"

#include <gtest/gtest.h>
namespace tandem { namespace {
TEST(TemplateProgramTest, Renders) {
  auto program = TemplateProgram::Parse("{% for m in messages %}{{ m.role + ': ' + m.content|trim }}\n{% endfor %}");
  ASSERT_TRUE(program.ok()) << program.status();
  TemplateInput input;
  input.variables.emplace_back("messages", TemplateValue::List({TemplateValue::Map({{"role", TemplateValue::Text("user")},{"content", TemplateValue::Content("  hi ")}})}));
  auto parts = (*program)->Render(input);
  ASSERT_TRUE(parts.ok()) << parts.status();
  for (auto& part : *parts) std::cout << part.is_content << " [" << part.text << "]\n";
}
}}
