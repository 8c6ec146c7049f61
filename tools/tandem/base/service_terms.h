// The service's errors in the words of the command line: fields of requests
// become flags, calls become commands. By the reason and the fields that an
// error carries, never by its text. Pure functions; any thread.

#ifndef TANDEM_TOOLS_TANDEM_BASE_SERVICE_TERMS_H_
#define TANDEM_TOOLS_TANDEM_BASE_SERVICE_TERMS_H_

#include <string>

#include "absl/status/status.h"

namespace tandem::cli {

// What the request that failed was, as the user gave it.
struct RequestTerms {
  std::string model_flag = "--model";  // the command's flag for model_id
  std::string model_id = {};           // "": not given
  std::string session_id = {};         // "": a new session
};

// `error` with a message that names flags and commands; code and detail are
// kept. One without an ErrorDetail stays as it is.
absl::Status InFlagTerms(const absl::Status& error, const RequestTerms& terms);

// The error of a model that the coordinator does not have.
absl::Status NotServed(const RequestTerms& terms);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_SERVICE_TERMS_H_
