// The arguments of one forward or backward pass over a batch, the same for every layer.
#pragma once

#include <cstdint>
#include <functional>

#include "kokkos_kernels/types.hpp"

namespace trireme {

/// The ranks that hold other parts of the same batch: other samples, other pixels of the same samples, or both.
enum class ReductionGroup { data, pixels, data_and_pixels };

/// One pass over a batch. `samples` may be smaller than the maximum of the memory plan, and 0.
struct Pass {
  Execution exec;
  std::int64_t samples = 0;
  bool training = false;
  std::uint64_t seed = 0;         // of the run
  std::int64_t step = 0;          // of the run; seed, step and first_sample are the key of all random numbers
  std::int64_t first_sample = 0;  // position of sample 0 in the global batch
  std::int64_t copies = 1;        // number of ranks that process the same samples and weight them by 1/copies each, or by their pixels
  bool fixed_order = false;       // bitwise identical results on any number of threads, at some cost
  /// All-reduces numbers in place over the ranks that share the batch, after the work launched on the instance; empty: there is one rank. Collective: a
  /// layer that calls it does so in every pass, with 0 samples too.
  std::function<void(const Execution&, Span<double>, ReductionGroup)> all_reduce = {};
};

}  // namespace trireme
