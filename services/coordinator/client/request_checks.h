// What each field of a request is checked for, before any worker sees it. Pure
// functions; any thread.
//
// Errors name fields by their path in the request, e.g.
// "turn.options.temperature".

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_REQUEST_CHECKS_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_REQUEST_CHECKS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/sampling/gen_options.h"
#include "engine/session/turn.h"
#include "engine/tokenizer/response_grammar.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/turn_runner.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

inline constexpr int64_t kTimeoutMsMax = 86400000;
// A client that has lost its connection is back within seconds; one whose
// machine restarts, within minutes. Longer a turn would compute for nobody.
inline constexpr int64_t kGoOnMsDefault = 30000;
inline constexpr int64_t kGoOnMsMax = 600000;

// `status` with `prefix` before each of its fields; a quota's violations name
// none.
absl::Status PrefixFields(const absl::Status& status, absl::string_view prefix);

// How long a turn may take; nothing where `timeout_ms` is 0. INVALID_OPTIONS
// for what is negative or over kTimeoutMsMax.
absl::StatusOr<std::optional<MonotonicDuration>> ParseTimeout(
    int64_t timeout_ms);

// How long `turn` goes on without its client; 0: it waits. INVALID_OPTIONS for
// a value that OnDisconnect does not have, and for go_on_ms that is out of
// range or says nothing.
absl::StatusOr<MonotonicDuration> ParseGoOn(const v1::TurnRequest& turn);

// The options with a seed, or INVALID_OPTIONS with "options.*" fields.
absl::StatusOr<GenOptions> ParseOptions(const v1::GenerationOptions& options,
                                        int vocab_size);

// As CompileResponseFormat, with "options.*" fields.
absl::StatusOr<std::shared_ptr<const TokenMasks>> CompileOptions(
    const GenOptions& options, const Tokenizer& tokenizer);

// What compiling costs a helper thread, in bytes of text that take as long; 0
// without a format.
int64_t CompileBytes(const GenOptions& options);

// OK, or INVALID_OPTIONS where a client can not have as much of `turn` as
// `resume` says.
absl::Status CheckResume(const v1::ResumeRequest& resume, const Turn& turn);
// The same of a turn that another process may have driven before: nothing while
// that can not be known, since it has not made again what the client may have.
std::optional<absl::Status> CheckResumeOf(const v1::ResumeRequest& resume,
                                          const TurnRunner& runner);

// OK, or INVALID_TOKEN that names the first id that is out of range, as
// "FIELD[index]".
absl::Status CheckTokenIds(absl::Span<const int32_t> ids, int vocab_size,
                           const std::string& field);

// The error of a message that does not parse: protobuf refuses texts that are
// not UTF-8 and does not say so.
absl::Status MalformedMessage();

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_REQUEST_CHECKS_H_
