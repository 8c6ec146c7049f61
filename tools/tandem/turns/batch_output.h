// The output of a batch: a file of whole lines in the order of the input, which
// a later run goes on with. Owned by the command; one thread. Another process
// that has the file open as an output is refused.

#ifndef TANDEM_TOOLS_TANDEM_TURNS_BATCH_OUTPUT_H_
#define TANDEM_TOOLS_TANDEM_TURNS_BATCH_OUTPUT_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/base/descriptor.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/turns/batch_line.h"

namespace tandem::cli {

class BatchOutput {
 public:
  struct Setup {
    std::string path;
    std::string input_path;
    const BatchDefaults& defaults;
  };
  // Opens the file, or makes it; a last line without its end is cut off. Errors
  // (usage): no file that can be written, in use, or with lines that are not
  // the input's first ones under the same defaults.
  static absl::StatusOr<BatchOutput> Open(const Setup& setup);

  // Lines that it has, and those among them with an error.
  int64_t lines() const { return lines_; }
  int64_t failed() const { return failed_; }

  // Adds a line, whole: a process that is killed leaves at most a part of the
  // last one.
  absl::Status Add(const Json& line);
  // Waits until all lines are on the disk.
  absl::Status Sync();

 private:
  BatchOutput(std::string path, Descriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}

  // Counts the lines that are there, checks that they are of the input, and
  // cuts off what follows them.
  absl::Status TakeLines(const Setup& setup);

  std::string path_;
  Descriptor file_;
  int64_t lines_ = 0;
  int64_t failed_ = 0;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_TURNS_BATCH_OUTPUT_H_
