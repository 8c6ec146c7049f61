// How every program of tandem begins and ends.

#ifndef TANDEM_SERVICES_COMMON_PROCESS_EXIT_H_
#define TANDEM_SERVICES_COMMON_PROCESS_EXIT_H_

namespace tandem {

// First in every main. Opens those of the descriptors 0, 1 and 2 that are
// closed, so that no file, socket or lock gets the number of standard output or
// standard error and what is printed is written into it. Reading from and
// writing to them fails, as it did when they were closed. A write beyond the
// limit of file sizes (RLIMIT_FSIZE) fails as on a full disk, and does not end
// the process by SIGXFSZ.
void BeginProcess();

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
