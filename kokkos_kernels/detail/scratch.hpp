// Arrays of different types carved from one workspace.
#pragma once

#include "kokkos_kernels/types.hpp"

namespace trireme::detail {

/// Arrays start at multiples of 256 bytes, as CUDA's libraries want it. The same calls on a Scratch of nothing tell how much they take.
class Scratch {
 public:
  Scratch() = default;
  template <class T>
  explicit Scratch(Span<T> workspace) : base_(reinterpret_cast<std::uintptr_t>(workspace.data())), at_((base_ + 255) / 256 * 256) {}

  template <class T>
  T* take(std::int64_t count) {
    T* const array = reinterpret_cast<T*>(at_);
    at_ += (static_cast<std::uintptr_t>(count) * sizeof(T) + 255) / 256 * 256;
    return array;
  }
  /// Elements of a workspace of T, wherever it starts, in which what was taken has room.
  template <class T>
  std::int64_t elements() const {
    return static_cast<std::int64_t>((at_ - base_ + 255 + sizeof(T) - 1) / sizeof(T));
  }

 private:
  std::uintptr_t base_ = 0, at_ = 0;
};

}  // namespace trireme::detail
