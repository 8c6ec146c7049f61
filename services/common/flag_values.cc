#include "services/common/flag_values.h"

#include <algorithm>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace tandem {
namespace {

// Names that are longer are compared by their beginning.
constexpr size_t kNameBytesMax = 64;
// Shorter beginnings of a name say little.
constexpr size_t kBeginningBytesMin = 3;

std::string Shown(double value) { return absl::StrFormat("%.10g", value); }

// The optimal string alignment distance: insertions, deletions, substitutions
// and swaps of neighbours.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before;  // two rows up
  std::vector<size_t> above(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::vector<size_t> row(b.size() + 1);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before = std::move(above);
    above = std::move(row);
  }
  return above[b.size()];
}

// Without the dashes that a flag begins with.
absl::string_view Bare(absl::string_view name) {
  while (absl::ConsumePrefix(&name, "-")) {
  }
  return name.substr(0, kNameBytesMax);
}

}  // namespace

std::string QuotedValue(absl::string_view value) {
  if (value.size() <= kShownValueBytes) {
    return absl::StrCat("\"", absl::Utf8SafeCEscape(value), "\"");
  }
  size_t cut = kShownValueBytes;
  // Not inside a character.
  while (cut > 0 && (static_cast<unsigned char>(value[cut]) & 0xC0) == 0x80) {
    --cut;
  }
  return absl::StrCat("\"", absl::Utf8SafeCEscape(value.substr(0, cut)),
                      "...\"");
}

CLI::Validator WholeNumber(int64_t low, int64_t high) {
  return CLI::Validator(
      [low, high](std::string& text) -> std::string {
        int64_t value = 0;
        if (absl::SimpleAtoi(text, &value) && value >= low && value <= high) {
          text = absl::StrCat(value);
          return "";
        }
        return absl::StrCat(QuotedValue(text), " is not a whole number from ",
                            low, " to ", high);
      },
      absl::StrCat(low, " .. ", high));
}

CLI::Validator AnyUnsigned() {
  return CLI::Validator(
      [](std::string& text) -> std::string {
        uint64_t value = 0;
        if (absl::SimpleAtoi(text, &value)) {
          text = absl::StrCat(value);
          return "";
        }
        return absl::StrCat(QuotedValue(text),
                            " is not a whole number from 0 to ",
                            std::numeric_limits<uint64_t>::max());
      },
      "0 .. 2^64 - 1");
}

CLI::Validator Number(double low, double high) {
  return CLI::Validator(
      [low, high](std::string& text) -> std::string {
        double value = 0;
        if (absl::SimpleAtod(text, &value) && value >= low && value <= high) {
          return "";
        }
        return absl::StrCat(QuotedValue(text), " is not a number from ",
                            Shown(low), " to ", Shown(high));
      },
      absl::StrCat(Shown(low), " .. ", Shown(high)));
}

CLI::Validator OneOf(const std::vector<std::string>& names) {
  const std::string list = absl::StrJoin(names, ", ");
  return CLI::Validator(
      [names, list](std::string& text) -> std::string {
        if (std::find(names.begin(), names.end(), text) != names.end()) {
          return "";
        }
        const std::string near = NearestName(text, names);
        return absl::StrCat(
            QuotedValue(text), " is not one of ", list,
            near.empty() ? "" : absl::StrCat("; did you mean ", near, "?"));
      },
      list);
}

CLI::Validator AutoOrWholeNumber(int64_t low, int64_t high) {
  return CLI::Validator(
      [low, high](std::string& text) -> std::string {
        int64_t value = 0;
        if (text == "auto" ||
            (absl::SimpleAtoi(text, &value) && value >= low && value <= high)) {
          return "";
        }
        return absl::StrCat(QuotedValue(text),
                            " is neither auto nor a whole number from ", low,
                            " to ", high);
      },
      absl::StrCat("auto or ", low, " .. ", high));
}

CLI::Validator NotEmpty(const std::string& what) {
  return CLI::Validator(
      [what](std::string& text) -> std::string {
        return text.empty() ? absl::StrCat(what, " is missing") : "";
      },
      "");
}

std::string NearestName(absl::string_view word,
                        absl::Span<const std::string> names) {
  const absl::string_view bare = Bare(word);
  std::string nearest;
  size_t least = std::numeric_limits<size_t>::max();
  for (const std::string& candidate : names) {
    const absl::string_view name = Bare(candidate);
    size_t distance = EditDistance(bare, name);
    const size_t shorter = std::min(bare.size(), name.size());
    const bool is_beginning =
        shorter >= kBeginningBytesMin &&
        bare.substr(0, shorter) == name.substr(0, shorter);
    if (distance > std::max(bare.size(), name.size()) / 3 && !is_beginning) {
      continue;
    }
    if (distance < least) {
      least = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace tandem
