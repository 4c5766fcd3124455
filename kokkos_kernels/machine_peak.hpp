// Measured peak rates of this machine: matrix products and streaming. Profiles and `trireme bench kernels` compare with them (roofline: Williams,
// Waterman and Patterson 2009).
#pragma once

#include <cstdint>
#include <functional>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// Seconds per call of `kernel`, which launches on `exec`: median over `runs` runs; each run makes as many calls as the clock needs (20 ms).
double seconds_of(const Execution& exec, int runs, const std::function<void()>& kernel);

/// Bytes per second of a(i) = b(i) + s c(i) over `count` doubles; three numbers per element, as in STREAM (McCalpin 1995).
double triad_rate(const Execution& exec, std::int64_t count, int runs);

/// Floating-point operations per second of an (m x k) (k x n) product through gemm().
template <class T>
double gemm_rate(const Execution& exec, std::int64_t m, std::int64_t k, std::int64_t n, int runs);

struct MachineRates {
  double operations_per_s;  // of a large matrix product
  double bytes_per_s;       // of a triad over 200 MB (a device: 3 GB), about the size of the activations of a large step
};
/// Takes about a second.
template <class T>
MachineRates measure_rates(const Execution& exec);

}  // namespace trireme
