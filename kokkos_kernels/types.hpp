// Types and conventions of all kernels.
//
// Conventions:
//  - The first argument of a kernel is the execution-space instance; the kernel is launched on it and does not fence.
//  - Activations are channels-last: (N, D, H, W, C), C fastest; a flat sample is (N, C). Files and parameters have PyTorch's layouts.
//  - Gradients of parameters are accumulated (+=), gradients of activations are written (=).
//  - Spans are unmanaged: arenas own the memory and outlive every launch.
#pragma once

#include <Kokkos_Core.hpp>
#include <cstdint>
#include <utility>

namespace trireme {

using Execution = Kokkos::DefaultExecutionSpace;
using Memory = Execution::memory_space;

/// Whether kernels run on the host, where ordinary code can access their memory.
inline constexpr bool on_host = Kokkos::SpaceAccessibility<Kokkos::HostSpace, Memory>::accessible;

template <class T>
using Span = Kokkos::View<T*, Memory, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;
template <class T>
using Buffer = Kokkos::View<T*, Memory>;
template <class T>
using HostBuffer = Kokkos::View<T*, Kokkos::SharedHostPinnedSpace>;

/// Result of create_mirror_view: the buffer itself on the host, a host copy for a device buffer.
template <class T>
using HostMirror = decltype(Kokkos::create_mirror_view(std::declval<Buffer<T>&>()));

/// [first, first + count) of a span or buffer.
template <class T, class View>
Span<T> slice(const View& view, std::int64_t first, std::int64_t count) {
  return Span<T>(view.data() + first, static_cast<std::size_t>(count));
}

/// Type of the operands of matrix products and convolutions in float: unchanged, or rounded to a format of tensor cores (tf32: 10 fraction bits,
/// bf16: 7), to nearest, ties to even. Sums are in float. ComputeType of type double are not rounded.
enum class ComputeType { full, tf32, bf16 };

// On CUDA the functor is passed as a kernel argument: otherwise larger functors go through constant memory, which waits for the previous launch and
// cannot be recorded.
using Light = Kokkos::Experimental::WorkItemProperty::HintLightWeight_t;
using Range = Kokkos::RangePolicy<Execution, Kokkos::IndexType<std::int64_t>, Light>;
using Team = Kokkos::TeamPolicy<Execution, Kokkos::IndexType<std::int64_t>, Light>;

}  // namespace trireme
