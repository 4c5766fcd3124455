// The network: layers in order, compiled once. Shapes, arenas, the plan of temporary memory and the list of steps are fixed when it is
// made; forward and backward allocate nothing.
//
// Parameters, gradients and optimiser state are parallel arenas: one offset names all. Parameters lie in the order of the layers, so
// that backward completes the gradient arena from its end to its beginning. Behind the gradients lie `control_size` numbers that travel with
// the last bucket (the first to be ready): the loss and flags that all ranks must agree on. Behind these lies what layers observed of their buffers
// (batch_norm's moments, times samples), which travels along: buffers, an arena of their own that no optimiser sees, are the same on all ranks after
// each step, and a checkpoint or an evaluation takes them as they are.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/deck.hpp"
#include "layers/layer.hpp"
#include "network/memory_plan.hpp"
#include "parallel/program.hpp"

namespace trireme {

struct Parameter {
  std::string name;  // "conv1.weight"
  Shape shape;       // of this rank's part
  std::int64_t offset;  // in the arenas, elements
  Initial initial;
  Slice slice;          // where it lies in the whole one

  const Shape& whole() const { return slice.is_part() ? slice.whole : shape; }
};

struct NetworkBuffer {
  std::string name;  // "batch_norm1.running_mean"
  Shape shape;
  std::int64_t offset;  // in the arena of buffers, elements
  double initial, momentum;
  Slice slice;

  const Shape& whole() const { return slice.is_part() ? slice.whole : shape; }
};

/// An array of the whole model, wherever its parts are.
struct WholeArray {
  std::string name;
  Shape shape;
};

/// What a computation cannot do without: floating-point operations, and bytes that come from memory or go there when each array that it reads or
/// writes passes once and stays in no cache.
struct Work {
  std::int64_t operations = 0, bytes = 0;
};

template <class T>
class Network {
 public:
  static constexpr std::int64_t control_size = 16;

  enum class Use { training, inference };

  /// Builds the layers of the deck for at most `samples` samples a pass, whole. Usage errors name the layer. Not collective.
  Network(const Deck& deck, std::int64_t samples, Use use);
  /// This rank's part of them. All passes are collective over the ranks of the grid that share a batch's samples. `grid` outlives the network.
  Network(const Deck& deck, std::int64_t samples, Use use, const ProcessGrid& grid);
  /// The part of a rank of a grid that does not run: everything is laid out and nothing allocated.
  Network(const Deck& deck, std::int64_t samples, Use use, const GridPlace& place);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  std::int64_t largest_batch() const { return samples_; }
  /// Shapes of one sample, whole; and this rank's parts of them, of extent 0 where another stage has them.
  const Shape& input_shape() const { return graph_.shapes().front(); }
  const Shape& output_shape() const { return graph_.output(); }
  const Shape& local_input() const { return shapes_.front(); }
  const Shape& local_output() const { return output_; }
  /// The pixels of these parts, where they are split.
  std::optional<Box> input_box() const { return input_split_ ? std::optional(input_box_) : std::nullopt; }
  std::optional<Box> output_box() const { return output_split_ ? std::optional(output_box_) : std::nullopt; }
  /// How the output's channels are cut between the ranks of the tensor axis: this rank has those from cuts[place().tensor] on. Empty: all.
  const ChannelCuts& output_cuts() const { return output_cuts_; }
  const GridPlace& place() const { return place_; }
  const ParallelPlan& parallel_plan() const { return plan_; }

  const std::vector<Parameter>& parameters() const { return parameters_; }
  std::int64_t arena_size() const { return arena_size_; }           // elements, gaps for alignment included
  std::int64_t parameter_count() const;                             // without gaps
  std::int64_t gradient_elements() const { return arena_size_ + control_size + buffers_size_; }  // of gradients_and_control()
  Span<T> values() { return slice<T>(values_, 0, arena_size_); }
  const Buffer<T>& value_arena() const { return values_; }
  Span<T> gradients() { return slice<T>(gradients_, 0, arena_size_); }
  Span<T> control() { return slice<T>(gradients_, arena_size_, control_size); }
  /// Gradients, control and observations together, as reductions see them.
  Span<T> gradients_and_control() { return slice<T>(gradients_, 0, arena_size_ + control_size + buffers_size_); }

  const std::vector<NetworkBuffer>& buffers() const { return buffers_; }
  /// All parameters, and all buffers, of the whole model in the order of the deck.
  std::vector<WholeArray> whole_parameters() const;
  std::vector<WholeArray> whole_buffers() const;
  const Buffer<T>& buffer_arena() const { return running_; }
  /// Moves the buffers towards what the passes since zero_gradients observed on all ranks together, `samples` in all.
  void update_buffers(const Execution& exec, std::int64_t samples);

  /// Starts all parameters as PyTorch would (same distributions), each a function of (seed, name) alone; and the buffers.
  void initialize(std::uint64_t seed);

  /// Where the input goes: (samples, ..., C), channels-last.
  Span<T> input() { return slots_[slot_].input; }
  Span<T> output() { return slots_[slot_].output; }
  Span<T> output_gradient() { return slots_[slot_].output_gradient; }

  /// Micro-batches that are under way at one time have memory of their own: the passes that follow use slot number `slot`.
  int slots() const { return static_cast<int>(slots_.size()); }
  void select(int slot);

  void zero_gradients(const Execution& exec);
  /// Runs the layers on input(); the result lies in output().
  void forward(const Pass& pass);
  /// Adds the gradients of the parameters, from output_gradient(). After each layer with parameters calls ready(offset): the gradients
  /// from `offset` to the arena's end are final once the launched kernels end.
  using Ready = std::function<void(std::int64_t offset)>;
  void backward(const Pass& pass, const Ready& ready);

  /// Whether some layer draws random numbers in training: a pass then is not the same in every step.
  bool draws() const;

  /// One direction of a layer, with those that it stands for (fused).
  struct LayerWork {
    std::size_t layer;
    bool backward;
    std::string name, kind;
    Work work;
  };
  /// In the order in which a training pass of `samples` samples runs them.
  std::size_t layer_count() const { return layers_.size(); }
  std::vector<LayerWork> work(std::int64_t samples) const;
  /// What this rank sends to others in a training pass of one sample, one line an axis and direction of a layer.
  struct LayerTraffic {
    std::string name, kind;
    bool backward;
    Traffic traffic;
  };
  std::vector<LayerTraffic> traffic() const;
  /// Called after each of these was launched; for profiles.
  using Observer = std::function<void(std::size_t layer, bool backward)>;
  void observe(Observer observer) { observer_ = std::move(observer); }

  struct Summary {
    std::int64_t parameters, arena_bytes, temporary_bytes, workspace_bytes, message_bytes, multiply_adds;  // of this rank; temporary: in all slots
  };
  Summary summary() const;
  /// One line a layer: name, kind, output shape, parameters; for people.
  std::string describe() const;

 private:
  static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();  // no block, no layer
  struct Step {
    std::unique_ptr<Layer<T>> layer;
    std::string kind, name;
    std::vector<std::size_t> inputs;      // values: 0 is the network's input, i + 1 the output of layer i
    bool in_place = false;
    bool fused = false;                   // a relu that the layer before applies, forward only
    bool absorbed = false;                // a layer that one before stands for, forward and backward
    std::size_t result = 0;               // value that it makes: of the last layer that it stands for
    std::int64_t first_parameter = -1;    // offset of its first parameter; -1: none
  };
  /// The memory of a step, made once.
  struct Bound {
    std::vector<Span<const T>> in;
    std::vector<Span<T>> in_gradient;     // empty: not wanted
    std::vector<Span<T>> accumulate_into; // per input: where in_gradient must be added afterwards; empty: nowhere
    Span<T> out, out_gradient;
    Span<std::uint8_t> state;
  };
  struct Slot {
    std::vector<Bound> steps;
    Span<T> input, output, output_gradient;
  };

  Network(const Deck& deck, std::int64_t samples, Use use, const GridPlace& place, const ProcessGrid* grid, bool allocates);
  bool runs_forward(const Step& step) const { return !step.fused && !step.absorbed; }
  bool runs_backward(std::size_t i) const;
  void take(Program<T> program);
  void fuse_tails();
  void lay_out_parameters();
  void lay_out_buffers();
  void check_sizes() const;
  void check_memory() const;
  void plan_memory();
  void bind();

  std::int64_t samples_;
  Use use_;
  GridPlace place_;
  bool allocates_;
  Graph graph_;
  ParallelPlan plan_;
  Shape output_;
  Box input_box_, output_box_;
  bool input_split_ = false, output_split_ = false;
  ChannelCuts output_cuts_;
  Observer observer_;
  std::vector<Step> layers_;
  std::vector<Shape> shapes_;             // of values
  std::vector<std::vector<std::size_t>> consumers_;
  std::vector<std::size_t> producer_;     // value -> layer that makes it; none: the input, and values inside a fused tail
  std::vector<Parameter> parameters_;
  std::vector<NetworkBuffer> buffers_;
  std::int64_t arena_size_ = 0, buffers_size_ = 0, workspace_elements_ = 0;
  std::vector<std::size_t> block_of_;     // value -> block of memory_
  std::vector<std::size_t> gradient_block_of_;
  std::vector<std::size_t> state_block_;
  std::vector<std::vector<std::size_t>> extra_;  // of each step's inputs: block for a second, third... contribution to one gradient
  std::vector<bool> wanted_;              // values whose gradient is wanted
  std::vector<Slot> slots_;
  std::size_t slot_ = 0;
  MemoryPlan memory_;
  Buffer<T> values_, gradients_, running_, momentum_, workspace_;
  Buffer<std::uint8_t> temporary_;
};

}  // namespace trireme
