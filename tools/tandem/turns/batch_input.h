// The lines of a batch's input. Owned by whoever reads it; one thread.

#ifndef TANDEM_TOOLS_TANDEM_TURNS_BATCH_INPUT_H_
#define TANDEM_TOOLS_TANDEM_TURNS_BATCH_INPUT_H_

#include <cstdint>
#include <fstream>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace tandem::cli {

class BatchInput {
 public:
  // A usage error where `path` is no file that can be read.
  static absl::StatusOr<BatchInput> Open(const std::string& path);

  // The next line without its end, which the last one may lack; false at the
  // end of the file.
  bool Next(std::string* line);
  // Lines that Next has given.
  int64_t lines() const { return lines_; }

 private:
  explicit BatchInput(std::ifstream file) : file_(std::move(file)) {}

  std::ifstream file_;
  int64_t lines_ = 0;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_TURNS_BATCH_INPUT_H_
