// What a turn that was run again by a receipt comes to: the same tokens, or
// what differs and why. A pure function; any thread.

#ifndef TANDEM_TOOLS_TANDEM_TURNS_REPLAY_VERDICT_H_
#define TANDEM_TOOLS_TANDEM_TURNS_REPLAY_VERDICT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/types.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/receipt_file.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {

struct ReplayVerdict {
  bool has_same_tokens = false;
  bool has_same_prompt = false;
  bool has_same_options = false;
  bool has_same_fingerprint = false;
  bool has_same_version = false;
  // Index of the first token that differs, from 0, and the two ids; no id: that
  // text has no such token. Absent where nothing differs, or the file has no
  // token ids.
  struct Difference {
    int64_t index = 0;
    std::optional<TokenId> expected = {};
    std::optional<TokenId> found = {};
  };
  std::optional<Difference> first_difference = {};
  // One line for people: what came of it, and why.
  std::string summary;
};

// `replayed` has a receipt.
ReplayVerdict JudgeReplay(const ReceiptFile& file, const TurnRecord& replayed);

// The members of the verdict, with `expected_token` and `token` beside
// `first_difference`; members that are absent are null.
Json VerdictJson(const ReplayVerdict& verdict);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_TURNS_REPLAY_VERDICT_H_
