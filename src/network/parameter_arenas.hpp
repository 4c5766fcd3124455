// The arenas of parameters, gradients and buffers. They live as long as the network.
//
// After the gradients the arena holds `control_size` numbers, which are reduced with the last bucket (the first one to be ready): the loss, and flags that all
// ranks must agree on. After these it holds the batch statistics of the buffers (the moments of batch_norm, times samples), which are reduced with them.
// Buffers have their own arena, which no optimizer changes: they are the same on all ranks after each step; checkpoints and evaluations use them directly. Not
// collective.
#pragma once

#include "network/arena_layout.hpp"

namespace trireme {

template <class T>
class ParameterArenas {
 public:
  static constexpr std::int64_t control_size = 16;

  ParameterArenas() = default;
  /// `layout` must outlive the arenas. Without `allocates` they have no memory, for a plan.
  ParameterArenas(const ArenaLayout& layout, bool training, bool allocates);

  Span<T> values() const { return slice<T>(values_, 0, layout_->parameter_elements); }
  const Buffer<T>& value_arena() const { return values_; }
  const Buffer<T>& buffer_arena() const { return running_; }
  Span<T> gradients() const { return slice<T>(gradients_, 0, layout_->parameter_elements); }
  Span<T> control() const { return slice<T>(gradients_, layout_->parameter_elements, control_size); }
  /// Gradients, control numbers and batch statistics together, as the reduction uses them.
  Span<T> gradients_and_control() const { return slice<T>(gradients_, 0, gradient_elements()); }
  std::int64_t gradient_elements() const { return layout_->parameter_elements + control_size + layout_->buffer_elements; }

  /// Appends the memory of the next layer, in the order of the layout. `parameter` and `buffer` count the entries already assigned.
  void give(typename Layer<T>::Memory& memory, const Layer<T>& layer, std::size_t& parameter, std::size_t& buffer) const;

  /// Initializes parameters and buffers. Each parameter has PyTorch's distribution and depends only on (seed, name).
  void initialize(std::uint64_t seed);
  /// Updates the buffers with the batch statistics of all ranks since zero_gradients(), from `samples` samples.
  void update_buffers(const Execution& exec, std::int64_t samples);
  void zero_gradients(const Execution& exec);

 private:
  Span<T> batch_stats(std::int64_t offset, std::int64_t count) const {
    return slice<T>(gradients_, layout_->parameter_elements + control_size + offset, count);
  }

  const ArenaLayout* layout_ = nullptr;
  bool training_ = false;
  Buffer<T> values_, gradients_, running_, momentum_;
};

}  // namespace trireme
