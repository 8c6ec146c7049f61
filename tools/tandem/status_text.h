// What `tandem status` prints of a coordinator's answer: the object of --json,
// and lines for people. Pure functions; any thread.

#ifndef TANDEM_TOOLS_TANDEM_STATUS_TEXT_H_
#define TANDEM_TOOLS_TANDEM_STATUS_TEXT_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tandem/v1/coordinator_admin.pb.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/terminal.h"

namespace tandem::cli {

// The fields of GetStatusResponse and acceptance_rate; enums in lower case,
// without their prefix.
Json StatusJson(const v1::GetStatusResponse& status);

// What lies between two answers.
struct StatusChange {
  absl::Duration time = absl::ZeroDuration();  // 0: there is one answer alone
  int64_t generated_tokens = 0;
  int64_t drafted_tokens = 0;
  int64_t accepted_tokens = 0;
};
// Zero where the coordinator has started anew in between.
StatusChange ChangeOf(const v1::GetStatusResponse& before,
                      const v1::GetStatusResponse& now, absl::Duration time);

// The coordinator's lines, then one for each worker that does not serve, then a
// table of the targets and one of the drafters, or where that is wider than
// `columns`, some lines for each worker. No line is wider than `columns`, but
// for one word.
std::vector<std::string> StatusLines(const v1::GetStatusResponse& status,
                                     const StatusChange& change, int columns);

// One line, broken between words into lines of at most `columns`; all but the
// first begin with two spaces.
std::vector<std::string> WrapLine(const std::string& line, int columns);

// What puts `lines` on a terminal of this size, from its upper left corner, in
// place of what stands there. Lines are cut to `columns`, which is less than
// the terminal's: what erases the rest of a full line takes its last character
// too. Where not all fit, the last one says how many do not.
std::string ScreenOf(const std::vector<std::string>& lines,
                     const ScreenSize& size);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_STATUS_TEXT_H_
