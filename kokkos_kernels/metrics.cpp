#include "kokkos_kernels/metrics.hpp"

namespace trireme {

template <class T>
void count_classes(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<const std::int32_t> labels,
                   Span<std::int64_t> counts) {
  Kokkos::parallel_for("trireme::metrics::count_classes", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
    const T* const row = y.data() + s * classes;
    const std::int64_t label = labels(s);
    std::int64_t best = 0, before = 0;  // before: classes that rank ahead of the label
    for (std::int64_t c = 0; c < classes; ++c) {
      if (row[c] > row[best]) best = c;
      if (row[c] > row[label] || (row[c] == row[label] && c < label)) ++before;
    }
    if (best == label) Kokkos::atomic_inc(&counts(0));
    if (before < 5) Kokkos::atomic_inc(&counts(1));
    Kokkos::atomic_inc(&counts(2 + label * classes + best));
  });
}

template <class T>
void sum_errors(const Execution& exec, std::int64_t n, std::int64_t outputs, Span<const T> y, Span<const T> target, Span<double> sums) {
  Kokkos::parallel_for("trireme::metrics::sum_errors", Range(exec, 0, outputs), KOKKOS_LAMBDA(std::int64_t o) {
    double absolute = 0, squared = 0, total = 0, squares = 0;
    for (std::int64_t s = 0; s < n; ++s) {
      const double t = static_cast<double>(target(s * outputs + o)), e = static_cast<double>(y(s * outputs + o)) - t;
      absolute += e < 0 ? -e : e;
      squared += e * e;
      total += t;
      squares += t * t;
    }
    sums(4 * o) += absolute;
    sums(4 * o + 1) += squared;
    sums(4 * o + 2) += total;
    sums(4 * o + 3) += squares;
  });
}

template <class T>
void largest_class(const Execution& exec, std::int64_t n, std::int64_t classes, Span<const T> y, Span<std::int32_t> winners) {
  Kokkos::parallel_for("trireme::metrics::largest_class", Range(exec, 0, n), KOKKOS_LAMBDA(std::int64_t s) {
    std::int64_t best = 0;
    for (std::int64_t c = 1; c < classes; ++c)
      if (y(s * classes + c) > y(s * classes + best)) best = c;
    winners(s) = static_cast<std::int32_t>(best);
  });
}

#define TRIREME_INSTANTIATE(T)                                                                                                          \
  template void count_classes(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const std::int32_t>, Span<std::int64_t>); \
  template void sum_errors(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<const T>, Span<double>);                   \
  template void largest_class(const Execution&, std::int64_t, std::int64_t, Span<const T>, Span<std::int32_t>);
TRIREME_INSTANTIATE(float)
TRIREME_INSTANTIATE(double)
#undef TRIREME_INSTANTIATE

}  // namespace trireme
