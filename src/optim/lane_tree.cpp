#include "optim/lane_tree.hpp"

#include <bit>

#include "base/error.hpp"

namespace trireme {

namespace {

/// Where a node of more than one lane is cut in two.
std::int64_t cut_of(const LaneRange& node) {
  return node.first + static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(node.last - node.first)) / 2);
}

void cover(const LaneRange& node, const LaneRange& range, std::vector<LaneRange>& nodes) {
  if (range.last <= node.first || node.last <= range.first) return;
  if (range.first <= node.first && node.last <= range.last) return nodes.push_back(node);
  const std::int64_t cut = cut_of(node);
  cover({node.first, cut}, range, nodes);
  cover({cut, node.last}, range, nodes);
}

/// Adds up `node`, which begins with nodes[at]; returns the place behind its last one.
std::size_t add_up(const LaneRange& node, const std::vector<LaneRange>& nodes, std::size_t at, std::vector<std::pair<std::int32_t, std::int32_t>>& additions) {
  if (at >= nodes.size() || node.first != nodes[at].first || node.last < nodes[at].last)
    throw internal_error("lanes: [{}, {}) is no sum of the nodes given", node.first, node.last);
  if (nodes[at] == node) return at + 1;
  const std::int64_t cut = cut_of(node);
  const std::size_t right = add_up({node.first, cut}, nodes, at, additions), end = add_up({cut, node.last}, nodes, right, additions);
  additions.emplace_back(static_cast<std::int32_t>(at), static_cast<std::int32_t>(right));
  return end;
}

}  // namespace

std::vector<LaneRange> LaneTree::nodes_of(const LaneRange& range) const {
  std::vector<LaneRange> nodes;
  cover({0, lanes_}, range, nodes);
  return nodes;
}

bool LaneTree::halves(const LaneRange& left, const LaneRange& right) const {
  const LaneRange both{left.first, right.last};
  return left.last == right.first && nodes_of(both).size() == 1 && cut_of(both) == left.last;
}

std::vector<std::pair<std::int32_t, std::int32_t>> LaneTree::additions(const std::vector<LaneRange>& nodes) const {
  std::vector<std::pair<std::int32_t, std::int32_t>> additions;
  if (add_up({0, lanes_}, nodes, 0, additions) != nodes.size()) throw internal_error("lanes: the nodes are not all of the {} lanes", lanes_);
  return additions;
}

}  // namespace trireme
