// Sets the wall clock of the test's process, as an operator or NTP sets the
// machine's. The program's own clock_gettime and gettimeofday come before the C
// library's for all code of the process.

#ifndef TANDEM_TESTS_ENGINE_BASE_WALL_CLOCK_H_
#define TANDEM_TESTS_ENGINE_BASE_WALL_CLOCK_H_

#include "absl/time/time.h"

namespace tandem {

// While it stands, the wall clock is `by` ahead. One at a time; any thread may
// read the clock meanwhile.
class SetWallClock {
 public:
  explicit SetWallClock(absl::Duration by);
  ~SetWallClock();

  SetWallClock(const SetWallClock&) = delete;
  SetWallClock& operator=(const SetWallClock&) = delete;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_BASE_WALL_CLOCK_H_
