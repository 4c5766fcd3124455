// Units of targets: a loss works on normalized labels ([array labels] scale, mean, std); metrics and predictions are in the units of the files.
#pragma once

#include <optional>

#include "kokkos_kernels/types.hpp"
#include "train/reading.hpp"

namespace trireme {

template <class T>
class TargetUnits {
 public:
  /// `normalization`: of `channels` channels, all of which are on this rank; empty: nothing changes.
  TargetUnits(const std::optional<Normalization>& normalization, std::int64_t channels);

  bool changes() const { return factor_.size() > 0; }
  /// Normalized numbers of `rows` x channels in the units of the files. The result is in memory of this object, of
  /// which `which` selects one of two, and is valid until the next call with the same one.
  Span<const T> in_file_units(const Execution& exec, std::int64_t rows, Span<const T> normalized, int which);

 private:
  std::int64_t channels_;
  Buffer<T> factor_, shift_, memory_[2];
};

}  // namespace trireme
