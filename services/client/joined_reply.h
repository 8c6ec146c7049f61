// The events of a turn joined: all of its tokens, and its reply in the parts
// that the service tells apart (answer, reasoning, calls of tools). Pure
// functions; any thread.

#ifndef TANDEM_SERVICES_CLIENT_JOINED_REPLY_H_
#define TANDEM_SERVICES_CLIENT_JOINED_REPLY_H_

#include "tandem/v1/generation.pb.h"

namespace tandem::client {

// What an event adds to the parts of the reply: its `reply`. Where it has none,
// because the turn did not ask for it or the service is of an earlier version,
// its text is content.
v1::ReplyDelta PartsOf(const v1::TokensGenerated& tokens);
v1::ReplyDelta PartsOf(const v1::TurnEnded& ended);

// Joins `more` to the parts that came before; of each call one delta remains. A
// call whose beginning did not come (of a turn that was resumed) begins where
// it goes on.
void JoinReply(const v1::ReplyDelta& more, v1::ReplyDelta* reply);

// Joins an event to those that came before: token ids, text, log-probabilities,
// and where there is one `reply`.
void JoinTokens(const v1::TokensGenerated& more, v1::TokensGenerated* all);
// The same of the prompt's tokens, those that have log-probabilities.
void JoinPrompt(const v1::PromptScored& more, v1::PromptScored* all);
// The same of the text and the reply of a turn's last event.
void JoinEnd(const v1::TurnEnded& ended, v1::TokensGenerated* all);

}  // namespace tandem::client

#endif  // TANDEM_SERVICES_CLIENT_JOINED_REPLY_H_
