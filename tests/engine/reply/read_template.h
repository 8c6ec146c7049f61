// Chat templates of the test data.

#ifndef TANDEM_TESTS_ENGINE_REPLY_READ_TEMPLATE_H_
#define TANDEM_TESTS_ENGINE_REPLY_READ_TEMPLATE_H_

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace tandem {

// `source_dir`: TANDEM_SOURCE_DIR.
inline std::string ReadTemplate(const std::string& source_dir,
                                const std::string& name) {
  std::ifstream file(source_dir + "/tests/data/templates/" + name);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_REPLY_READ_TEMPLATE_H_
