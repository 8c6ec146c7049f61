// Chat templates of the test data.

#ifndef TANDEM_TESTS_ENGINE_REPLY_READ_TEMPLATE_H_
#define TANDEM_TESTS_ENGINE_REPLY_READ_TEMPLATE_H_

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace tandem {

inline std::string ReadTemplate(const std::string& name) {
  std::ifstream file(TANDEM_SOURCE_DIR "/tests/data/templates/" + name);
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_REPLY_READ_TEMPLATE_H_
