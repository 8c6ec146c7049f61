// What matchers are compared with: a reading of a grammar that keeps every
// stack of callers as a list of its own, without frames, sets or masks.

#ifndef TANDEM_TESTS_ENGINE_GRAMMAR_ORACLE_GRAMMAR_ORACLE_H_
#define TANDEM_TESTS_ENGINE_GRAMMAR_ORACLE_GRAMMAR_ORACLE_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/grammar/automaton/grammar.h"

namespace tandem {

class GrammarOracle {
 public:
  // `grammar` outlives this.
  explicit GrammarOracle(const Grammar* grammar);

  // Whether a text of the grammar begins with what was read and `bytes`; reads
  // them if so.
  bool Read(absl::string_view bytes);
  // The same, without reading.
  bool CanRead(absl::string_view bytes) const;
  bool may_end() const;

 private:
  // One level of a stack: a state, rounds of a counted rule and its bounds.
  struct Level {
    StateId state = 0;
    uint32_t rounds = 0;
    Bounds bounds = {};

    friend auto operator<=>(const Level&, const Level&) = default;
  };
  using Stack = std::vector<Level>;  // the last is read
  using Stacks = std::set<Stack>;

  Stacks Closed(Stacks stacks) const;
  Stacks After(const Stacks& stacks, uint8_t byte) const;
  void AddWithoutByte(const Stack& stack, std::vector<Stack>* out) const;

  const Grammar* grammar_;
  Stacks stacks_;  // closed; the empty one is a complete text
};

}  // namespace tandem

#endif  // TANDEM_TESTS_ENGINE_GRAMMAR_ORACLE_GRAMMAR_ORACLE_H_
