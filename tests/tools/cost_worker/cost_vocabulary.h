// The vocabulary of the demo pair, for tests.

#ifndef TANDEM_TESTS_TOOLS_COST_WORKER_COST_VOCABULARY_H_
#define TANDEM_TESTS_TOOLS_COST_WORKER_COST_VOCABULARY_H_

#include <memory>
#include <string>

#include "engine/tokenizer/tokenizer.h"

namespace tandem::bench {

std::string DemoVocabularyPath();
std::unique_ptr<Tokenizer> DemoTokenizer();

}  // namespace tandem::bench

#endif  // TANDEM_TESTS_TOOLS_COST_WORKER_COST_VOCABULARY_H_
