// Which part of a reply was drafted and accepted. Pure functions; any thread.
//
// An event has tokens and the text that they decide together, not the text of
// each token; asking for that would be a call per event. So the text is divided
// as its tokens are: an event of one round with two accepted tokens and the
// target's own has two thirds of its characters shaded, and the border moves to
// the nearest place where a token probably begins (before a space, or between a
// word and a punctuation mark), if one is near. An event holds one round where
// the client keeps up. Text that was held back counts to the event that brings
// it.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_SHADING_H_
#define TANDEM_TOOLS_TANDEM_CHAT_SHADING_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "tandem/v1/generation.pb.h"

namespace tandem::cli {

struct ShadedSpan {
  absl::string_view text;  // not empty; a part of the event's
  bool is_drafted = false;
};

// The event's text, divided; neighbours differ. Nothing is drafted where the
// event does not say its rounds. The spans point into `event`.
std::vector<ShadedSpan> ShadedSpans(const v1::TokensGenerated& event);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_SHADING_H_
