// The W3C trace context of a request: taken from the caller's metadata, passed
// on to workers as it came, named in logs and errors. tandem records no spans
// of its own. Pure functions; any thread.
//
// Format: https://www.w3.org/TR/trace-context/ (traceparent, tracestate).

#ifndef TANDEM_SERVICES_COMMON_TRACE_CONTEXT_H_
#define TANDEM_SERVICES_COMMON_TRACE_CONTEXT_H_

#include <grpcpp/support/string_ref.h>

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace tandem {

// Metadata keys.
inline constexpr char kTraceparentKey[] = "traceparent";
inline constexpr char kTracestateKey[] = "tracestate";
// A longer traceparent or tracestate is not passed on.
inline constexpr size_t kTraceparentBytesMax = 256;
inline constexpr size_t kTracestateBytesMax = 512;

struct TraceContext {
  std::string parent;    // traceparent, as it came
  std::string state;     // tracestate, as it came; may be empty
  std::string trace_id;  // of parent: 32 lower-case hexadecimal digits
  bool sampled = false;  // the caller records this trace
};

// Nothing where `traceparent` is not valid: the request is served without.
std::optional<TraceContext> ParseTraceContext(absl::string_view traceparent,
                                              absl::string_view tracestate);

// The same of a call's metadata; nothing where it has no traceparent.
std::optional<TraceContext> TraceContextOf(
    const std::multimap<grpc::string_ref, grpc::string_ref>& metadata);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_TRACE_CONTEXT_H_
