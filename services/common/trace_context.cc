#include "services/common/trace_context.h"

#include <openssl/rand.h>

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

constexpr size_t kTraceIdDigits = 32;
constexpr size_t kSpanIdDigits = 16;
constexpr size_t kVersionDigits = 2;
constexpr size_t kFlagsDigits = 2;
// "VV-" trace "-" span "-" flags.
constexpr size_t kTraceIdAt = kVersionDigits + 1;
constexpr size_t kSpanIdAt = kTraceIdAt + kTraceIdDigits + 1;
constexpr size_t kFlagsAt = kSpanIdAt + kSpanIdDigits + 1;
constexpr size_t kTraceparentBytes = kFlagsAt + kFlagsDigits;

bool IsHex(absl::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

bool IsAllZero(absl::string_view text) {
  return text.find_first_not_of('0') == absl::string_view::npos;
}

// Printable ASCII, as metadata can carry.
bool IsPrintable(absl::string_view text) {
  for (const char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

}  // namespace

bool TraceContext::sampled() const {
  // The lowest bit of the last digit.
  const char digit = flags.back();
  return ((digit <= '9' ? digit - '0' : digit - 'a' + 10) & 1) != 0;
}

std::optional<TraceContext> ParseTraceContext(absl::string_view traceparent,
                                              absl::string_view tracestate) {
  if (traceparent.size() < kTraceparentBytes) return std::nullopt;
  const absl::string_view version = traceparent.substr(0, kVersionDigits);
  if (!IsHex(version) || version == "ff") return std::nullopt;
  // Later versions may add fields behind another dash.
  if (traceparent.size() > kTraceparentBytes &&
      (version == "00" || traceparent[kTraceparentBytes] != '-')) {
    return std::nullopt;
  }
  for (const size_t dash : {kTraceIdAt - 1, kSpanIdAt - 1, kFlagsAt - 1}) {
    if (traceparent[dash] != '-') return std::nullopt;
  }
  TraceContext context{
      .trace_id = std::string(traceparent.substr(kTraceIdAt, kTraceIdDigits)),
      .span_id = std::string(traceparent.substr(kSpanIdAt, kSpanIdDigits)),
      .flags = std::string(traceparent.substr(kFlagsAt, kFlagsDigits)),
      .state = ""};
  if (!IsHex(context.trace_id) || IsAllZero(context.trace_id) ||
      !IsHex(context.span_id) || IsAllZero(context.span_id) ||
      !IsHex(context.flags)) {
    return std::nullopt;
  }
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

TraceContext DrawSpan(const TraceContext& parent) {
  TraceContext span = parent;
  std::array<unsigned char, kSpanIdDigits / 2> bytes;
  do {
    TANDEM_CHECK(RAND_bytes(bytes.data(), bytes.size()) == 1);
    span.span_id = absl::BytesToHexString(absl::string_view(
        reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  } while (IsAllZero(span.span_id));
  return span;
}

std::string ToTraceparent(const TraceContext& context) {
  return absl::StrCat("00-", context.trace_id, "-", context.span_id, "-",
                      context.flags);
}

}  // namespace tandem
