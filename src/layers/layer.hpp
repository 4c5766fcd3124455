// A layer: a shape, parameters, forward, backward. Knows nothing of MPI, of files, or of who comes before and after it.
//
// Shapes are PyTorch's for one sample: (C), (C, L), (C, H, W) or (C, D, H, W). In memory activations lie channels-last, see
// kokkos_kernels/types.hpp; parameters lie as PyTorch has them.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/shape.hpp"
#include "kokkos_kernels/conv.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

/// How a parameter starts. PyTorch's default for linear and conv is uniform in +-1/sqrt(fan_in), weight and bias alike.
struct Initial {
  enum class Kind { uniform, constant } kind = Kind::uniform;
  double value = 0;  // half-width of the interval, or the constant
};

/// Where a part of a parameter lies in the whole one; of rank 0: it is the whole.
struct Slice {
  Shape whole;
  std::array<std::int64_t, Shape::max_rank> first{};

  bool is_part() const { return whole.rank() > 0; }
};

struct ParameterSpec {
  std::string name;  // "weight", "bias"
  Shape shape;       // PyTorch's; of this rank's part
  Initial initial;
  Slice slice = {};
};

/// A number that training passes observe instead of a gradient's descent, as batch_norm's running mean: saved with the parameters, read outside
/// training, changed after each step by running = (1 - momentum) running + momentum (mean of what was observed, weighted by samples).
struct BufferSpec {
  std::string name;  // "running_mean"
  Shape shape;
  double initial = 0;
  double momentum = 0.1;
  Slice slice = {};
};

/// What the network must keep for a layer's backward pass, and lend it; memory is planned from this.
struct LayerNeeds {
  bool input_in_backward = true;     // backward reads its inputs
  bool output_in_backward = false;   // backward reads its output
  bool in_place = false;             // output may be the memory of the (only) input, dy that of dx
  bool draws = false;                // a training pass depends on its seed, step and first_sample too
  std::int64_t workspace = 0;        // elements of scratch, only during a call
  std::int64_t state = 0;            // bytes from forward to backward
  std::int64_t state_per_sample = 0; // the same, for each sample of the largest pass; they lie behind `state`
};

/// Ranks that hold other parts of the same batch: other samples, other pixels of the same samples, or both.
enum class Sharers { data, pixels, data_and_pixels };

/// What one rank sends to others in a pass, along one axis of the process grid.
struct Traffic {
  const char* axis;
  std::int64_t messages;
  std::int64_t elements;       // a sample; of sums over p ranks 2 (p - 1) / p times what is summed, what good algorithms send
};

/// One pass over a batch. `samples` may be smaller than what memory was planned for, and 0.
struct Pass {
  Execution exec;
  std::int64_t samples = 0;
  bool training = false;
  std::uint64_t seed = 0;          // of the run
  std::int64_t step = 0;           // of the run; with seed and first_sample it keys all random numbers
  std::int64_t first_sample = 0;   // place of sample 0 in the global batch
  std::int64_t copies = 1;         // ranks that make this pass over the same samples and weigh them by 1/copies each, or over their pixels
  bool fixed_order = false;        // the same bits on any number of threads, at some cost
  /// Adds numbers over ranks that share the batch, in place, after what is launched on the instance; empty: there is one rank. Collective: a
  /// layer that calls it does so in every pass, with 0 samples too.
  std::function<void(const Execution&, Span<double>, Sharers)> sum_over = {};
};

template <class T>
class Layer {
 public:
  /// Memory that the network lends: parameters and their gradients in the order of parameters(), buffers and what is observed of them in the
  /// order of buffers(), scratch, state. To `observed` a training pass adds the values of its samples' batch, times its samples.
  struct Memory {
    std::vector<Span<T>> parameters, gradients, buffers, observed;
    Span<T> workspace;
    Span<std::uint8_t> state;
  };

  virtual ~Layer() = default;

  const Shape& output() const { return output_; }
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }
  const std::vector<BufferSpec>& buffers() const { return buffers_; }
  const LayerNeeds& needs() const { return needs_; }
  /// Multiply-adds of the forward pass for one sample (0 where none matter).
  virtual std::int64_t multiply_adds() const { return 0; }
  virtual void lend(const Memory& memory) { memory_ = memory; }
  /// Another place for the state: of another micro-batch.
  virtual void lend_state(Span<std::uint8_t> state) { memory_.state = state; }

  /// A layer without inputs: whether somebody elsewhere wants the gradient of its output.
  virtual bool wants_gradient() const { return false; }
  /// A layer without an output: whether its backward pass begins one.
  virtual bool begins_backward() const { return false; }
  /// Elements a sample of the memory that messages are packed into.
  virtual std::int64_t message_elements() const { return 0; }
  virtual std::vector<Traffic> traffic(bool backward) const { return static_cast<void>(backward), std::vector<Traffic>(); }
  /// Tells the largest number of samples of a pass, and how contractions take their operands; needs() is final afterwards.
  virtual void plan_for(std::int64_t samples, Operands operands) { static_cast<void>(samples), static_cast<void>(operands); }
  /// Asks the layer to apply relu to its output in its own last forward pass; false when it cannot. Before the first forward.
  virtual bool fuse_relu() { return false; }
  /// What a layer before this one could do in its place, forward and backward: pool windows that tile the plane, or apply a slope.
  virtual std::optional<ConvTail> as_tail() const { return std::nullopt; }
  /// Asks the layer to do so after its own work; false when it cannot. output() and needs() are those of both then.
  virtual bool fuse_tail(const ConvTail& tail) { return static_cast<void>(tail), false; }
  /// Whether backward then takes the gradient of the relu's output, and the relu has no backward pass of its own.
  virtual bool relu_in_backward() const { return false; }

  /// Whether backward can be had in two: first what the layer before waits for, then the gradients of the parameters, which nobody waits for.
  virtual bool backward_in_two() const { return false; }
  virtual void backward_input(const Pass& pass, Span<const T> output, Span<const T> output_gradient, Span<T> input_gradient) {
    static_cast<void>(pass), static_cast<void>(output), static_cast<void>(output_gradient), static_cast<void>(input_gradient);
  }
  virtual void backward_parameters(const Pass& pass, Span<const T> input, Span<const T> output, Span<const T> output_gradient) {
    static_cast<void>(pass), static_cast<void>(input), static_cast<void>(output), static_cast<void>(output_gradient);
  }

  virtual void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) = 0;
  /// Writes the gradient of each input (an empty span: not wanted) and adds to the gradients of the parameters. `inputs` and
  /// `output` are valid as far as needs() said.
  virtual void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> output_gradient,
                        std::span<const Span<T>> input_gradients) = 0;

 protected:
  Shape output_;
  std::vector<ParameterSpec> parameters_;
  std::vector<BufferSpec> buffers_;
  LayerNeeds needs_;
  Memory memory_;
};

}  // namespace trireme
