// Gradient compression: bf16 with error feedback (Seide et al. 2014; Karimireddy et al. 2019). The rounding error of a number is stored and added to
// the next number that is sent from the same place, so that nothing is lost over the steps. Sums are in T.
#pragma once

#include "kokkos_kernels/detail/operands.hpp"

namespace trireme {

using detail::Bf16;

/// wire = bf16(x + error);  error = x + error - wire. To nearest, ties to even; infinities and NaN are unchanged and leave an error of 0.
template <class T>
void encode(const Execution& exec, std::int64_t count, Span<const T> x, Span<T> error, Span<Bf16> wire);
/// x = wire
template <class T>
void decode(const Execution& exec, std::int64_t count, Span<const Bf16> wire, Span<T> x);
/// x += error and the numbers of the `others`: wire holds `count` numbers of each, in rank order; x comes after those of the others before `place`.
/// The order of the sum is the rank order, on whichever rank it is computed.
template <class T>
void add_received(const Execution& exec, std::int64_t count, std::int64_t others, std::int64_t place, Span<const Bf16> wire, Span<const T> error, Span<T> x);

}  // namespace trireme
