// The distribution of a network: the placement of every value and the part of every layer, for all ranks of a grid. It depends only on the deck and is the same
// on every rank.
//
// Placement of a value along each axis:
//   tensor    whole, or split by channels (features)
//   spatial   whole, or split into boxes of pixels whose sizes differ by at most one along each dimension (the first ones are larger)
//   pipeline  on the ranks of the stage that computes it
// Layers run on parts that match the placement of their inputs as far as possible; otherwise a communication step converts the input (program.hpp).
//
// Default along the tensor axis, unless the line of a layer sets tensor=column|row|whole: a contraction (linear, conv) with a whole input splits its outputs
// (column parallel); one with a split input computes partial sums of its outputs (row parallel); so a pair needs one all-reduce forward and one backward
// (Shoeybi et al. 2019, Megatron-LM). Grouped convolutions distribute their groups. The last contraction of a network stays whole if its input is whole.
// Layers that treat channels independently keep the split of their input. Spatial axis: pixels are split as long as every rank has at least one
// (spatial=whole excludes a layer). Pipeline: consecutive layers, so that the cost of the most expensive stage is minimal (stage=N begins stage N, from 0).
#pragma once

#include <functional>
#include <vector>

#include "base/box.hpp"
#include "comm/process_grid.hpp"
#include "parallel/channel_moves.hpp"
#include "parallel/graph.hpp"

namespace trireme {

/// The grid of [parallel] on this number of ranks. Usage errors name the axis that does not fit.
GridShape grid_shape(const Deck& deck, int ranks);

/// data.virtual_ranks; 0: off. Usage errors name options that exclude virtual ranks, and report fewer virtual ranks than ranks of the data axis.
std::int64_t virtual_ranks_of(const Deck& deck, const GridShape& grid);
/// Micro-batches per share of a batch, or per virtual rank.
std::int64_t micro_batches(const Deck& deck, const GridShape& grid);
/// Maximum samples of a batch on one rank of the data axis: the even share, the samples of its virtual ranks, or with parallel.balance = measured
/// parallel.balance_limit times the even share.
std::int64_t most_of_batch(const Deck& deck, const GridShape& grid);
/// Maximum samples of a pass: of a micro-batch (of a share or a virtual rank), or of a batch of an evaluation, which is no larger than a micro-batch if there
/// are several. Throws a usage error if parallel.micro_batches is larger than the number of samples to divide.
std::int64_t largest_pass(const Deck& deck, const GridShape& grid);

struct NodePlan {
  enum class Channels { whole, column, row, grouped, kept };
  int stage = 0;
  Channels channels = Channels::whole;
  ChannelCuts in, out;  // first channel of each rank; empty: whole
  bool split = false;   // the pixels of the input are split
};

struct ValuePlan {
  ChannelCuts cuts;  // empty: whole
  bool split = false;
};

class ParallelPlan {
 public:
  /// Usage errors name the layer or the axis. `graph` must outlive the plan.
  ParallelPlan(const Graph& graph, const Deck& deck, const GridShape& grid);

  const Graph& graph() const { return graph_; }
  const GridShape& grid() const { return grid_; }
  const NodePlan& node(std::size_t i) const { return nodes_[i]; }
  const ValuePlan& value(std::size_t v) const { return values_[v]; }
  /// The stage that computes a value.
  int stage_of(std::size_t value) const { return value == 0 ? 0 : nodes_[value - 1].stage; }
  /// Values that `stage` sends to the next one.
  std::vector<std::size_t> crossing(int stage) const;
  /// The box of each rank of the spatial axis; the whole sample on every rank if it is not split.
  std::vector<Box> boxes(const Shape& shape, bool split) const;
  /// Whether the data loader reads the halo of the network's input with each sample, so that the only layer that uses the input needs no exchange.
  bool input_has_halo() const { return input_has_halo_; }
  /// The boxes of a node's input that its output boxes depend on, by rank of the spatial axis. For layers with a window whose pixels are split.
  std::vector<Box> reach(std::size_t node) const;
  /// Whether a pointwise layer broadcasts this input, which has fewer pixels than the output: each rank then takes it whole.
  bool is_broadcast(std::size_t node, std::size_t value) const;
  /// A function from a box of the node's output to the box of its input that it depends on. It does not refer to the plan.
  std::function<Box(const Box&)> window(std::size_t node) const;
  /// Fraction of the work of a step in each stage, from the costs used for balancing.
  const std::vector<double>& stage_costs() const { return stage_costs_; }
  /// Number of micro-batches per batch.
  std::int64_t micro_batches() const { return micro_batches_; }
  /// Fraction of a step that each of p equal stages waits for the others, with m micro-batches: (p - 1)/(m + p - 1) (Narayanan et al. 2019).
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
