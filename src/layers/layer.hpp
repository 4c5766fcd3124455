// A layer: output shape, parameters, forward, backward. It knows nothing about files, other ranks, or its neighbors in the network. Features of only some
// layers are capabilities with their own interface: capabilities.hpp, and parallel/communicates.hpp for layers that exchange messages.
//
// Shapes are those of PyTorch for one sample: (C), (C, L), (C, H, W) or (C, D, H, W). In memory activations are channels-last, see
// kokkos_kernels/types.hpp; parameters have PyTorch's layout.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/shape.hpp"
#include "kokkos_kernels/types.hpp"
#include "layers/pass.hpp"

namespace trireme {

/// The initial value of a parameter. PyTorch's default for linear and conv is uniform in +-1/sqrt(fan_in), weight and bias alike.
struct Initial {
  enum class Kind { uniform, constant } kind = Kind::uniform;
  double value = 0;  // half-width of the interval, or the constant
};

/// The position of a part in the whole parameter; if the whole has rank 0, the part is the whole.
struct Slice {
  Shape whole;
  std::array<std::int64_t, Shape::max_rank> first{};

  bool is_part() const { return whole.rank() > 0; }
};

struct ParameterSpec {
  std::string name;  // "weight", "bias"
  Shape shape;       // PyTorch's, of this rank's part
  Initial initial;
  Slice slice = {};
};

/// State that training passes update by statistics instead of gradients, such as batch_norm's running mean. It is saved with the parameters and used outside
/// training. After each step: running = (1 - momentum) * running + momentum * (mean of batch_stats, weighted by samples).
struct BufferSpec {
  std::string name;  // "running_mean"
  Shape shape;
  double initial = 0;
  double momentum = 0.1;
  Slice slice = {};
};

/// Memory that the network must provide for a layer; the memory plan uses it.
struct LayerNeeds {
  bool input_in_backward = true;      // backward reads its inputs
  bool output_in_backward = false;    // backward reads its output
  bool in_place = false;              // the output may be in the memory of the (only) input, and dy in that of dx
  bool identity = false;              // if in place, a pass does nothing
  bool is_stochastic = false;         // a training pass also depends on its seed, step and first_sample
  std::int64_t workspace = 0;         // elements of scratch memory, used only during a call
  std::int64_t state = 0;             // bytes, kept from forward to backward
  std::int64_t state_per_sample = 0;  // the same, per sample of the largest pass; stored after `state`
  bool keeps_state = false;           // recompute() finds the state of forward(): small results of reductions, which are neither summed nor sent twice
};

template <class T>
class Layer {
 public:
  /// Memory that the network provides: parameters and their gradients in the order of parameters(), buffers and their batch statistics in the order of
  /// buffers(), scratch memory, state. A training pass adds to `batch_stats` the statistics of its samples times their number.
  struct Memory {
    std::vector<Span<T>> parameters, gradients, buffers, batch_stats;
    Span<T> workspace;
    Span<std::uint8_t> state;
  };

  virtual ~Layer() = default;

  const Shape& output() const { return output_; }
  const std::vector<ParameterSpec>& parameters() const { return parameters_; }
  const std::vector<BufferSpec>& buffers() const { return buffers_; }
  const LayerNeeds& needs() const { return needs_; }
  /// Multiply-adds of the forward pass per sample (0 if negligible).
  std::int64_t multiply_adds() const { return multiply_adds_; }

  /// Sets the maximum samples per pass and the number type of contraction operands. Afterwards needs() is final, except for fused epilogues.
  virtual void plan_for(std::int64_t samples, ComputeType operands) { static_cast<void>(samples), static_cast<void>(operands); }
  virtual void bind(const Memory& memory) { memory_ = memory; }
  /// Sets the memory of the state: each micro-batch has its own.
  virtual void lend_state(Span<std::uint8_t> state) { memory_.state = state; }

  virtual void forward(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) = 0;
  /// Writes the same output and state as the training pass forward() before it, in the same order of messages (train.recompute). Batch statistics are not
  /// added again.
  virtual void recompute(const Pass& pass, std::span<const Span<const T>> inputs, Span<T> output) { forward(pass, inputs, output); }
  /// Writes the gradient of each input (an empty span: not needed) and adds to the gradients of the parameters. `inputs` and `output` are valid only as far as
  /// needs() requests them.
  virtual void backward(const Pass& pass, std::span<const Span<const T>> inputs, Span<const T> output, Span<const T> output_gradient,
                        std::span<const Span<T>> input_gradients) = 0;

 protected:
  Shape output_;
  std::vector<ParameterSpec> parameters_;
  std::vector<BufferSpec> buffers_;
  LayerNeeds needs_;
  std::int64_t multiply_adds_ = 0;
  Memory memory_;
};

}  // namespace trireme
