#include "engine/grammar/json/string_formats.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

// A day that is there, in the years 0001 to 9999.
std::string Date() {
  const std::string leap = "(?:0[48]|[2468][048]|[13579][26])";
  const std::string year =
      "(?:000[1-9]|00[1-9]\\d|0[1-9]\\d\\d|[1-9]\\d\\d\\d)";
  const std::string leap_year = absl::StrCat(
      "(?:\\d\\d", leap, "|(?:", leap.substr(3, leap.size() - 4), ")00)");
  return absl::StrCat(
      "(?:", year,
      "-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|"
      "[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|",
      leap_year, "-02-29)");
}

std::string Time() {
  return "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?"
         "(?:Z|[+\\-](?:[01]\\d|2[0-3]):[0-5]\\d)";
}

std::string Ipv4() {
  const std::string byte = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
  return absl::StrCat(byte, "(?:\\.", byte, "){3}");
}

// RFC 4291, section 2.2, without the form that ends as IPv4.
std::string Ipv6() {
  const std::string group = "[0-9A-Fa-f]{1,4}";
  std::string any = absl::StrCat("(?:", group, ":){7}", group, "|::|(?:", group,
                                 ":){1,7}:|::", group, "(?::", group, "){0,6}");
  for (int before = 1; before <= 6; ++before) {
    absl::StrAppend(&any, "|(?:", group, ":){", before, "}(?::", group, "){1,",
                    7 - before, "}");
  }
  return absl::StrCat("(?:", any, ")");
}

// Without hyphens in the third and fourth place together, which begin other
// scripts' names in Punycode (RFC 5891, section 4.2.3.1): few of these are
// valid.
std::string Label() {
  const std::string ends = "[A-Za-z0-9]";
  const std::string inner = "[A-Za-z0-9\\-]";
  return absl::StrCat(ends, "(?:", inner, "{0,2}", ends, "|", inner,
                      "(?:", ends, inner, "|-", ends, ")", inner, "{0,58}",
                      ends, ")?");
}

std::string Hostname() {
  return absl::StrCat(Label(), "(?:\\.", Label(), "){0,3}");
}

std::string Email() {
  const std::string atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-]{1,20}";
  return absl::StrCat(atom, "(?:\\.", atom, "){0,2}@", Hostname());
}

// A scheme, a host with a path or a path, a query and a fragment, of the
// characters that RFC 3986 has; without user names and literal addresses.
std::string Uri() {
  const std::string escaped = "%[0-9A-Fa-f]{2}";
  const std::string character =
      absl::StrCat("(?:[A-Za-z0-9\\-._~!$&'()*+,;=:@]|", escaped, ")");
  const std::string path = absl::StrCat("(?:", character, "|/)*");
  const std::string rest = absl::StrCat("(?:", character, "|[/?])*");
  return absl::StrCat(
      "[A-Za-z][A-Za-z0-9+.\\-]{0,15}:(?://[A-Za-z0-9.\\-]{1,255}"
      "(?::\\d{1,5})?(?:/",
      path, ")?|/?", character, path, ")(?:\\?", rest, ")?(?:#", rest, ")?");
}

std::string Duration() {
  return "P(?:\\d{1,9}W|(?:\\d{1,9}Y(?:\\d{1,9}M(?:\\d{1,9}D)?)?|\\d{1,9}M(?:"
         "\\d{1,9}D)?|\\d{1,9}D)(?:T(?:\\d{1,9}H(?:\\d{1,9}M(?:\\d{1,9}S)?)?|"
         "\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S))?|T(?:\\d{1,9}H(?:\\d{1,9}M(?:"
         "\\d{1,9}S)?)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S))";
}

const std::vector<std::pair<absl::string_view, std::string (*)()>>& Formats() {
  static const auto* const formats =
      new std::vector<std::pair<absl::string_view, std::string (*)()>>{
          {"date", Date},
          {"time", Time},
          {"date-time", [] { return absl::StrCat(Date(), "T", Time()); }},
          {"duration", Duration},
          {"email", Email},
          {"hostname", Hostname},
          {"ipv4", Ipv4},
          {"ipv6", Ipv6},
          {"uri", Uri},
          {"uuid",
           [] {
             return std::string(
                 "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}");
           }},
      };
  return *formats;
}

}  // namespace

std::string RegexOfFormat(absl::string_view format) {
  for (const auto& [name, make] : Formats()) {
    if (name == format) return make();
  }
  return "";
}

std::string FormatNames() {
  std::string names;
  for (const auto& [name, make] : Formats()) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", name);
  }
  return names;
}

}  // namespace tandem
