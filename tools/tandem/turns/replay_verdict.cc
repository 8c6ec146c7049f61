#include "tools/tandem/turns/replay_verdict.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tandem::cli {
namespace {

using google::protobuf::util::MessageDifferencer;
using Difference = ReplayVerdict::Difference;

std::optional<TokenId> At(const std::vector<TokenId>& ids, size_t index) {
  if (index >= ids.size()) return std::nullopt;
  return ids[index];
}

std::optional<Difference> FirstDifference(const std::vector<TokenId>& expected,
                                          const std::vector<TokenId>& found) {
  const auto [one, other] = std::mismatch(expected.begin(), expected.end(),
                                          found.begin(), found.end());
  if (one == expected.end() && other == found.end()) return std::nullopt;
  const size_t index = static_cast<size_t>(one - expected.begin());
  return Difference{.index = static_cast<int64_t>(index),
                    .expected = At(expected, index),
                    .found = At(found, index)};
}

std::string Shown(std::optional<TokenId> id) {
  return id.has_value() ? absl::StrCat("token ", *id) : "the end";
}

std::string WhatDiffers(const std::optional<Difference>& difference) {
  if (!difference.has_value()) {
    return "the tokens differ (the file has no token_ids, by which the first "
           "would be found)";
  }
  return absl::StrCat("the token of index ", difference->index,
                      " differs: the receipt has ", Shown(difference->expected),
                      ", the replay ", Shown(difference->found));
}

// The nearest reason why tokens differ.
std::string Why(const ReplayVerdict& verdict, const v1::Receipt& expected,
                const v1::Receipt& found) {
  if (!verdict.has_same_options) {
    return "the service did not use the receipt's options: it does not know "
           "all of them";
  }
  if (!verdict.has_same_fingerprint) {
    return absl::StrCat(
        "the model or its numerics are others: the fingerprint "
        "is ",
        found.fingerprint(), ", not ", expected.fingerprint());
  }
  if (!verdict.has_same_version) {
    return absl::StrCat(
        "fingerprint, prompt and options are equal, and the "
        "versions are not (",
        found.version(), ", not ", expected.version(),
        "): this is an error of tandem, or the receipt was "
        "changed");
  }
  return "fingerprint, prompt and options are equal: this is an error of "
         "tandem or of a machine, or the receipt was changed";
}

std::string Summary(const ReplayVerdict& verdict, const v1::Receipt& expected,
                    const v1::Receipt& found) {
  if (!verdict.has_same_prompt) {
    return absl::StrCat("another prompt: it has ", found.prompt_tokens(),
                        " tokens with the hash ", found.prompt_hash(),
                        ", the receipt's ", expected.prompt_tokens(), " with ",
                        expected.prompt_hash());
  }
  if (!verdict.has_same_tokens) {
    return absl::StrCat(WhatDiffers(verdict.first_difference), ": ",
                        Why(verdict, expected, found));
  }
  return absl::StrCat("equal: ", found.generated_tokens(), " tokens",
                      verdict.has_same_fingerprint
                          ? ""
                          : ", although the fingerprint is another one",
                      "; fingerprint ", found.fingerprint());
}

}  // namespace

ReplayVerdict JudgeReplay(const ReceiptFile& file, const TurnRecord& replayed) {
  const v1::Receipt& expected = file.receipt;
  const v1::Receipt& found = replayed.ended.receipt();
  ReplayVerdict verdict;
  verdict.has_same_tokens = expected.tokens_hash() == found.tokens_hash();
  verdict.has_same_prompt = expected.prompt_hash() == found.prompt_hash();
  verdict.has_same_options =
      MessageDifferencer::Equals(expected.options(), found.options());
  verdict.has_same_fingerprint = expected.fingerprint() == found.fingerprint();
  verdict.has_same_version = expected.version() == found.version();
  if (!verdict.has_same_tokens && file.token_ids.has_value()) {
    const auto& ids = replayed.tokens.token_ids();
    verdict.first_difference =
        FirstDifference(*file.token_ids, {ids.begin(), ids.end()});
  }
  verdict.summary = Summary(verdict, expected, found);
  return verdict;
}

Json VerdictJson(const ReplayVerdict& verdict) {
  Json json = {{"equal", verdict.has_same_prompt && verdict.has_same_tokens},
               {"same_tokens", verdict.has_same_tokens},
               {"same_prompt", verdict.has_same_prompt},
               {"same_options", verdict.has_same_options},
               {"same_fingerprint", verdict.has_same_fingerprint},
               {"same_version", verdict.has_same_version},
               {"first_difference", nullptr},
               {"expected_token", nullptr},
               {"token", nullptr},
               {"summary", verdict.summary}};
  if (const auto& difference = verdict.first_difference) {
    json["first_difference"] = difference->index;
    if (difference->expected) json["expected_token"] = *difference->expected;
    if (difference->found) json["token"] = *difference->found;
  }
  return json;
}

}  // namespace tandem::cli
