// Reads the hyper-parameters of one architecture in one file, and remembers
// which ones were asked for: a key under the architecture's name may change
// the result, so one that nobody asked for is refused. Made and used up inside
// ModelConfig::FromGguf.

#ifndef TANDEM_ENGINE_MODEL_CONFIG_READER_H_
#define TANDEM_ENGINE_MODEL_CONFIG_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/gguf/gguf_file.h"

namespace tandem {

// A MALFORMED_FILE or an UNSUPPORTED_MODEL error: `what` is wrong in `file`.
absl::Status MalformedModel(const GgufFile& file, absl::string_view what);
absl::Status UnsupportedModel(const GgufFile& file, absl::string_view what);

// Keys are given without the architecture's name. Errors are INVALID_ARGUMENT
// with MALFORMED_FILE (UNSUPPORTED_MODEL for arrays of unequal numbers) and
// name the key and, where it is there, its offset.
class ConfigReader {
 public:
  // `file` and `architecture` outlive the reader.
  ConfigReader(const GgufFile& file, absl::string_view architecture);

  const GgufFile& file() const { return file_; }
  bool Has(absl::string_view suffix);
  // From here on an integer may also stand as an array of so many equal ones.
  void SetLayers(int64_t layers) { layers_ = layers; }

  // An integer in [1, maximum].
  absl::StatusOr<int64_t> Count(absl::string_view suffix, uint64_t maximum);
  // The same, with a value for an absent key.
  absl::StatusOr<int64_t> CountOr(absl::string_view suffix, uint64_t maximum,
                                  int64_t absent);
  // An integer in [0, maximum], with a value for an absent key.
  absl::StatusOr<int64_t> SizeOr(absl::string_view suffix, uint64_t maximum,
                                 int64_t absent);

  // A float that is not NaN, in [minimum, maximum].
  struct Range {
    double minimum = 0;
    double maximum = 0;
  };
  absl::StatusOr<double> Number(absl::string_view suffix, const Range& range);
  absl::StatusOr<double> NumberOr(absl::string_view suffix, const Range& range,
                                  double absent);

  absl::StatusOr<bool> FlagOr(absl::string_view suffix, bool absent);
  // OK where the key is absent or has this value, else UNSUPPORTED_MODEL.
  absl::Status OnlyNumber(absl::string_view suffix, double number);

  // Empty for an absent key.
  absl::StatusOr<absl::string_view> TextOrEmpty(absl::string_view suffix);

  absl::Status Malformed(absl::string_view suffix,
                         absl::string_view what) const;
  // UNSUPPORTED_MODEL: the key, which is there, asks for something unknown by
  // its value.
  absl::Status Unsupported(absl::string_view suffix) const;

  // UNSUPPORTED_MODEL where a key under the architecture's name was not asked
  // for and does not ask for nothing by its value (neutral_keys.h).
  absl::Status CheckNoUnknownKeys() const;

 private:
  std::string Key(absl::string_view suffix) const;
  absl::StatusOr<uint64_t> Integer(absl::string_view suffix) const;
  absl::Status Missing(absl::string_view key) const;

  const GgufFile& file_;
  const std::string prefix_;
  std::unordered_set<std::string> asked_;
  std::optional<int64_t> layers_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_CONFIG_READER_H_
