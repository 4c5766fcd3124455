// The network of one rank: built once from a deck and run many times, graph -> passes -> executor (steps.hpp lists them). Shapes, arenas, temporary memory and
// execution order are fixed at construction; forward and backward allocate nothing.
//
//   in   a deck; the maximum number of samples per pass; the rank's place on the process grid
//   out  per pass: the output, and the gradients of this rank's parameters
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/deck.hpp"
#include "network/executor.hpp"

namespace trireme {

/// An array of the whole model, even if it is distributed.
struct WholeArray {
  std::string name;
  Shape shape;
};

/// Minimum work of a computation: floating-point operations, and bytes of memory traffic if each array is read or written once and nothing remains in a
/// cache.
struct Work {
  std::int64_t operations = 0, bytes = 0;
};

template <class T>
class Network {
 public:
  static constexpr std::int64_t control_size = ParameterArenas<T>::control_size;
  using Ready = typename Executor<T>::Ready;
  using Observer = typename Executor<T>::Observer;

  enum class Use { training, inference };

  /// Builds the whole network for at most `samples` samples per pass. Usage errors name the layer. Not collective.
  Network(const Deck& deck, std::int64_t samples, Use use);
  /// Builds this rank's part. Collective over the grid, as are all passes over the ranks that share a batch's samples. `grid` must outlive the network.
  Network(const Deck& deck, std::int64_t samples, Use use, const ProcessGrid& grid);
  /// Plans the part of one rank of a grid that does not run; allocates nothing. Not collective.
  Network(const Deck& deck, std::int64_t samples, Use use, const GridPlace& place);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  std::int64_t largest_batch() const { return samples_; }
  /// Shapes of one sample: whole, and of this rank's part, with extents 0 if another stage has it.
  const Shape& input_shape() const { return graph_.shapes().front(); }
  const Shape& output_shape() const { return graph_.output(); }
  const Shape& local_input() const { return ends_.input; }
  const Shape& local_output() const { return ends_.output; }
  /// The boxes of these parts, if their pixels are split.
  std::optional<Box> input_box() const { return ends_.input_split ? std::optional(ends_.input_box) : std::nullopt; }
  std::optional<Box> output_box() const { return ends_.output_split ? std::optional(ends_.output_box) : std::nullopt; }
  /// First output channel of each rank of the tensor axis; this rank's channels begin at cuts[place().tensor]. Empty: all channels.
  const ChannelCuts& output_cuts() const { return ends_.output_cuts; }
  const GridPlace& place() const { return place_; }
  const ParallelPlan& parallel_plan() const { return plan_; }

  // Parameters, gradients, buffers: arena_layout.hpp and parameter_arenas.hpp.
  const std::vector<Parameter>& parameters() const { return layout_.parameters; }
  const std::vector<NetworkBuffer>& buffers() const { return layout_.buffers; }
  std::int64_t arena_size() const { return layout_.parameter_elements; }          // elements, including gaps for alignment
  std::int64_t parameter_count() const { return layout_.parameter_count(); }      // excluding gaps
  std::int64_t gradient_elements() const { return arenas_.gradient_elements(); }  // of gradients_and_control()
  Span<T> values() { return arenas_.values(); }
  const Buffer<T>& value_arena() const { return arenas_.value_arena(); }
  const Buffer<T>& buffer_arena() const { return arenas_.buffer_arena(); }
  Span<T> gradients() { return arenas_.gradients(); }
  Span<T> control() { return arenas_.control(); }
  Span<T> gradients_and_control() { return arenas_.gradients_and_control(); }
  void initialize(std::uint64_t seed) { arenas_.initialize(seed); }
  void update_buffers(const Execution& exec, std::int64_t samples) { arenas_.update_buffers(exec, samples); }
  void zero_gradients(const Execution& exec) { arenas_.zero_gradients(exec); }
  /// All parameters and all buffers of the whole model, in the order of the deck.
  std::vector<WholeArray> whole_parameters() const;
  std::vector<WholeArray> whole_buffers() const;

  // Passes: executor.hpp. A plan without memory has none.
  /// Memory of the input: (samples, ..., C), channels-last.
  Span<T> input() { return executor_->input(); }
  Span<T> output() { return executor_->output(); }
  Span<T> output_gradient() { return executor_->output_gradient(); }
  /// Runs the layers on input() and writes output().
  void forward(const Pass& pass) { executor_->forward(pass); }
  /// Adds the gradients of the parameters, computed from output_gradient().
  void backward(const Pass& pass, const Ready& ready) { executor_->backward(pass, ready); }
  /// Each micro-batch in flight needs its own temporary memory: selects slot `slot` for the next passes.
  int slots() const { return slots_; }
  void select(int slot) { executor_->select(slot); }
  void observe(Observer observer) { executor_->observe(std::move(observer)); }
  /// Whether a layer uses random numbers in training, so that a pass differs between steps.
  bool is_stochastic() const;

  // Reports: network_report.cpp.
  /// One direction of a layer, including the layers that are fused into it.
  struct LayerWork {
    std::size_t layer;
    bool backward;
    std::string name, kind;
    Work work;
  };
  std::size_t layer_count() const { return steps_.steps.size(); }
  /// In execution order, for a training pass of `samples` samples. Forward passes include their recomputation.
  std::vector<LayerWork> work(std::int64_t samples) const;
  /// Messages of this rank in a training pass of one sample: one entry per axis and direction of a layer.
  struct LayerTraffic {
    std::string name, kind;
    bool backward;  // or in the recomputation before it
    Traffic traffic;
  };
  std::vector<LayerTraffic> traffic() const;
  struct Summary {
    std::int64_t parameters, arena_bytes, temporary_bytes, workspace_bytes, message_bytes, multiply_adds;  // of this rank; temporary_bytes: all slots
  };
  Summary summary() const;
  /// Activation checkpointing on this rank (train.recompute).
  struct Recomputed {
    std::size_t segments = 1;        // of its layers; 1: nothing is recomputed
    std::int64_t without_bytes = 0;  // temporary memory without recomputation, all slots
    std::int64_t multiply_adds = 0;  // of layers that run forward again, per sample
  };
  const Recomputed& recomputed() const { return recomputed_; }
  /// One line per layer: name, kind, output shape, parameters.
  std::string describe() const;

 private:
  Network(const Deck& deck, std::int64_t samples, Use use, const GridPlace& place, const ProcessGrid* grid, bool allocates);
  bool trains() const { return use_ == Use::training; }
  void plan_segments(const Deck& deck);
  void check_sizes() const;
  void check_memory() const;
  LayerWork work_of(std::size_t step, bool backward, const std::string& kind, std::int64_t samples) const;

  std::int64_t samples_;
  Use use_;
  GridPlace place_;
  Graph graph_;
  ParallelPlan plan_;
  ProgramEnds ends_;
  StepGraph<T> steps_;
  ExecutionOrder order_;
  ArenaLayout layout_;
  ActivationMemory memory_;
  Recomputed recomputed_;
  int slots_ = 1;
  ParameterArenas<T> arenas_;
  std::optional<Executor<T>> executor_;
};

}  // namespace trireme
