#include <iostream>

#include "tools/tandem/command_line.h"

int main(int argc, char** argv) {
  return tandem::cli::RunCommandLine(
      argc, argv, {.in = &std::cin, .out = &std::cout, .err = &std::cerr});
}
