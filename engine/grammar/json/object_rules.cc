#include "engine/grammar/json/object_rules.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

// Bounds less by `by`, not below 0.
Bounds Less(Bounds bounds, uint32_t by) {
  return {.least = bounds.least - std::min(bounds.least, by),
          .most = bounds.most == kUnbounded
                      ? kUnbounded
                      : bounds.most - std::min(bounds.most, by)};
}

// What follows the first quote of a name that is none of `members`': a walk
// along the tree of their characters that leaves it, or ends within it.
ExprId OtherName(absl::Span<const ObjectMember> members, JsonRules* rules,
                 GrammarBuilder* builder) {
  struct Node {
    std::map<uint32_t, uint32_t> children;
    bool is_name = false;
  };
  std::vector<Node> tree(1);
  for (const ObjectMember& member : members) {
    uint32_t at = 0;
    for (const uint32_t c : CodePointsOf(member.name)) {
      const auto [child, is_new] =
          tree[at].children.try_emplace(c, static_cast<uint32_t>(tree.size()));
      at = child->second;
      if (is_new) tree.emplace_back();
    }
    tree[at].is_name = true;
  }
  // Characters that take more than one byte are the same for most nodes, which
  // share the node `rare` for them: 20 states fewer each.
  const CharSet plain = CharSet({{.first = ' ', .last = '~'}})
                            .Without(CharSet::Of('"'))
                            .Without(CharSet::Of('\\'));
  const auto free = static_cast<uint32_t>(tree.size());
  const uint32_t rare = free + 1;
  const uint32_t end = free + 2;
  const ExprId quote = builder->Literal("\"");
  std::vector<Expr::Edge> edges = {
      {.from = rare,
       .to = free,
       .part = rules->CanonicalCharacter(plain.Complement())},
      {.from = free, .to = rare, .part = builder->Empty()},
      {.from = free, .to = free, .part = builder->Chars(plain)},
      {.from = free, .to = end, .part = quote}};
  for (uint32_t at = 0; at < free; ++at) {
    if (!tree[at].is_name) {
      edges.push_back({.from = at, .to = end, .part = quote});
    }
    std::vector<CharRange> taken;
    for (const auto& [c, child] : tree[at].children) {
      taken.push_back({.first = c, .last = c});
      edges.push_back({.from = at,
                       .to = child,
                       .part = rules->CanonicalCharacter(CharSet::Of(c))});
    }
    CharSet others = CharSet(std::move(taken)).Complement();
    if (others.Union(plain).Complement().empty()) {
      edges.push_back({.from = at, .to = rare, .part = builder->Empty()});
      others = others.Intersection(plain);
    }
    edges.push_back(
        {.from = at, .to = free, .part = rules->CanonicalCharacter(others)});
  }
  return builder->Graph(end + 1, std::move(edges));
}

// The brackets of a list with the white space in them.
class ListGraph {
 public:
  ListGraph(char open, char close, JsonRules* rules, GrammarBuilder* builder)
      : open_(open), close_(close), rules_(*rules), b_(*builder) {}

  // "{" and white space.
  ExprId Open() {
    return b_.Sequence({b_.Literal(std::string(1, open_)), rules_.space()});
  }
  ExprId Close() {
    return b_.Sequence({rules_.space(), b_.Literal(std::string(1, close_))});
  }
  ExprId OpenAndClose() {
    return b_.Sequence({Open(), b_.Literal(std::string(1, close_))});
  }

 private:
  const char open_;
  const char close_;
  JsonRules& rules_;
  GrammarBuilder& b_;
};

ExprId ListOf(char open, char close, absl::Span<const ExprId> prefix,
              ExprId items, Bounds counts, JsonRules* rules,
              GrammarBuilder* builder) {
  GrammarBuilder& b = *builder;
  ListGraph list(open, close, rules, builder);
  const auto fixed =
      static_cast<uint32_t>(std::min<size_t>(prefix.size(), counts.most));
  // Node i + 1: i items are there; then the end of all items, and the end.
  const uint32_t done = fixed + 2;
  const uint32_t end = fixed + 3;
  std::vector<Expr::Edge> edges = {
      {.from = 0, .to = 1, .part = list.Open()},
      {.from = done, .to = end, .part = list.Close()}};
  if (counts.least == 0) {
    edges.push_back({.from = 0, .to = end, .part = list.OpenAndClose()});
  }
  for (uint32_t i = 0; i < fixed; ++i) {
    const ExprId item =
        i == 0 ? prefix[0] : b.Sequence({rules->Comma(), prefix[i]});
    edges.push_back({.from = i + 1, .to = i + 2, .part = item});
    if (i + 1 >= counts.least) {
      edges.push_back({.from = i + 2, .to = done, .part = b.Empty()});
    }
  }
  const ExprId next = b.Sequence({rules->Comma(), items});
  if (counts.most > fixed) {
    const Bounds rest = Less(counts, fixed);
    const Bounds after_one = Less(rest, 1);
    const ExprId first = fixed == 0 ? items : next;
    edges.push_back({.from = fixed + 1,
                     .to = done,
                     .part = b.Sequence({first, b.Repeat(next, after_one)})});
  }
  return b.Graph(end + 1, std::move(edges));
}

}  // namespace

ExprId ArrayOf(absl::Span<const ExprId> prefix, ExprId items, Bounds counts,
               JsonRules* rules, GrammarBuilder* builder) {
  return ListOf('[', ']', prefix, items, counts, rules, builder);
}

ExprId ObjectOf(absl::Span<const ObjectMember> members, ExprId additional,
                Bounds counts, JsonRules* rules, GrammarBuilder* builder) {
  GrammarBuilder& b = *builder;
  if (members.empty()) {
    return ListOf('{', '}', {}, rules->Member(rules->string(), additional),
                  counts, rules, builder);
  }
  ListGraph list('{', '}', rules, builder);
  const auto size = static_cast<uint32_t>(members.size());
  // Of names node i + 1 expects, behind its first quote, that of member i or
  // of a later one; the last expects another name. Node i of those after
  // values follows one of the first i members.
  const auto name_node = [](uint32_t i) { return i + 1; };
  const auto value_node = [size](uint32_t i) { return size + 2 + i; };
  const uint32_t end = value_node(size) + 1;
  const ExprId quote = b.Literal("\"");
  const ExprId colon = b.Sequence({b.Literal(":"), rules->space_after_colon()});
  const ExprId comma = b.Sequence({rules->Comma(), quote});
  std::vector<Expr::Edge> edges = {{.from = 0,
                                    .to = name_node(0),
                                    .part = b.Sequence({list.Open(), quote})}};
  const auto is_open = [&members](uint32_t from) {
    return std::none_of(members.begin() + from, members.end(),
                        [](const ObjectMember& m) { return m.is_required; });
  };
  if (is_open(0) && counts.least == 0) {
    edges.push_back({.from = 0, .to = end, .part = list.OpenAndClose()});
  }
  for (uint32_t i = 0; i < size; ++i) {
    const std::string name = CanonicalString(members[i].name);
    edges.push_back({.from = name_node(i),
                     .to = value_node(i + 1),
                     .part = b.Sequence({b.Literal(name.substr(1)), colon,
                                         members[i].value})});
    if (!members[i].is_required) {
      edges.push_back(
          {.from = name_node(i), .to = name_node(i + 1), .part = b.Empty()});
    }
    edges.push_back(
        {.from = value_node(i + 1), .to = name_node(i + 1), .part = comma});
  }
  edges.push_back({.from = name_node(size),
                   .to = value_node(size),
                   .part = b.Sequence({OtherName(members, rules, builder),
                                       colon, additional})});
  // From the last required member on.
  for (uint32_t i = size; i > 0; --i) {
    edges.push_back({.from = value_node(i), .to = end, .part = list.Close()});
    if (members[i - 1].is_required) break;
  }
  return b.Graph(end + 1, std::move(edges));
}

}  // namespace tandem
