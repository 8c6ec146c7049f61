// tandem perplexity: how well a model predicts a text, in windows that slide
// over it.

#ifndef TANDEM_TOOLS_TANDEM_SCORE_PERPLEXITY_H_
#define TANDEM_TOOLS_TANDEM_SCORE_PERPLEXITY_H_

#include <cstdint>
#include <vector>

#include "CLI/App.hpp"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

// Tokens [begin, end) of a text, of which those from score_from on are scored.
struct ScoreWindow {
  int64_t begin = 0;
  int64_t score_from = 0;
  int64_t end = 0;

  bool operator==(const ScoreWindow&) const = default;
};

struct WindowOptions {
  int64_t context = 0;  // tokens of a window, at least 2
  int64_t stride = 0;   // from window to window, 1 .. context - 1
};

// Windows that score each of `tokens` tokens but the first once. All of the
// first window but its first token are scored; a later one scores its last
// `stride`, which have at least context - stride tokens before them.
std::vector<ScoreWindow> PlanWindows(int64_t tokens,
                                     const WindowOptions& options);

// Adds itself to `app`; `line` outlives it.
void AddPerplexityCommand(CLI::App* app, CommandLine* line);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_SCORE_PERPLEXITY_H_
