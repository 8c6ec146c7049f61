// TANDEM_CHECK: stops the process on a bug of ours, in every build. Never for
// input from outside: that is answered with a Status (status.h).

#ifndef TANDEM_ENGINE_BASE_CHECK_H_
#define TANDEM_ENGINE_BASE_CHECK_H_

namespace tandem {

[[noreturn]] void CheckFailed(const char* file, int line, const char* what);

}  // namespace tandem

#define TANDEM_CHECK(condition)                              \
  do {                                                       \
    if (!(condition)) [[unlikely]] {                         \
      ::tandem::CheckFailed(__FILE__, __LINE__, #condition); \
    }                                                        \
  } while (false)

#endif  // TANDEM_ENGINE_BASE_CHECK_H_
