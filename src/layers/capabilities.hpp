// Capabilities: what a layer can do besides forward and backward. A layer with a capability derives from its interface as well as from Layer. Code that plans a
// network or wraps a layer queries it once, with capability<Interface>(layer), and stores the pointer; passes do not query.
//
//   capability        a layer with it
//   IsEpilogue        can be computed by the previous layer, as the last operation on its output: relu, leaky_relu, tiling max_pool
//   FusesEpilogue     can compute such a layer after its own operation: conv, linear, add, batch_norm...
//   SplitBackward     can compute the gradient of its input first, and the gradients of its parameters later
//   Communicates      exchanges messages with other ranks (parallel/communicates.hpp)
#pragma once

#include <optional>

#include "kokkos_kernels/epilogue.hpp"
#include "layers/layer.hpp"

namespace trireme {

/// The layer's capability; null: the layer lacks it.
template <class Interface, class L>
Interface* capability(L& layer) {
  return dynamic_cast<Interface*>(&layer);
}

class IsEpilogue {
 public:
  virtual ~IsEpilogue() = default;
  /// The operation for the previous layer; empty if the options of this layer do not allow fusion.
  virtual std::optional<Epilogue> as_epilogue() const = 0;
};

/// The passes of the epilogue that the previous layer computes.
enum class Fusion {
  none,
  forward,  // forward() writes the epilogue's output; the epilogue's own backward pass still runs
  both      // backward() also takes the gradient of the epilogue's output; the epilogue's layer runs in neither direction
};

class FusesEpilogue {
 public:
  virtual ~FusesEpilogue() = default;
  /// Fuses the epilogue into this layer. Afterwards output() and needs() are those of both layers. Call it before the first forward pass.
  virtual Fusion fuse(const Epilogue& epilogue) = 0;
};

/// backward() in two parts: first the input gradient, which the previous layer waits for, then the parameter gradients.
template <class T>
class SplitBackward {
 public:
  virtual ~SplitBackward() = default;
  virtual void backward_input(const Pass& pass, Span<const T> output, Span<const T> output_gradient, Span<T> input_gradient) = 0;
  virtual void backward_parameters(const Pass& pass, Span<const T> input, Span<const T> output, Span<const T> output_gradient) = 0;
};

}  // namespace trireme
