#include "services/common/trace_context.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace tandem {
namespace {

// "VV-" trace "-" span "-" flags, of version 00.
constexpr size_t kTraceparentBytes = 2 + 1 + 32 + 1 + 16 + 1 + 2;

// `digits` lower-case hexadecimal digits.
bool IsHex(absl::string_view text, size_t digits) {
  return text.size() == digits &&
         text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

// An id is hexadecimal and not zero.
bool IsId(absl::string_view text, size_t digits) {
  return IsHex(text, digits) &&
         text.find_first_not_of('0') != absl::string_view::npos;
}

// gRPC aborts a process that sends other bytes as metadata.
bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isprint);
}

}  // namespace

std::optional<TraceContext> ParseTraceContext(absl::string_view traceparent,
                                              absl::string_view tracestate) {
  if (traceparent.size() > kTraceparentBytesMax || !IsPrintable(traceparent)) {
    return std::nullopt;
  }
  const std::vector<absl::string_view> fields =
      absl::StrSplit(traceparent, '-');
  // Later versions may add fields.
  if (fields.size() < 4 || !IsHex(fields[0], 2) || fields[0] == "ff" ||
      !IsId(fields[1], 32) || !IsId(fields[2], 16) || !IsHex(fields[3], 2) ||
      (fields[0] == "00" && traceparent.size() != kTraceparentBytes)) {
    return std::nullopt;
  }
  TraceContext context{
      .parent = std::string(traceparent),
      .state = "",
      .trace_id = std::string(fields[1]),
      // The lowest bit of the flags.
      .sampled = absl::string_view("13579bdf").find(fields[3][1]) !=
                 absl::string_view::npos};
  if (tracestate.size() <= kTracestateBytesMax && IsPrintable(tracestate)) {
    context.state = std::string(tracestate);
  }
  return context;
}

std::optional<TraceContext> TraceContextOf(
    const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
  const auto value = [&metadata](const char* key) -> absl::string_view {
    const auto found = metadata.find(key);
    if (found == metadata.end()) return "";
    return {found->second.data(), found->second.size()};
  };
  return ParseTraceContext(value(kTraceparentKey), value(kTracestateKey));
}

}  // namespace tandem
