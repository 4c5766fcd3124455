#include "reduction/reduction_tree.hpp"

#include <bit>

#include "base/error.hpp"

namespace trireme {

namespace {

/// Where a node of more than one virtual rank is split.
std::int64_t cut_of(const VirtualRankRange& node) {
  return node.first + static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(node.last - node.first)) / 2);
}

void cover(const VirtualRankRange& node, const VirtualRankRange& range, std::vector<VirtualRankRange>& nodes) {
  if (range.last <= node.first || node.last <= range.first) return;
  if (range.first <= node.first && node.last <= range.last) return nodes.push_back(node);
  const std::int64_t cut = cut_of(node);
  cover({node.first, cut}, range, nodes);
  cover({cut, node.last}, range, nodes);
}

/// Adds up `node`, whose parts begin with nodes[at]; returns the index after its last part.
std::size_t add_up(const VirtualRankRange& node, const std::vector<VirtualRankRange>& nodes, std::size_t at,
                   std::vector<std::pair<std::int32_t, std::int32_t>>& additions) {
  if (at >= nodes.size() || node.first != nodes[at].first || node.last < nodes[at].last)
    throw internal_error("ReductionTree: the given nodes do not cover [{}, {})", node.first, node.last);
  if (nodes[at] == node) return at + 1;
  const std::int64_t cut = cut_of(node);
  const std::size_t right = add_up({node.first, cut}, nodes, at, additions), end = add_up({cut, node.last}, nodes, right, additions);
  additions.emplace_back(static_cast<std::int32_t>(at), static_cast<std::int32_t>(right));
  return end;
}

}  // namespace

std::vector<VirtualRankRange> ReductionTree::nodes_of(const VirtualRankRange& range) const {
  std::vector<VirtualRankRange> nodes;
  cover({0, virtual_ranks_}, range, nodes);
  return nodes;
}

bool ReductionTree::halves(const VirtualRankRange& left, const VirtualRankRange& right) const {
  const VirtualRankRange both{left.first, right.last};
  return left.last == right.first && nodes_of(both).size() == 1 && cut_of(both) == left.last;
}

std::vector<std::pair<std::int32_t, std::int32_t>> ReductionTree::additions(const std::vector<VirtualRankRange>& nodes) const {
  std::vector<std::pair<std::int32_t, std::int32_t>> additions;
  if (add_up({0, virtual_ranks_}, nodes, 0, additions) != nodes.size())
    throw internal_error("ReductionTree: the given nodes do not cover all {} virtual ranks", virtual_ranks_);
  return additions;
}

}  // namespace trireme
