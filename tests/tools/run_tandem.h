// Runs the command line inside the test's process.

#ifndef TANDEM_TESTS_TOOLS_RUN_TANDEM_H_
#define TANDEM_TESTS_TOOLS_RUN_TANDEM_H_

#include <sstream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tools/tandem/command_line.h"

namespace tandem::cli {

struct RunResult {
  int code = 0;
  std::string out;
  std::string err;
};

enum class StandardError { kFile, kTerminal };

// `tandem ARGUMENTS` with `input` on standard input.
inline RunResult RunTandem(
    const std::vector<std::string>& arguments, const std::string& input = "",
    StandardError standard_error = StandardError::kFile) {
  std::vector<const char*> argv = {"tandem"};
  for (const std::string& argument : arguments) {
    argv.push_back(argument.c_str());
  }
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  const int code = RunCommandLine(
      static_cast<int>(argv.size()), argv.data(),
      {.in = &in,
       .out = &out,
       .err = &err,
       .err_is_terminal = standard_error == StandardError::kTerminal});
  return {.code = code, .out = out.str(), .err = err.str()};
}

}  // namespace tandem::cli

#endif  // TANDEM_TESTS_TOOLS_RUN_TANDEM_H_
