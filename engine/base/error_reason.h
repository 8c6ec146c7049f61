// The machine-readable reasons of errors: the `reason` of ErrorDetail and of
// google.rpc.ErrorInfo (domain "tandem"). A reason never changes its meaning.
// services/README.md lists them for users.

#ifndef TANDEM_ENGINE_BASE_ERROR_REASON_H_
#define TANDEM_ENGINE_BASE_ERROR_REASON_H_

namespace tandem {

// A file is not what its format says; the message has offset and key.
inline constexpr char kReasonMalformedFile[] = "MALFORMED_FILE";
// A file is well formed but holds what this build can not run.
inline constexpr char kReasonUnsupportedModel[] = "UNSUPPORTED_MODEL";
// A file is not the one that the configuration names by its SHA-256.
inline constexpr char kReasonDigestMismatch[] = "DIGEST_MISMATCH";
// A numerics mode was asked for that this file or machine can not have.
inline constexpr char kReasonUnsupportedNumerics[] = "UNSUPPORTED_NUMERICS";
// One or more options are out of range; violations names each.
inline constexpr char kReasonInvalidOptions[] = "INVALID_OPTIONS";
// A text is not UTF-8.
inline constexpr char kReasonInvalidText[] = "INVALID_TEXT";
// A prompt has no token.
inline constexpr char kReasonEmptyPrompt[] = "EMPTY_PROMPT";
// A token id is not in the vocabulary.
inline constexpr char kReasonInvalidToken[] = "INVALID_TOKEN";
// Prompt plus generated tokens exceed the context of the model.
inline constexpr char kReasonContextExceeded[] = "CONTEXT_EXCEEDED";
// No model of that id.
inline constexpr char kReasonUnknownModel[] = "UNKNOWN_MODEL";
// No session of that id (for this tenant).
inline constexpr char kReasonUnknownSession[] = "UNKNOWN_SESSION";
// A message came in a state that does not take it.
inline constexpr char kReasonWrongState[] = "WRONG_STATE";
// Draft and target vocabularies differ; the message names the first token.
inline constexpr char kReasonVocabularyMismatch[] = "VOCABULARY_MISMATCH";
// KV pages, sessions or queue places are used up; try later.
inline constexpr char kReasonExhausted[] = "EXHAUSTED";
// No worker can serve the request now; try later.
inline constexpr char kReasonNoWorker[] = "NO_WORKER";
// Only workers with another fingerprint of the turn's model are left; the turn
// can be resumed once one of its own is back.
inline constexpr char kReasonModelChanged[] = "MODEL_CHANGED";
// The store of sessions is away; its client should try again.
inline constexpr char kReasonStoreUnavailable[] = "STORE_UNAVAILABLE";
// Workers died of the prompt: it is refused for some time.
inline constexpr char kReasonPromptQuarantined[] = "PROMPT_QUARANTINED";
// Logits hold NaN, or every token is banned.
inline constexpr char kReasonNoToken[] = "NO_TOKEN";
inline constexpr char kReasonNumericCorruption[] = "NUMERIC_CORRUPTION";
// Messages were sent to a model without a chat template that can be run.
inline constexpr char kReasonUnsupportedChatTemplate[] =
    "UNSUPPORTED_CHAT_TEMPLATE";
// Tools were sent to a model whose way of writing calls is not known.
inline constexpr char kReasonUnsupportedTools[] = "UNSUPPORTED_TOOLS";
// The server is shutting down; try another.
inline constexpr char kReasonDraining[] = "DRAINING";
// The caller's certificate has no name that the server takes calls from.
inline constexpr char kReasonCallerNotAllowed[] = "CALLER_NOT_ALLOWED";
// No API key, or one that is unknown, revoked or expired.
inline constexpr char kReasonInvalidKey[] = "INVALID_KEY";
// The API key does not allow this call.
inline constexpr char kReasonMissingScope[] = "MISSING_SCOPE";

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_ERROR_REASON_H_
