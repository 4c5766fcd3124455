// What this machine does at its best, measured: matrix products and streams. The roofs that profiles and `trireme bench kernels` compare with
// (Williams, Waterman and Patterson 2009, "Roofline").
#pragma once

#include <cstdint>
#include <functional>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Seconds of one call of `kernel`, which launches on `exec`: the median of `runs` runs, each of as many calls as the clock needs (20 ms).
double seconds_of(const Execution& exec, int runs, const std::function<void()>& kernel);

/// Bytes per second of a(i) = b(i) + s c(i) over `count` numbers of 8 bytes, three numbers an element as STREAM counts them (McCalpin 1995).
double triad_rate(const Execution& exec, std::int64_t count, int runs);

/// Floating-point operations per second of an (m x k) (k x n) product through gemm().
template <class T>
double gemm_rate(const Execution& exec, std::int64_t m, std::int64_t k, std::int64_t n, int runs);

struct MachineRates {
  double operations_per_s;  // of a large matrix product
  double bytes_per_s;       // of a triad over 200 MB (a device: 3 GB), about what the activations of a large step take
};
/// Takes about a second.
template <class T>
MachineRates measure_rates(const Execution& exec);

}  // namespace trireme
