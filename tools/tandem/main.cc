#include <unistd.h>

#include <iostream>

#include "services/common/logging.h"
#include "services/common/process_exit.h"
#include "tools/tandem/command_line.h"

int main(int argc, char** argv) {
  tandem::BeginProcess();
  tandem::DropLogs();
  tandem::EndProcess(tandem::cli::RunCommandLine(
      argc, argv,
      {.in = &std::cin,
       .out = &std::cout,
       .err = &std::cerr,
       .err_is_terminal = isatty(STDERR_FILENO) == 1,
       .out_is_terminal = isatty(STDOUT_FILENO) == 1,
       .in_is_terminal = isatty(STDIN_FILENO) == 1}));
}
