// Dropout (Srivastava et al. 2014, scaled at training as PyTorch does). Which elements fall is a function of
// (key, sample's place in the global batch, element): the same on any number of ranks, and drawn anew in the backward pass instead of stored.
#pragma once

#include "kokkos_kernels/region.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

/// y(s, e) = x(s, e) / (1 - p) with probability 1 - p, else 0; n samples of `elements`; `first_sample` is the place of sample 0 in the
/// global batch. Forward and backward are the same map; x and y may be the same memory. `region`: what of each sample the elements are; those of all
/// regions fall as those of the whole.
template <class T>
void dropout(const Execution& exec, std::int64_t n, std::int64_t elements, double p, std::uint64_t key, std::int64_t first_sample,
             Span<const T> x, Span<T> y, const Region& region = {});

}  // namespace trireme
