#include "engine/grammar/free_text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/string_view.h"
#include "engine/grammar/automaton/token_trie.h"

namespace tandem {
namespace {

bool IsSpace(uint8_t byte) {
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

// What a character that was begun still needs: `bytes` more, the next of them
// first .. last.
struct CharacterRest {
  int bytes = 0;
  ByteRange next = {.first = 0x80, .last = 0xBF};

  friend auto operator<=>(const CharacterRest&, const CharacterRest&) = default;
};

bool IsWithin(uint8_t byte, uint8_t first, uint8_t last) {
  return first <= byte && byte <= last;
}

// The same after `byte`; nothing where no UTF-8 goes on so (Unicode 15, table
// 3-7).
std::optional<CharacterRest> After(const CharacterRest& rest, uint8_t byte) {
  if (rest.bytes > 0) {
    if (!IsWithin(byte, rest.next.first, rest.next.last)) return std::nullopt;
    return CharacterRest{.bytes = rest.bytes - 1};
  }
  if (byte < 0x80) return CharacterRest{};
  if (IsWithin(byte, 0xC2, 0xDF)) return CharacterRest{.bytes = 1};
  if (byte == 0xE0) {
    return CharacterRest{.bytes = 2, .next = {.first = 0xA0, .last = 0xBF}};
  }
  if (byte == 0xED) {
    return CharacterRest{.bytes = 2, .next = {.first = 0x80, .last = 0x9F}};
  }
  if (IsWithin(byte, 0xE1, 0xEF)) return CharacterRest{.bytes = 2};
  if (byte == 0xF0) {
    return CharacterRest{.bytes = 3, .next = {.first = 0x90, .last = 0xBF}};
  }
  if (IsWithin(byte, 0xF1, 0xF3)) return CharacterRest{.bytes = 3};
  if (byte == 0xF4) {
    return CharacterRest{.bytes = 3, .next = {.first = 0x80, .last = 0x8F}};
  }
  return std::nullopt;
}

class FreeTextGraph {
 public:
  FreeTextGraph(std::vector<FreeTextMark> marks, GrammarBuilder* builder)
      : marks_(std::move(marks)), b_(*builder) {
    for (const FreeTextMark& mark : marks_) {
      plain_.push_back(absl::string_view(mark.bytes)
                           .substr(0, mark.bytes.find(kControlBegin)));
    }
  }

  ExprId Build(ExprId end) {
    const bool has_start =
        std::any_of(marks_.begin(), marks_.end(), [](const FreeTextMark& mark) {
          return mark.place == FreeTextMark::Place::kAtStart;
        });
    NodeOf({.is_blank = has_start});
    for (size_t i = 0; i < states_.size(); ++i) AddEdges(i);
    const auto last = static_cast<uint32_t>(marks_.size() + states_.size());
    for (uint32_t mark = 0; mark < marks_.size(); ++mark) {
      AddEdge({.from = MarkNode(mark), .to = last, .part = marks_[mark].next});
    }
    for (const auto& [state, node] : nodes_) {
      if (state.rest.bytes > 0) continue;
      AddEdge({.from = node, .to = last, .part = end});
    }
    return b_.Graph(last + 1, std::move(edges_));
  }

 private:
  // The text ends with the first `bytes` of a mark.
  struct Begun {
    uint32_t mark = 0;
    size_t bytes = 0;

    friend auto operator<=>(const Begun&, const Begun&) = default;
  };
  struct State {
    std::vector<Begun> begun = {};  // of at least one byte; ascending
    bool is_blank = false;  // all was white space, and a mark asks for that
    CharacterRest rest = {};

    friend auto operator<=>(const State&, const State&) = default;
  };
  using Nodes = std::vector<uint32_t>;

  // Nodes: the first state, the marks, all other states, the end.
  static uint32_t MarkNode(uint32_t mark) { return 1 + mark; }
  uint32_t StateNode(size_t state) const {
    return state == 0 ? 0 : static_cast<uint32_t>(marks_.size() + state);
  }

  uint32_t NodeOf(const State& state) {
    const auto [known, is_new] =
        nodes_.try_emplace(state, StateNode(states_.size()));
    if (is_new) states_.push_back(state);
    return known->second;
  }

  void AddEdge(const Expr::Edge& edge) {
    if (edge.part != b_.Never()) edges_.push_back(edge);
  }

  // Those of a state, and marks that may begin there.
  std::vector<Begun> BegunAt(const State& state) const {
    std::vector<Begun> begun = state.begun;
    for (uint32_t mark = 0; mark < marks_.size(); ++mark) {
      const bool may_begin =
          marks_[mark].place == FreeTextMark::Place::kAnywhere ||
          state.is_blank;
      if (may_begin && state.rest.bytes == 0) begun.push_back({.mark = mark});
    }
    std::sort(begun.begin(), begun.end());
    return begun;
  }

  void AddEdges(size_t index) {
    const State state = states_[index];
    const uint32_t node = StateNode(index);
    std::array<std::vector<Begun>, 256> longer;  // after a byte
    for (const Begun& begun : BegunAt(state)) {
      const absl::string_view plain = plain_[begun.mark];
      if (begun.bytes < plain.size()) {
        longer[static_cast<uint8_t>(plain[begun.bytes])].push_back(
            {.mark = begun.mark, .bytes = begun.bytes + 1});
      } else {
        // The rest begins with a control token: nothing else is it.
        AddEdge({.from = node,
                 .to = MarkNode(begun.mark),
                 .part = b_.Literal(absl::string_view(marks_[begun.mark].bytes)
                                        .substr(plain.size()))});
      }
    }
    Nodes targets;
    uint8_t first = 0;
    for (int byte = 0; byte <= 256; ++byte) {
      const Nodes next = byte < 256
                             ? NodesAfter(state, static_cast<uint8_t>(byte),
                                          longer[static_cast<size_t>(byte)])
                             : Nodes();
      if (next == targets) continue;
      const ByteRange range{.first = first,
                            .last = static_cast<uint8_t>(byte - 1)};
      for (const uint32_t target : targets) {
        AddEdge({.from = node, .to = target, .part = b_.Byte(range)});
      }
      targets = next;
      first = static_cast<uint8_t>(byte);
    }
  }

  // The marks that `byte` completes; where it completes none, the next state.
  Nodes NodesAfter(const State& state, uint8_t byte,
                   const std::vector<Begun>& longer) {
    const std::optional<CharacterRest> rest = After(state.rest, byte);
    if (!rest.has_value()) return {};
    Nodes completed;
    for (const Begun& begun : longer) {
      if (begun.bytes == marks_[begun.mark].bytes.size()) {
        completed.push_back(MarkNode(begun.mark));
      }
    }
    if (!completed.empty()) return completed;
    return {NodeOf({.begun = longer,
                    .is_blank = state.is_blank && IsSpace(byte),
                    .rest = *rest})};
  }

  const std::vector<FreeTextMark> marks_;
  GrammarBuilder& b_;
  std::vector<absl::string_view> plain_;  // of each mark, up to a control token
  std::vector<State> states_;
  std::map<State, uint32_t> nodes_;
  std::vector<Expr::Edge> edges_;
};

}  // namespace

ExprId FreeText(std::vector<FreeTextMark> marks, ExprId end,
                GrammarBuilder* builder) {
  return FreeTextGraph(std::move(marks), builder).Build(end);
}

ExprId ShortSpace(GrammarBuilder* builder) {
  return builder->Repeat(builder->Literals({"\n", " "}),
                         {.least = 0, .most = 2});
}

}  // namespace tandem
