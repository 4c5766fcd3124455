// Dropout (Srivastava et al. 2014), scaled in training as in PyTorch. The mask is a function of (key, sample's place in the global batch, element):
// it is the same on any number of ranks, and the backward pass computes it again instead of storing it.
#pragma once

#include "kokkos_kernels/region.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

/// y(s, e) = x(s, e) / (1 - p) with probability 1 - p, else 0; n samples of `elements`; `first_sample` is the place of sample 0 in the global batch.
/// Forward and backward use the same function; x and y may be the same memory. `region`: the part of each sample that the elements are; the masks of
/// all regions together equal the mask of the whole.
template <class T>
void dropout(const Execution& exec, std::int64_t n, std::int64_t elements, double p, std::uint64_t key, std::int64_t first_sample, Span<const T> x, Span<T> y,
             const Region& region = {});

}  // namespace trireme
