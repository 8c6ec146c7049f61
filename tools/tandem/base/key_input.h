// The API key that a command shows: read from a file or from standard input,
// never an argument or a variable of the environment, which other users and
// programs can see.

#ifndef TANDEM_TOOLS_TANDEM_BASE_KEY_INPUT_H_
#define TANDEM_TOOLS_TANDEM_BASE_KEY_INPUT_H_

#include <istream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

// The key: connection.key where it is read already, else that in the file of
// --key-file, or the next line of connection.input for "-". Empty without
// --key-file. Usage errors: the file can not be read, everybody may read it, or
// it holds no key.
absl::StatusOr<std::string> ReadKey(const ConnectionFlags& connection);

// Whether a key may go to `address`: by TLS, or where nobody else on the
// network can read along. A usage error where not; `flag` gave the address.
absl::Status CheckKeyMayGoTo(absl::string_view flag, absl::string_view address,
                             const ConnectionFlags& connection);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_KEY_INPUT_H_
