// How every program of tandem ends.

#ifndef TANDEM_SERVICES_COMMON_PROCESS_EXIT_H_
#define TANDEM_SERVICES_COMMON_PROCESS_EXIT_H_

namespace tandem {

// Writes out what standard output, standard error and the log hold, and ends
// the process with `code` at once: no exit handler and no destructor of a
// static object runs. gRPC's threads outlive main, and one that is still
// closing a TLS connection uses locks that OpenSSL's exit handler frees: one
// segmentation fault in 4,000 runs of `tandem health` under load. What needs
// an orderly end (servers, files) is ended before, by its owner in main. Where
// standard output can not be written, kExitOk becomes kExitFailed, with a line
// on standard error.
[[noreturn]] void EndProcess(int code);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_PROCESS_EXIT_H_
