// Who has what: the placement of every value and the part of every layer, for all ranks of a grid. Computed from the deck alone, the same on every rank.
//
// A value lies along the axes
//   tensor    whole, or cut between channels (features)
//   spatial   whole, or cut into boxes of pixels, as even as it goes (the first ones are larger by one)
//   pipeline  on the ranks of the stage that makes it
// Layers run on the parts that are nearest to what is there; where a layer needs another part, a step brings it (program.hpp).
//
// Choices along the tensor axis, where a layer's line says nothing (tensor=column|row|whole): a contraction (linear, conv) whose input is whole cuts its
// outputs (column), one whose input is cut sums parts of its outputs (row), so that a pair needs one sum forward and one backward
// (Shoeybi et al. 2019, Megatron-LM); groups of channels are dealt out; the last contraction of a network with a whole input stays whole. Layers that
// keep channels apart take them as they come. Along the spatial axis: split while every rank has a pixel (spatial=whole keeps a layer out). Along
// the pipeline: consecutive layers, the largest stage as small as it can be (stage=N begins stage N, from 0).
#pragma once

#include <functional>
#include <vector>

#include "base/box.hpp"
#include "comm/process_grid.hpp"
#include "parallel/channel_moves.hpp"
#include "parallel/graph.hpp"

namespace trireme {

/// The grid that [parallel] asks for on this many ranks. Usage errors say which axis does not fit.
GridShape grid_shape(const Deck& deck, int ranks);

/// data.lanes, 0 where there are none. Usage errors say what does not go with lanes, and where there are fewer than ranks of the data axis.
std::int64_t lanes_of(const Deck& deck, const GridShape& grid);
/// Micro-batches of a rank's share of a batch, or of each lane.
std::int64_t micro_batches(const Deck& deck, const GridShape& grid);
/// The most samples of a batch that one rank of the data axis may get: the even share, its lanes' samples, or under parallel.balance = measured
/// parallel.balance_limit times the even share.
std::int64_t most_of_batch(const Deck& deck, const GridShape& grid);
/// The most samples of a pass: of a micro-batch of a share or lane, or of an evaluation's batch, which is no larger than a micro-batch where there are several.
std::int64_t largest_pass(const Deck& deck, const GridShape& grid);

struct NodePlan {
  enum class Channels { whole, column, row, grouped, kept };
  int stage = 0;
  Channels channels = Channels::whole;
  ChannelCuts in, out;   // cuts between ranks; empty: whole
  bool split = false;    // its input's pixels are split
};

struct ValuePlan {
  ChannelCuts cuts;      // empty: whole
  bool split = false;
};

class ParallelPlan {
 public:
  /// Usage errors name the layer or the axis. `graph` outlives the plan.
  ParallelPlan(const Graph& graph, const Deck& deck, const GridShape& grid);

  const Graph& graph() const { return graph_; }
  const GridShape& grid() const { return grid_; }
  const NodePlan& node(std::size_t i) const { return nodes_[i]; }
  const ValuePlan& value(std::size_t v) const { return values_[v]; }
  /// The stage that makes a value.
  int stage_of(std::size_t value) const { return value == 0 ? 0 : nodes_[value - 1].stage; }
  /// Values that go from `stage` to the one behind it.
  std::vector<std::size_t> crossing(int stage) const;
  /// The boxes of a whole shape, by the rank on the spatial axis; the whole for each where it is not split.
  std::vector<Box> boxes(const Shape& shape, bool split) const;
  /// Whether the one layer that reads the network's input finds its halo there already: readers take a little more of each sample, and nothing travels.
  bool input_has_halo() const { return input_has_halo_; }
  /// The boxes of a node's input that its output's boxes depend on, by the rank on the spatial axis. Of a window whose pixels are split.
  std::vector<Box> reach(std::size_t node) const;
  /// The box of its input that any box of its output depends on. The function holds what it needs.
  std::function<Box(const Box&)> window(std::size_t node) const;
  /// Part of the work of a step that each stage has: costs as balanced.
  const std::vector<double>& stage_costs() const { return stage_costs_; }
  /// Micro-batches of a batch.
  std::int64_t micro_batches() const { return micro_batches_; }
  /// Share of a step that each of p even stages waits for the others, with m micro-batches: (p - 1)/(m + p - 1) (Narayanan et al. 2019).
  double bubble() const {
    const double others = grid_.pipeline - 1;
    return others / (static_cast<double>(micro_batches_) + others);
  }

 private:
  bool can_split(const Shape& shape) const;
  void place_stages(const Deck& deck);
  void place_node(std::size_t i);
  void place_contraction(std::size_t i, bool last);
  ChannelCuts even_cuts(std::int64_t channels, std::int64_t unit = 1) const;

  const Graph& graph_;
  GridShape grid_;
  std::vector<NodePlan> nodes_;
  std::vector<ValuePlan> values_;
  std::vector<double> stage_costs_;
  std::int64_t micro_batches_ = 1;
  bool input_has_halo_ = false;
};

}  // namespace trireme
